"""Evaluates a finished run again, with other numbers of tasks, updates or episodes if wanted.

tfcaml evaluate --root_dir=runs/particles --num_tasks=12
"""

from absl import flags

from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from . import _app

_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of a run, also of one of a study.")
_PLUGIN = _app.define_plugin()
_NUM_TASKS = flags.DEFINE_integer("num_tasks", None, "Held-out entities per seed.")
_NUM_UPDATES = flags.DEFINE_integer("num_updates", None, "Adaptation steps.")
_EPISODES = flags.DEFINE_integer("episodes", None, "Episodes per measurement.")
flags.mark_flags_as_required(["root_dir"])


def main(_):
    given = {flag.name: flag.value for flag in (_NUM_TASKS, _NUM_UPDATES, _EPISODES)}
    measured = {name: value for name, value in given.items() if value is not None}
    experiment = Experiment.open(_ROOT_DIR.value, plugins=_PLUGIN.value, **measured)
    summary, paths = experiment.evaluate()
    print(report.to_text(summary))
    _app.print_paths(experiment.directory, paths, experiment.environment.notice)
    return 0


if __name__ == "__main__":
    _app.run(main)
