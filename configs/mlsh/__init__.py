"""Experiments with MLSH: sub-policies that all tasks share."""
