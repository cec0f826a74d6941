"""Studies of meta-imitation."""
