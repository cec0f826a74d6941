"""Robots, built by MuJoCo's `MjSpec`."""
