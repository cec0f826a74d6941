"""Studies of hindsight MAML."""
