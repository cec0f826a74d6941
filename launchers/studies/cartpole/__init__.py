"""Studies of CartPole entities."""
