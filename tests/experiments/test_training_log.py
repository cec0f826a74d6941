"""What a training run shows of faults; the rest of its events is tested with the experiment."""

import tensorflow as tf
from gymnasium.envs.classic_control import cartpole

from tests.experiments.test_experiment import small_config
from tests.reporting.run_reports import read_page
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.run_directory import RunDirectory
from tfcaml.experiments.training_log import logged_faults
from tfcaml.reporting import tensorboard


def test_faults_of_environments_are_counted_for_each_training(tmp_path, monkeypatch):
    """The third and the fourth step fail, and with the retries no other."""
    steps, step = [0], cartpole.CartPoleEnv.step

    def failing(self, action):
        steps[0] += 1
        if steps[0] in (3, 4):
            raise RuntimeError("the cart has lost a wheel")
        return step(self, action)

    monkeypatch.setattr(cartpole.CartPoleEnv, "step", failing)
    content = small_config()
    content["environment"] = {"name": "cart_pole", "horizon": 3, "num_train": 4}
    content["learner"] = {"name": "reptile", "num_iterations": 2, "episodes_per_update": 2}
    content["compared"] = {}
    config = ExperimentConfig.from_dict(content)
    assert Experiment(config, RunDirectory(tmp_path, {"config": content})).train()
    counts = [
        tensorboard.read_scalars(
            tmp_path / "train" / "reptile" / f"seed_{seed}", "training_faults/"
        )
        for seed in (0, 1)
    ]
    assert counts[0]["errors"] == {0: 2, 1: 2} and counts[0]["retried_episodes"] == {0: 2, 1: 2}
    assert counts[1]["errors"] == {0: 0, 1: 0}
    assert counts[0]["bad_updates"] == counts[1]["bad_updates"] == {0: 0, 1: 0}
    page = read_page((tmp_path / "report.html").read_text())
    assert "Errors of the environment in training reptile 0 2 Retried" in page.text
    assert "Trained, and not evaluated yet." in page.text and "reptile 1" not in page.text


def test_counts_that_begin_again_are_added_up(tmp_path):
    """Each time that training is gone on with, the environment counts from 0."""
    writer = tf.summary.create_file_writer(str(tmp_path))
    for step, errors in enumerate((0, 2, 3, 1, 1, 4, 0)):
        values = {"errors": errors, "timeouts": 0, "bad_updates": 9}
        tensorboard.write_scalars(writer, values, step, prefix=tensorboard.FAULTS)
    writer.close()
    assert logged_faults(tmp_path) == {"errors": 3 + 4, "timeouts": 0}
