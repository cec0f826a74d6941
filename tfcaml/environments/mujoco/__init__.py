"""Task families whose physics MuJoCo simulates. They need the extra `tfcaml[mujoco]`."""
