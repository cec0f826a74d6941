"""Studies of CAML."""
