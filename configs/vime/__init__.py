"""Experiments with VIME."""
