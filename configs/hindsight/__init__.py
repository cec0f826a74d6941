"""Experiments with hindsight MAML."""
