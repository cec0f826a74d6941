"""Studies of MAML and its relatives."""
