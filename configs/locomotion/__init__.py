"""Experiments with MAML and its relatives."""
