"""Evaluates a finished run again, with other numbers of tasks, updates or episodes if wanted.

python -m launchers.evaluate --root_dir=runs/particles --num_tasks=12
"""

from absl import flags

from launchers import _app
from tfcaml import report, run_directory
from tfcaml.experiment import Experiment, ExperimentConfig

_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of a run that launchers.train made.")
_NUM_TASKS = flags.DEFINE_integer("num_tasks", None, "Held-out entities per seed.")
_NUM_UPDATES = flags.DEFINE_integer("num_updates", None, "Adaptation steps.")
_EPISODES = flags.DEFINE_integer("episodes", None, "Episodes per measurement.")
flags.mark_flags_as_required(["root_dir"])


def main(_):
    given = {flag.name: flag.value for flag in (_NUM_TASKS, _NUM_UPDATES, _EPISODES)}
    measured = {name: value for name, value in given.items() if value is not None}
    saved = run_directory.read_config(_ROOT_DIR.value)
    config = ExperimentConfig.from_run(saved, **measured)
    directory = run_directory.RunDirectory(_ROOT_DIR.value, saved)
    experiment = Experiment(config, directory)
    summary, paths = experiment.evaluate()
    print(report.to_text(summary))
    _app.print_paths(directory, paths, experiment.environment.notice)
    return 0


if __name__ == "__main__":
    _app.run(main)
