"""Returns, baselines and advantages of episodes."""

from tfcaml.advantages.multistep import lambda_returns, n_step_returns, vtrace

__all__ = ["lambda_returns", "n_step_returns", "vtrace"]
