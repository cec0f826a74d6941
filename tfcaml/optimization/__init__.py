"""Inner steps, which adapt to a task, and outer steps, which move the meta parameters."""
