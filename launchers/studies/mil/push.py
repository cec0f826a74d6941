"""Pushing of the object of the colour that a demonstration shows.

Runs the config `mil/push` in a run directory of the study, so that it goes on where it stopped.
"""

from tfcaml.configs.mil import push

from tfcaml.experiments.experiment import Experiment

from ..runs import run_parts
from . import imitation


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    return run_parts((objects,), study_seeds, out_dir, quick, train)


def objects(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Policies that observe places and colours of objects."""
    content, root = push.get_config().to_dict(), out_dir / "runs" / "mil_push"
    title = "Pushing, objects observed"
    return imitation.part("push", title, content, study_seeds, root, quick, train)
