"""Experiments with CartPole entities."""
