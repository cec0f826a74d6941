"""Meta-gradient RL on the processes it was published on, the discounting chain, and control."""
