"""Films how a trained method of a finished run adapts: a GIF, and a PNG of pictures from it.

tfcaml film --root_dir=runs/cheetah --method=maml --seed=0 --task=1
"""

import pathlib

from absl import flags

from tfcaml import evaluation, figures
from tfcaml.errors import ConfigError, check_whole
from tfcaml.experiments import run_directory
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting.evaluation_figures import film_label, film_title

from . import _app

_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of a run, also of one of a study.")
_PLUGIN = _app.define_plugin()
_METHOD = flags.DEFINE_string("method", None, "Which of the run's methods; its main one if unset.")
_SEED = flags.DEFINE_integer("seed", None, "Which of the run's seeds; its first if unset.")
_TASK = flags.DEFINE_integer("task", 0, "Which of the seed's test tasks, from 0.")
_NUM_UPDATES = flags.DEFINE_integer(
    "num_updates", None, "Adaptation steps; the run's own if unset."
)
_OUT = flags.DEFINE_string("out", None, "Directory of the files; ROOT_DIR/films if unset.")
flags.mark_flags_as_required(["root_dir"])

_MOST_PANELS = 8
_MOST_PICTURES = 200


def main(_):
    given = {} if _NUM_UPDATES.value is None else {"num_updates": _NUM_UPDATES.value}
    experiment = Experiment.open(_ROOT_DIR.value, plugins=_PLUGIN.value, read_only=True, **given)
    config, family = experiment.config, experiment.environment
    check_whole("task", _TASK.value, 0, config.num_tasks - 1)
    if family.film([]) is None:
        raise ConfigError(
            "expected a run in a family that can be filmed, one that MuJoCo simulates; received "
            f"{config.environment_name}"
        )
    method = next(iter(config.learners)) if _METHOD.value is None else _METHOD.value
    seed = config.seeds[0] if _SEED.value is None else _SEED.value
    learner = experiment.trained(method, seed)
    out = pathlib.Path(_OUT.value or pathlib.Path(_ROOT_DIR.value, "films"))
    run_directory.check_writable(out, "out")
    found = evaluation.evaluate(
        learner,
        experiment.population(seed).test,
        num_updates=config.num_updates,
        num_episodes=config.episodes,
        seed=seed,
        shown_task=_TASK.value,
    )
    last = len(found.shown) - 1
    updates = sorted({round(last * i / (_MOST_PANELS - 1)) for i in range(_MOST_PANELS)})
    shown = [found.shown[update] for update in updates]
    labels = map(film_label, updates, shown)
    films = dict(zip(labels, family.film(shown, _MOST_PICTURES)))
    title = film_title(method, config.environment_name, shown[0].task)
    name = out / f"{method}_seed_{seed}_task_{_TASK.value}"
    out.mkdir(parents=True, exist_ok=True)
    name.with_suffix(".gif").write_bytes(figures.film_gif(films, title))
    figures.save(figures.film_sheet(films, title), name.with_suffix(".png"))
    print("\n".join([*films, f"film      {name}.gif", f"pictures  {name}.png"]))
    return 0


if __name__ == "__main__":
    _app.run(main)
