"""Experiments with simulated robots."""
