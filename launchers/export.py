"""Saves a trained method of a finished run as a SavedModel that needs only TensorFlow.

tfcaml export --root_dir=runs/particles --method=caml --seed=0 --out=models/caml
"""

from absl import flags

from tfcaml import agents
from tfcaml.experiments import run_directory
from tfcaml.experiments.experiment import Experiment

from . import _app

_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of a run, also of one of a study.")
_PLUGIN = _app.define_plugin()
_METHOD = flags.DEFINE_string("method", None, "Which of the run's methods; its main one if unset.")
_SEED = flags.DEFINE_integer("seed", None, "Which of the run's seeds; its first if unset.")
_OUT = flags.DEFINE_string("out", None, "Directory of the export, new or empty.")
_SHOTS = flags.DEFINE_integer("shots", None, "Episodes per update; the run's own if unset.")
flags.mark_flags_as_required(["root_dir", "out"])


def main(_):
    experiment = Experiment.open(_ROOT_DIR.value, plugins=_PLUGIN.value, read_only=True)
    run_directory.check_writable(_OUT.value, "out")
    config = experiment.config
    method = next(iter(config.learners)) if _METHOD.value is None else _METHOD.value
    seed = config.seeds[0] if _SEED.value is None else _SEED.value
    card = agents.export(experiment.trained(method, seed), _OUT.value, shots=_SHOTS.value)
    print(f"{method}, seed {seed}: an update learns from {card['shots']} {card['adapts_to']}")
    print(f"model  {_OUT.value}")
    print(f"card   {_OUT.value}/card.json")
    return 0


if __name__ == "__main__":
    _app.run(main)
