"""Evaluates a finished run again, with other numbers of tasks, updates or episodes if wanted.

python -m launchers.evaluate --root_dir=runs/particles --num_tasks=12
"""

from absl import flags

from launchers import _app
from tfcaml import report, run_directory
from tfcaml.errors import check
from tfcaml.experiment import Experiment, ExperimentConfig

_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of a run that launchers.train made.")
_NUM_TASKS = flags.DEFINE_integer("num_tasks", None, "Held-out entities per seed.")
_NUM_UPDATES = flags.DEFINE_integer("num_updates", None, "Adaptation steps.")
_EPISODES = flags.DEFINE_integer("episodes", None, "Episodes per measurement.")
flags.mark_flags_as_required(["root_dir"])


def main(_):
    for flag, least in ((_NUM_TASKS, 1), (_NUM_UPDATES, 0), (_EPISODES, 1)):
        if flag.value is not None:
            check(flag.value >= least, flag.name, flag.value, f">= {least}")
    saved = run_directory.read_config(_ROOT_DIR.value)
    config = ExperimentConfig.from_dict(saved["config"], saved["seed"], saved["jit_compile"])
    directory = run_directory.RunDirectory(_ROOT_DIR.value, saved)
    experiment = Experiment(config, directory)
    summary, paths = experiment.evaluate(_NUM_TASKS.value, _NUM_UPDATES.value, _EPISODES.value)
    print(report.to_text(summary))
    _app.print_paths(directory, paths)
    return 0


if __name__ == "__main__":
    _app.run(main)
