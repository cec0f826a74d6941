"""Experiments with RL^2: bandits and tabular MDPs, and memory beside MAML's gradients."""
