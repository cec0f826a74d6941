"""Programs: `python -m launchers.NAME --help`."""

import os

# A newcomer's first screen belongs to the program, not to the libraries' notices.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    from gym_notices import notices

    notices.notices.clear()
except ImportError:
    pass
