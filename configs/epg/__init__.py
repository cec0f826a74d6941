"""Experiments with evolved policy gradients: a learned loss beside PPO, both from scratch."""
