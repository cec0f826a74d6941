"""Running a shipped config as part of a study."""

from tfcaml.experiment import Experiment, ExperimentConfig
from tfcaml.run_directory import RunDirectory


def run_config(content, study_seeds, root):
    """Trains and evaluates a config in a run directory, going on where it stopped.

    Args:
      content: the config as dict.
      study_seeds: consecutive Python ints.
      root: path of the run directory.

    Returns:
      (`Experiment`, summary of its evaluation, see `tfcaml.report.summarize`).
    """
    content = content | {"num_seeds": len(study_seeds)}
    config = ExperimentConfig.from_dict(content, study_seeds[0], jit_compile=None)
    experiment = Experiment(config, RunDirectory(root, {"config": content}))
    experiment.train()
    return experiment, experiment.evaluate()[0]


def interval(row, digits=1):
    """A value with its interval, as text. row: dict(value, lower, upper)."""
    if row["lower"] is None:
        return f"{row['value']:.{digits}f}"
    return f"{row['value']:.{digits}f} [{row['lower']:.{digits}f}, {row['upper']:.{digits}f}]"
