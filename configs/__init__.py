"""One file per experiment, with `get_config()`: data, no logic."""
