"""Studies of insulin dosing."""
