"""The whole path: config, training, stop and resume, evaluation, files."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tfcaml.configs.caml import particles as caml_particles
from tfcaml.configs.maml import sinusoid as maml_sinusoid

from launchers import _configs
from tests.dotted import nested
from tests.reporting.run_reports import read_page
from tfcaml import learners, nest, training
from tfcaml.errors import ConfigError, RunError
from tfcaml.experiments.config import completed
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.jobs import Ended
from tfcaml.experiments.run_directory import RunDirectory
from tfcaml.experiments.trainer import TrainingOptions
from tfcaml.reporting import tensorboard
from tfcaml.types import Trajectory


def small_config():
    config = caml_particles.get_config()
    config.environment.horizon = 8
    config.policy.fc_layer_params = (8,)
    config.num_seeds = 2
    config.save_interval = 2
    config.evaluation.update({"num_tasks": 2, "num_updates": 2, "episodes": 4})
    config.learner.update(
        {
            "num_iterations": 5,
            "meta_batch_size": 2,
            "inner_updates": 2,
            "policies_per_clustering": 4,
            "num_medoids": 2,
            "divergence": {"num_states": 30},
        }
    )
    del config.compared["joint"]
    config.compared.reptile.update({"num_iterations": 5, "inner_updates": 2})
    return config.to_dict()


_LEARNERS = {}  # compiled once; `Experiment` resets a learner before it uses it


def _experiment(root, should_stop=lambda: False, **changes):
    content = small_config() | changes
    config = ExperimentConfig.from_dict(content)
    experiment = Experiment(config, RunDirectory(root, {"config": content}), should_stop)
    experiment.trainer.learners = _LEARNERS
    return experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    experiment = _experiment(root)
    experiment.train()
    summary, paths = experiment.evaluate()
    return root, summary, paths


@pytest.mark.slow
def test_run_leaves_numbers_pictures_and_events(finished):
    root, summary, paths = finished
    assert set(summary["methods"]) == {"caml", "random", "reptile"}
    assert np.shape(summary["methods"]["caml"]["returns"]) == (2, 3, 2)
    assert {path.name for path in paths} == {
        "adaptation.gif",
        "adaptation.png",
        "caml_divergence_matrix.png",
        "caml_policy_map.png",
        "caml_training.png",
        "reptile_training.png",
        "trajectories.png",
    }
    assert (root / "eval" / "evaluation.csv").read_text().count("\n") == 1 + 3 * 2 * 2 * 3


@pytest.mark.slow
def test_the_report_has_all_of_it(finished):
    root, summary, paths = finished
    page = read_page((root / "report.html").read_text())
    assert len(page.of("img")) == len(paths) and not (root / "report.html.part").exists()
    assert all(f"figures/{path.name}" in page.text for path in paths)
    for text in (
        *("caml on particle", "On 2 test tasks with each seed", "reptile", "0 to 1", "k = 2"),
        *("policies_per_clustering 4", "fc_layer_params 8", "num_medoids 2", "horizon 8"),
        *("Experiment.create(", f"tfcaml evaluate --root_dir={root}", "Nothing: every update"),
    ):
        assert text in page.text, text
    mean = summary["methods"]["caml"]["summary"][-1]["mean"]["value"]
    digits = 0 if abs(mean) >= 100 else 1
    assert f"of {mean:.{digits}f} after 2 updates".replace("-", "\N{MINUS SIGN}") in page.text
    kept = json.loads((root / "versions.json").read_text())
    assert kept["machine"]["cpu"] in page.text and kept["source_sha256"] in page.text


@pytest.mark.slow
def test_the_animation_has_a_panel_for_each_method_and_a_part_for_each_measurement(finished):
    """Eight steps, a frame each, before and after two updates."""
    image = Image.open(finished[0] / "figures" / "adaptation.gif")
    durations = []
    for index in range(image.n_frames):
        image.seek(index)
        durations.append(image.info["duration"])
    assert image.n_frames == 3 * 9 and durations[:-1] == (3 * [*8 * [80], 900])[:-1]
    events = event_accumulator.EventAccumulator(str(finished[0] / "eval")).Reload()
    [event] = events.Tensors("evaluation/adaptation_animation")
    width, height, gif = tf.make_ndarray(event.tensor_proto)
    assert (int(width), int(height)) == image.size
    assert gif == (finished[0] / "figures" / "adaptation.gif").read_bytes()


@pytest.mark.slow
def test_events_have_every_iteration_once(finished):
    root, _, _ = finished
    events = event_accumulator.EventAccumulator(
        str(root / "train" / "caml" / "seed_0"), size_guidance={"tensors": 0}
    ).Reload()
    assert [e.step for e in events.Tensors("train/return_before")] == list(range(5))
    assert [e.step for e in events.Tensors("training_details/silhouette")] == [1, 3, 4]
    assert "clusters/policy_map" in events.Tags()["tensors"]


@pytest.mark.slow
def test_clusterings_are_drawn_of_the_first_seed(finished):
    """Every other seed has the same numbers, and no pictures."""
    tags = [set(_all_events(finished[0] / "train" / "caml" / f"seed_{i}")) for i in (0, 1)]
    assert tags[0] - tags[1] == {"clusters/divergence_matrix", "clusters/policy_map"}
    assert tags[1] < tags[0] and "training_details/silhouette" in tags[1]


@pytest.mark.slow
def test_events_are_written_every_log_interval_and_at_the_end(finished, tmp_path):
    experiment = _experiment(tmp_path, log_interval=2)
    experiment.train()
    run = lambda root: tensorboard.read_scalars(root / "train" / "reptile" / "seed_1", "train/")
    sparse, full = run(tmp_path)["return_before"], run(finished[0])["return_before"]
    assert list(sparse) == [1, 3, 4]
    assert sparse == {step: full[step] for step in sparse}


@pytest.mark.slow
def test_stopped_and_resumed_equals_uninterrupted(finished, tmp_path):
    root, _, _ = finished
    calls = iter(range(100))
    first = _experiment(tmp_path, should_stop=lambda: next(calls) == 2)
    assert not first.train()
    stopped = read_page((tmp_path / "report.html").read_text())
    assert "Stopped after 3 of 20 training iterations" in stopped.text
    second = _experiment(tmp_path)
    assert second.train()
    assert "Trained, and not evaluated yet." in (tmp_path / "report.html").read_text()
    second.evaluate()
    assert "Stopped" not in read_page((tmp_path / "report.html").read_text()).text
    read = lambda folder: (folder / "eval" / "evaluation.json").read_bytes()
    assert read(tmp_path) == read(root)


FOLLOWED = {
    "divergence_interval": 3,
    "divergence": {"num_updates": 1, "episodes": 1, "num_clusters": 2, "bandwidth": 0.5},
}


def _reptile_alone(root, should_stop=lambda: False, **changes):
    baseline = small_config()["compared"]["reptile"]
    alone = {"learner": baseline, "compared": {}, "num_seeds": 1}
    return _experiment(root, should_stop, **alone, **changes)


@pytest.mark.slow
def test_following_divergence_changes_no_number_and_resumes(tmp_path):
    """Bit-equal with the run that does not follow; a resumed history with an uninterrupted one."""
    plain, whole, parts = (tmp_path / name for name in ("plain", "whole", "parts"))
    calls = iter(range(100))
    # Stops between the records of iterations 2 and 4.
    assert not _reptile_alone(parts, lambda: next(calls) == 2, **FOLLOWED).train()
    weights, histories = [], []
    for root, changes in ((plain, {}), (whole, FOLLOWED), (parts, FOLLOWED)):
        experiment = _reptile_alone(root, **changes)
        assert experiment.train()
        variables = experiment.trained("reptile", 0).variables
        weights.append(np.concatenate([np.ravel(variable) for variable in variables]))
        folder = root / "train" / "reptile" / "seed_0"
        histories.append(tensorboard.read_scalars(folder, "divergence/"))
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert histories[0] == {} and histories[1] == histories[2]
    assert all(list(points) == [2, 4] for points in histories[1].values())
    assert {"mean", "silhouette", "ari", "nearest_neighbour"} <= set(histories[1])
    _, paths = experiment.evaluate(episodes=2)
    drawn = {f"reptile_adapted_{kind}.png" for kind in ("matrix", "map", "curves")}
    assert {path.name for path in paths} > drawn


@pytest.mark.slow
def test_what_was_learned_by_an_iteration_is_there_if_its_checkpoint_is(tmp_path):
    """The start, and every iteration whose checkpoint is kept."""
    experiment = _reptile_alone(tmp_path)
    experiment.trainer.options = TrainingOptions(save_interval=1, keep=9)
    assert experiment.train()
    bits = lambda *given: np.concatenate(
        [np.ravel(x) for x in experiment.trained("reptile", 0, *given).meta.variables]
    )
    length = experiment.config.learners["reptile"][1].num_iterations
    found = [bits(iteration) for iteration in range(length + 1)]
    assert len({row.tobytes() for row in found}) == length + 1
    np.testing.assert_array_equal(found[-1], bits())
    learner = experiment.trained("reptile", 0, 1)
    assert int(learner.iteration) == 1
    training.train_iteration(learner, experiment.population(0), 0)
    np.testing.assert_array_equal(
        np.concatenate([np.ravel(x) for x in learner.meta.variables]), found[2]
    )
    few = _reptile_alone(tmp_path)
    with pytest.raises(
        ConfigError, match=r"iteration to be one whose checkpoint .* holds; received"
    ):
        few.trained("reptile", 0, length + 1)


def _all_events(folder):
    """What TensorBoard reads: tag -> [(step, value)], without timings."""
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    rows = {}
    for tag in found.Tags()["tensors"]:
        timing = tag.endswith("per_second") or tag.startswith("_hparams_")
        rows[tag] = sorted(
            (row.step, None if timing else row.tensor_proto.SerializeToString())
            for row in found.Tensors(tag)
        )
    return rows


@pytest.mark.slow
def test_runs_that_broke_off_end_as_whole_ones_with_every_event_once(tmp_path):
    """Events, pictures among them, are ahead of the checkpoint when a run breaks off."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    changes = {"num_seeds": 1, **FOLLOWED}
    _experiment(whole, **changes).train()

    def breaks_off(number):
        calls = iter(range(100))

        def should_stop():
            if next(calls) == number:
                raise KeyboardInterrupt

        return should_stop

    # In CAML's second iteration, before any checkpoint, and fourth; in Reptile's fourth.
    for number in (1, 3, 6):
        with pytest.raises(KeyboardInterrupt):
            _experiment(broken, breaks_off(number), **changes).train()
    folder = broken / "train" / "reptile" / "seed_0"
    assert max(tensorboard.read_scalars(folder)["train/return_last_update"]) == 3
    assert _experiment(broken, **changes).train()
    for method in ("caml", "reptile"):
        folders = [root / "train" / method / "seed_0" for root in (whole, broken)]
        left, right = map(_all_events, folders)
        assert left == right
        assert [step for step, _ in right["train/return_last_update"]] == list(range(5))
        assert {"divergence/matrix", "training_faults/bad_updates"} <= set(right)
        values = []
        for root in (whole, broken):
            learner = _experiment(root, **changes).trained(method, 0)
            values.append([variable.numpy() for variable in learner.variables])
        for one, other in zip(*values, strict=True):
            np.testing.assert_array_equal(one, other)


def test_half_an_event_at_the_end_of_a_file_is_dropped(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    for step in range(4):
        tensorboard.write_scalars(writer, {"a": float(step)}, step)
    writer.close()
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    tensorboard.drop_from(tmp_path, 4)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-3])
    tensorboard.drop_from(tmp_path, 4)
    assert len(path.read_bytes()) < len(whole) - 3
    assert tensorboard.read_scalars(tmp_path) == {"a": {0: 0.0, 1: 1.0, 2: 2.0}}
    tensorboard.drop_from(tmp_path, 1)
    assert tensorboard.read_scalars(tmp_path) == {"a": {0: 0.0}}
    tensorboard.drop_from(tmp_path, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_checkpoints_of_another_run_are_refused(finished, tmp_path):
    """The environment, the learner and its options, by the first difference."""
    for method, message in (
        ("caml", r"config\.environment\.horizon is 8 there and 9 here"),
        ("reptile", r"learner is 'CAML' there and 'Reptile' here"),
    ):
        root = tmp_path / method
        folder = root / "train" / method / "seed_0" / "checkpoints"
        content = small_config()
        content["environment"]["horizon"] = 9 if method == "caml" else 8
        if method == "reptile":
            content |= {"learner": content["compared"]["reptile"], "compared": {}}
        directory = RunDirectory(root, {"config": content})
        shutil.copytree(finished[0] / "train" / "caml" / "seed_0" / "checkpoints", folder)
        before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
        with pytest.raises(ConfigError, match=message):
            Experiment(ExperimentConfig.from_dict(content), directory).train()
        assert before == sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
        assert [path.name for path in folder.parent.iterdir()] == ["checkpoints"]


def _events(folder):
    return event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def _hparams(events, tag):
    content = events.summary_metadata[f"_hparams_/{tag}"].plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


@pytest.mark.slow
def test_pages_of_tensorboard_are_there_once(finished):
    root, summary, _ = finished
    _experiment(root).evaluate()  # again: its events replace the first ones
    for folder in (root / "eval", root / "eval" / "caml", root / "eval" / "caml" / "seed_0"):
        assert len(list(folder.glob("events.*"))) == 1
    tags = set(_events(root / "eval").Tags()["tensors"])
    assert {"custom_scalars__config__", "evaluation/adaptation"} <= tags
    curve = _events(root / "eval" / "caml")
    assert [e.step for e in curve.Tensors("adaptation/return_mean")] == [0, 1, 2]
    curves = tensorboard.read_scalars(root / "eval" / "caml" / "seed_1", "adaptation/")
    expected = np.mean(summary["methods"]["caml"]["returns"][1], axis=1)
    np.testing.assert_allclose(list(curves["return"].values()), expected, rtol=1e-5)


@pytest.mark.slow
def test_every_custom_chart_has_data_and_every_number_of_training_a_description(finished):
    root = finished[0]
    tags, texts = set(), {}
    for path in root.rglob("events.*"):
        events = _events(path.parent)
        tags |= set(events.Tags()["tensors"])
        texts |= {tag: events.SummaryMetadata(tag) for tag in events.Tags()["tensors"]}
    content = _events(root / "eval").Tensors("custom_scalars__config__")[0].tensor_proto
    layout = layout_pb2.Layout.FromString(content.string_val[0])
    charts = [chart for category in layout.category for chart in category.chart]
    patterns = [pattern for chart in charts for pattern in chart.multiline.tag]
    assert len(patterns) == len(charts) >= 5  # two seeds: no band
    for pattern in patterns:
        assert any(re.match(pattern, tag) for tag in tags), pattern
    assert len({chart.title for chart in charts}) == len(charts)
    scalars = {tag for tag in texts if texts[tag].plugin_data.plugin_name == "scalars"}
    assert {"train/return_before", "training_details/largest_cluster"} <= scalars
    assert all(texts[tag].summary_description.endswith(".") for tag in scalars)
    assert "training_details/bad_update" not in tags  # counted in training_faults/bad_updates
    groups = [tag.split("/")[0] for tag in sorted(scalars)]
    order = ["adaptation", "held_out", "train", "training_details", "training_faults"]
    assert list(dict.fromkeys(groups)) == order


@pytest.mark.slow
def test_trials_are_named_and_have_the_return_before_and_after(finished):
    root, summary, _ = finished
    experiment = _hparams(_events(root / "eval"), "experiment").experiment
    columns = sorted(info.name for info in experiment.hparam_infos)  # as TensorBoard sorts them
    assert columns[:5] == ["Environment", "Held-out tasks", "Method", "Seed", "Updates"]
    assert "divergence.num_states" in columns and "outer_step_size" in columns
    names = [info.name.tag for info in experiment.metric_infos]
    assert names == ["held_out/return_before", "held_out/return_after"]
    trials = {}
    for method, values in summary["methods"].items():
        for seed, returns in zip((0, 1), np.mean(values["returns"], axis=2)):
            folder = root / "eval" / method / f"seed_{seed}"
            trial = _hparams(_events(folder), "session_start_info").session_start_info
            trials[trial.group_name] = trial
            shown = {name: trial.hparams[name].string_value for name in columns[:4]}
            assert shown == {
                "Environment": "particle",
                "Held-out tasks": "2",
                "Method": method,
                "Seed": str(seed),
            }
            found = tensorboard.read_scalars(folder, "held_out/")
            np.testing.assert_allclose(found["return_before"][0], returns[0], rtol=1e-5)
            np.testing.assert_allclose(found["return_after"][2], returns[-1], rtol=1e-5)
    assert set(trials) == {f"{m}, seed {s}" for m in summary["methods"] for s in (0, 1)}


@pytest.mark.slow
def test_no_file_has_a_name_that_tensorflow_reads_as_its_own(finished):
    """`checkpoint` is where TensorFlow looks for the newest checkpoint of a directory."""
    names = {path.name for path in finished[0].rglob("*")}
    assert "checkpoints" in names
    assert not names & {"checkpoint", "projector_config.pbtxt", "plugins"}


@pytest.mark.slow
def test_a_run_whose_checkpoints_have_their_old_name_goes_on(tmp_path):
    calls = iter(range(100))
    assert not _reptile_alone(tmp_path, lambda: next(calls) == 2).train()
    folder = tmp_path / "train" / "reptile" / "seed_0"
    (folder / "checkpoints").rename(folder / "checkpoint")
    assert _reptile_alone(tmp_path).train()
    assert (folder / "checkpoint" / "iteration-5").exists()
    assert not (folder / "checkpoints").exists()
    assert len(tensorboard.read_scalars(folder)["train/return_before"]) == 5


def test_settings_in_groups_are_shown_by_their_dotted_names(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    config = dataclasses.asdict(learners.MAML.Config())
    tensorboard.write_trial(writer, {"method": "maml", "seed": "3"}, config, [-2.0, -1.0])
    writer.close()
    shown = _hparams(_events(tmp_path), "session_start_info").session_start_info.hparams
    assert shown["outer.optimizer"].string_value == "trpo"
    assert shown["advantage.discount"].number_value == 0.99
    assert shown["inner_updates"].number_value == 1 and "outer" not in shown
    assert shown["Method"].string_value == "maml" and shown["Seed"].string_value == "3"


# Public methods of an experiment that only tell something, with arguments.
TOLD = {
    "environment_steps": ["reptile"],
    "evaluate": [],
    "population": [1],
    "training_seconds": ["caml"],
    "note_training": ["caml", 0, Ended(True, 1.0, 0)],
    "write_failure": [RunError("it failed")],
    "write_progress": [],
}


@pytest.mark.slow
def test_what_only_tells_something_changes_no_learner(finished):
    experiment = _experiment(finished[0])
    public = {name for name in vars(Experiment) if not name.startswith("_")}
    others = {"begin", "create", "directory", "open", "planned", "train", "trained"}
    assert public - set(TOLD) == others  # each is one or the other
    learners = [experiment.trained(method, 0) for method in ("caml", "reptile")]
    read = lambda: [x.numpy() for learner in learners for x in learner.variables]
    before = read()
    assert [int(learner.iteration) for learner in learners] == [5, 5]
    for name, arguments in TOLD.items():
        getattr(experiment, name)(*arguments)
        for old, new in zip(before, read(), strict=True):
            np.testing.assert_array_equal(old, new, name)


@pytest.mark.slow
def test_training_time_is_kept_with_the_checkpoint(finished):
    root, _, _ = finished
    experiment = _experiment(root)
    assert experiment.training_seconds("caml") > 0
    assert experiment.environment_steps("reptile") == 5 * 1 * 2 * 10 * 8


def test_untrained_run_is_not_evaluated(tmp_path):
    with pytest.raises(ConfigError, match="is trained for 0 of 5 iterations"):
        _experiment(tmp_path).evaluate()


@pytest.mark.slow
def test_evaluation_can_be_larger_than_the_configs(finished):
    root, _, _ = finished
    experiment = _experiment(root)
    summary, _ = experiment.evaluate(num_tasks=3, num_updates=1, episodes=2)
    assert np.shape(summary["methods"]["reptile"]["returns"]) == (2, 2, 3)
    assert json.loads((root / "eval" / "evaluation.json").read_text())["num_tasks"] == 3
    experiment.evaluate()


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("learner", "inner_learning_rate", -1.0, "inner_learning_rate to be > 0"),
        ("learner", "num_medoids", 5, "num_medoids to be at most policies_per_clustering=4"),
        ("learner", "policies_per_clustering", 12, "num_iterations"),
        ("learner", "name", "nope", "learner nope name"),
        ("evaluation", "num_tasks", 0, r"evaluation\.num_tasks to be >= 1"),
        ("environment", "variance", 0.0, "differ from training entities"),
        ("environment", "step_size", 0.0, "step_size to be > 0"),
        ("policy", "activation", "nope", r"policy\.activation"),
        ("policy", "fc_layer_params", (8, -1), r"policy\.fc_layer_params to be 0 to 100 positive"),
        ("divergence", "num_clusters", 25, r"divergence\.num_clusters to be at most 24"),
        ("divergence", "bandwidth", -1.0, "divergence: expected bandwidth to be > 0"),
        ("divergence", "medoids", 3, "divergence: unknown field 'medoids'; allowed are"),
    ],
)
def test_bad_fields_are_named(section, field, value, message):
    content = small_config() | {"divergence_interval": 1}
    content[section][field] = value
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig.from_dict(content)


def test_divergence_is_of_learners_of_policies():
    content = maml_sinusoid.get_config().to_dict()
    with pytest.raises(ConfigError, match=r"adapts a policy to any entity.*='MAMLRegression'"):
        ExperimentConfig.from_dict(content | {"divergence_interval": 10})
    with pytest.raises(ConfigError, match="divergence_interval to be >= 0"):
        ExperimentConfig.from_dict(content | {"divergence_interval": -1})


def test_unknown_field_is_named_with_those_allowed():
    content = small_config()
    content["learner"]["medoids"] = 3
    with pytest.raises(ConfigError, match=r"unknown field 'medoids'; .*allowed are .*num_medoids"):
        ExperimentConfig.from_dict(content)


def test_runs_of_earlier_versions_take_the_defaults_of_fields_added_since(tmp_path, caplog):
    content = small_config()
    content["learner"]["choice"]["min_transfer"] = 0.5  # its default
    old = json.loads(json.dumps(content))
    del old["learner"]["choice"]["min_transfer"], old["learner"]["advantage"]
    RunDirectory(tmp_path, {"config": old, "seed": 0})
    ExperimentConfig.from_dict(old)
    RunDirectory(tmp_path, {"config": content, "seed": 0}, completed)
    assert (
        len(caplog.records) == 1 and "config.learner.choice.min_transfer; it is 0.5" in caplog.text
    )
    content["learner"]["choice"]["min_transfer"] = 0.25
    with pytest.raises(ConfigError, match=r"min_transfer is 0\.5 there and 0\.25 here"):
        RunDirectory(tmp_path, {"config": content, "seed": 0}, completed)
    del content["learner"]["choice"]["min_transfer"]
    with pytest.raises(ConfigError, match="another config"):
        RunDirectory(tmp_path, {"config": {**old, "learner": {}}, "seed": 0}, completed)


def _image_folders(root):
    """A folder of twenty images of each of five classes to learn from and of five others."""
    for index in range(10):
        folder = root / ("train" if index < 5 else "test") / str(index)
        folder.mkdir(parents=True)
        for drawing in range(20):
            Image.new("L", (4, 4), 10 * index + drawing).save(folder / f"{drawing}.png")
    return str(root)


@pytest.mark.parametrize("name", _configs.names())
def test_shipped_configs_are_valid(name, tmp_path):
    content = _configs.module(name).get_config().to_dict()
    if content["environment"]["name"] == "atari":
        pytest.importorskip("ale_py")
    if content["environment"]["name"] == "image_folders":
        content["environment"]["path"] = _image_folders(tmp_path)
    ExperimentConfig.from_dict(content)


def test_learners_of_a_run_take_the_loss_of_the_agent_it_names(tmp_path):
    content = small_config() | {"agent": "reinforce"}
    experiment = Experiment(ExperimentConfig.from_dict(content), RunDirectory(tmp_path, {}))
    learner = experiment.trainer.new("reptile", 0)
    assert learner.loss is experiment.loss and learner.policy is experiment.loss.policy
    with pytest.raises(ConfigError, match="agent to be one of none, ppo_clip, reinforce"):
        ExperimentConfig.from_dict(content | {"agent": "dqn"})


@pytest.mark.parametrize("agent", ["reinforce", "ppo_clip"])
def test_the_agents_discount_is_the_methods(agent, tmp_path):
    """Each method's own; those that have the same share an agent."""
    content = small_config() | {"agent": agent}
    for name, discount in (("random", 0.5), ("reptile", 0.25)):
        content["compared"][name]["advantage"]["discount"] = discount
    content["learner"]["advantage"]["discount"] = 0.5
    experiment = Experiment(ExperimentConfig.from_dict(content), RunDirectory(tmp_path, {}))
    made = {name: experiment.trainer.made(name) for name in ("caml", "random", "reptile")}
    assert made["caml"].loss is made["random"].loss is experiment.loss
    shape = [1, 1, 3]
    ones, zeros = tf.ones(shape), tf.zeros(shape)
    observation = tf.zeros([*shape, 2])
    episode = Trajectory(
        observation, tf.zeros(shape, tf.int32), ones, ones, zeros, zeros, observation[:, :, 0]
    )
    for name, discount in (("caml", 0.5), ("reptile", 0.25)):
        params = nest.repeat(made[name].policy.init(0), 1)
        if agent == "reinforce":  # its weight is the return itself
            found = made[name].loss.experience(None, params, episode).weight
            np.testing.assert_allclose(found[0, 0], [1 + discount + discount**2, 1 + discount, 1])
        assert getattr(made[name].loss.agent, GAMMA[agent]) == discount


GAMMA = {"reinforce": "_gamma", "ppo_clip": "_discount_factor"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("advantage.baseline", "none"),
        ("advantage.gae_lambda", 0.5),
        ("advantage.normalize", False),
        ("advantage.return_type", "whole_return"),
        ("inner_estimator", "dice"),
        ("outer.clip_ratio", 0.1),
    ],
)
def test_settings_that_an_agents_loss_replaces_are_refused(field, value):
    content = small_config()
    maml = {"outer.optimizer": "ppo", "inner_updates": 1, field: value}
    content["compared"] = {"mine": {"name": "maml", **nested(maml)}}
    ExperimentConfig.from_dict(content)
    with pytest.raises(ConfigError, match=f"{field} of mine to be .*, its default: the loss of ag"):
        ExperimentConfig.from_dict(content | {"agent": "reinforce"})


def test_regression_has_no_agent():
    content = maml_sinusoid.get_config().to_dict() | {"agent": "reinforce"}
    with pytest.raises(ConfigError, match="agent to be 'none' with maml_regression"):
        ExperimentConfig.from_dict(content)


def test_policies_with_memory_are_followed_by_no_divergence(tmp_path):
    content = small_config() | {"divergence_interval": 1}
    content["compared"] = {"mlsh": {"name": "mlsh"}}
    with pytest.raises(ConfigError, match="policies with memory have no occupancy over states"):
        Experiment.create(tmp_path / "run", content)
    assert not list(tmp_path.iterdir())


def test_what_a_learner_refuses_leaves_no_directory(tmp_path):
    content = small_config() | {"agent": "ppo_clip"}
    content["compared"] = {"maml": {"name": "maml"}}  # with TRPO, which has no say on values
    with pytest.raises(ConfigError, match=r"outer\.optimizer to be one of adam, ppo"):
        Experiment.create(tmp_path / "run", content)
    assert not list(tmp_path.iterdir())
