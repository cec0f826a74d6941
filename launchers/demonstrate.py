"""Has the expert of a config's family demonstrate its tasks, and saves what was shown.

    tfcaml demonstrate --config=mil/reach --path=demonstrations.npz
    tfcaml train --config=mil/reach --demonstrations=demonstrations.npz --root_dir=runs/reach

The training tasks and the test tasks of every seed are demonstrated as often, with as much noise
and in as many attempts as config.learner.demonstrations says.
"""

import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import flags
from ml_collections import config_flags

from tfcaml import keys, nest
from tfcaml.errors import check, check_whole
from tfcaml.experiments import run_directory
from tfcaml.experiments.experiment import Experiment
from tfcaml.rollouts import demonstrations
from tfcaml.types import episode_return

from . import _app

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "An experiment by name, see tfcaml configs, or a file with get_config(); "
    "its fields are set by --config.FIELD=VALUE.",
)
_PATH = flags.DEFINE_string("path", None, "The file, new: .npz of NumPy, or .tfrecord.")
_SEED = flags.DEFINE_integer("seed", 0, "First seed; config.num_seeds seeds are demonstrated.")
_NUM_TASKS = flags.DEFINE_integer(
    "num_tasks", None, "Test tasks of each seed; config.evaluation.num_tasks unless given."
)
flags.mark_flags_as_required(["config", "path"])

_SUFFIXES = (".npz", demonstrations.TFRECORD)
_SALT = 0xDE70  # of the key of test tasks


def main(_):
    path = pathlib.Path(_PATH.value)
    check(path.suffix in _SUFFIXES, "path", str(path), f"a path with {' or '.join(_SUFFIXES)}")
    check(not path.exists(), "path", str(path), "that of a new file")
    run_directory.check_writable(path.parent, "path")
    content = _CONFIG.value.to_dict()
    settings = content["learner"].get("demonstrations")
    rule = "a config whose learner learns from demonstrations, such as mil/reach"
    check(settings is not None, "config", content["learner"]["name"], rule)
    rule = "left out, as the expert demonstrates"
    check(not settings["path"], "config.learner.demonstrations.path", settings["path"], rule)
    experiment = Experiment.planned(content, _SEED.value)
    config, family = experiment.config, experiment.environment
    num_tasks = config.num_tasks if _NUM_TASKS.value is None else _NUM_TASKS.value
    check_whole("num_tasks", num_tasks, 1)

    @tf.function(autograph=False)
    def play(task, key):
        return demonstrations.demonstrate(
            *(family, task, settings["per_task"], key),
            noise=settings["noise"],
            attempts=settings["attempts"],
        )

    shown, counts = [], {"training": 0, "test": 0}
    for seed in config.seeds:
        population, key = experiment.population(seed, num_tasks), keys.from_int(keys.EXAMPLES)
        rule = "a family with a finite number of training tasks, each to be demonstrated"
        check(population.draw is None, "environment", config.environment_name, rule)
        parts = (population.train, key), (population.test, keys.fold(key, _SALT, seed))
        for kind, (task, own) in zip(counts, parts):
            shown.append((task, demonstrations.in_turn(play, task, own)))
            counts[kind] += nest.leading(task)
    task, trajectory = (nest.concat(*part) for part in zip(*shown))
    _save(demonstrations.keep(trajectory, task), path)
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    print(f"tasks           {sum(counts.values())} ({told})")
    print(f"demonstrations  {settings['per_task']} of each, {_success(trajectory)}")
    print(f"file            {path}, {path.stat().st_size / 2**20:.1f} MiB")
    if family.notice:
        print(family.notice)
    return 0


def _save(kept, path):
    """Writes the file in one piece, and its folder if that is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    write = kept.save_tfrecord if path.suffix == demonstrations.TFRECORD else kept.save
    write(part)
    os.replace(part, path)


def _success(trajectory):
    """How good the expert was: its successes, where returns are 1 for success and 0 else."""
    returns = episode_return(trajectory).numpy()
    if np.isin(returns, (0, 1)).all():
        return f"{100 * returns.mean():.1f} % of them successes"
    return f"mean return {returns.mean():.4g}"


if __name__ == "__main__":
    _app.run(main)
