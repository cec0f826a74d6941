"""Studies of MLSH."""
