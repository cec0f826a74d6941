"""Task families whose environments run in Python, such as those of Gymnasium."""

from tfcaml.environments.host.environment import HostEnvironment

__all__ = ["HostEnvironment"]
