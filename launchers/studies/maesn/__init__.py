"""Studies of MAESN."""
