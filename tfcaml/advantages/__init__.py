"""Returns, baselines and advantages of episodes."""
