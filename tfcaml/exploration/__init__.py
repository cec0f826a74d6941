"""Episodes that are not played by the policy alone."""
