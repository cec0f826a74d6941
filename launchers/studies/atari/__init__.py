"""Studies of Atari games."""
