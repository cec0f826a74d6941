"""Trains a learner and its baselines, evaluates them on held-out entities, and draws the results.

    python -m launchers.train --config=configs/caml_particles.py --root_dir=runs/particles

Running the same command again goes on where it stopped.
"""

import signal

from absl import flags
from ml_collections import config_flags

from launchers import _app
from tfcaml import report
from tfcaml.experiment import Experiment, ExperimentConfig
from tfcaml.run_directory import RunDirectory

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment, a file of configs/; fields by --config.FIELD=VALUE."
)
_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of the run.")
_SEED = flags.DEFINE_integer("seed", 0, "First seed; config.num_seeds seeds are run.")
_JIT_COMPILE = flags.DEFINE_bool(
    "jit_compile", None, "Compile iterations with XLA; by default where a learner gains by it."
)
flags.mark_flags_as_required(["config", "root_dir"])

STOPPED = 3  # exit code of a run that was told to stop and can be resumed


def main(_):
    stop = _StopSignal()
    content = _CONFIG.value.to_dict()
    jit_compile = _JIT_COMPILE.value
    config = ExperimentConfig.from_dict(content, _SEED.value, jit_compile)
    directory = RunDirectory(
        _ROOT_DIR.value,
        {"config": content, "seed": _SEED.value, "jit_compile": jit_compile},
    )
    experiment = Experiment(config, directory, stop)
    if not experiment.train():
        print(f"Stopped. The same command goes on from here: root_dir={_ROOT_DIR.value}")
        return STOPPED
    summary, paths = experiment.evaluate()
    print(report.to_text(summary))
    _app.print_paths(directory, paths)
    return 0


class _StopSignal:
    """Remembers Ctrl-C or SIGTERM, so that a run ends between iterations; a second one kills."""

    def __init__(self):
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def _receive(self, number, frame):
        self._received = True
        signal.signal(number, signal.SIG_DFL)

    def __call__(self):
        return self._received


if __name__ == "__main__":
    _app.run(main)
