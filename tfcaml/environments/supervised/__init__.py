"""Families of supervised tasks, whose examples take the place of episodes."""
