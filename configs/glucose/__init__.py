"""Experiments with virtual patients."""
