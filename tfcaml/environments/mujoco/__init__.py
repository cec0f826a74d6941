"""Robots simulated by MuJoCo, with the extra `[mujoco]`."""
