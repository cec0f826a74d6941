"""Studies of VIME."""
