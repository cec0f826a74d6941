"""Experiments with meta-imitation: one demonstration of a new task, and the policy does it."""
