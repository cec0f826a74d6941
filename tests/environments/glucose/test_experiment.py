"""What a run of patients shows."""

import dataclasses

import pytest
from tfcaml.configs.glucose import cohort as glucose_cohort

from launchers.studies.runs import shrink
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.run_directory import RunDirectory


@pytest.mark.slow
def test_a_run_draws_glucose_over_the_day(tmp_path):
    content = glucose_cohort.get_config().to_dict()
    shrink(content)
    content["environment"] |= {"interval": 720, "sensor_interval": 180}
    content["num_seeds"] = 1
    config = ExperimentConfig.from_dict(content)
    config = dataclasses.replace(config, num_updates=1)
    experiment = Experiment(config, RunDirectory(tmp_path, {"config": content}))
    assert experiment.train()
    _, paths = experiment.evaluate()
    names = {path.stem for path in paths}
    assert {"glucose_before", "glucose_after", "adaptation"} <= names
