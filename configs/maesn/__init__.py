"""Experiments with MAESN: tasks whose goals hide in sparse rewards."""
