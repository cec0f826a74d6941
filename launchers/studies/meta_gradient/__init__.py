"""Studies of meta-gradient RL."""
