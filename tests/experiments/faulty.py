"""A learner of a user's own that meets with what a file tells it to, between two iterations."""

import dataclasses
import os
import pathlib
import signal
import time

from tfcaml import learners
from tfcaml.errors import RunError


@dataclasses.dataclass(frozen=True)
class FaultyConfig(learners.Reptile.Config):
    """Settings of `Faulty`."""

    faults: str = ""  # a folder, with files named WHAT-ITERATION
    seconds: float = 0.0  # that an iteration takes besides


class Faulty(learners.Reptile):
    """Reptile. A file in its folder ends it after an iteration, once; `always` every time.

    What it meets: "die" (its process is killed), "hang", "fail" (an error that ends the run).
    """

    Config = FaultyConfig

    def after_iteration(self, key):
        time.sleep(self.config.seconds)
        iteration = int(self.iteration)
        for what in ("die", "hang", "fail", "always"):
            file = pathlib.Path(self.config.faults, f"{what}-{iteration}")
            if not self.config.faults or not file.exists():
                continue
            if what != "always":
                file.unlink()
            if what == "fail":
                raise RunError("it failed")
            if what == "hang":
                time.sleep(10_000)
            os.kill(os.getpid(), signal.SIGKILL)
        return {}
