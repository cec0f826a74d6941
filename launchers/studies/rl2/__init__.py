"""Studies of RL^2."""
