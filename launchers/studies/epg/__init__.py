"""Studies of evolved policy gradients."""
