"""Studies of TESP, its ablations and its kin."""
