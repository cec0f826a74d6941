"""`tfcaml film`, and the films of an evaluation."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

from tests.environments.mujoco.test_film import draws
from tests.reporting.run_reports import read_page

_ROBOT = """
from tfcaml.configs import base
from tfcaml import environments, learners


def get_config():
    config = learners.Reptile.Config(num_iterations=1, inner_updates=1, episodes_per_update=2)
    return base.experiment(
        base.section("half_cheetah_direction", environments.HalfCheetahDirectionConfig(horizon=5)),
        base.section("reptile", config),
        policy=dict(fc_layer_params=(4,), activation="tanh"),
        evaluation=dict(num_tasks=2, num_updates=2, episodes=2),
    )
"""
NOTHING_DRAWS = {"MUJOCO_GL": "glfw", "DISPLAY": "", "WAYLAND_DISPLAY": ""}


@pytest.fixture(scope="module")
def robot_run(serve, tmp_path_factory):
    """(a finished run of a robot, what its training printed)."""
    root = tmp_path_factory.mktemp("robot") / "run"
    (root.parent / "robot.py").write_text(_ROBOT)
    code, lines = serve("train", f"--config={root.parent / 'robot.py'}", f"--root_dir={root}")
    assert code == 0, lines
    return root, lines


@draws
@pytest.mark.slow
def test_an_evaluation_has_a_film_in_the_report_and_in_tensorboard(robot_run):
    root, lines = robot_run
    assert not [line for line in lines if "No films" in line]
    page = read_page((root / "report.html").read_text())
    events = event_accumulator.EventAccumulator(str(root / "eval")).Reload()
    for name, tag in (("reptile_film.gif", "reptile_film_animation"), ("reptile_film.png",) * 2):
        content = (root / "figures" / name).read_bytes()
        image = Image.open(io.BytesIO(content))
        assert f"figures/{name}" in page.text
        [event] = events.Tensors(f"evaluation/{tag.removesuffix('.png')}")
        width, height, written = tf.make_ndarray(event.tensor_proto)
        assert (int(width), int(height)) == image.size and written == content
        assert f"figure       {root / 'figures' / name}" in lines
    assert Image.open(root / "figures" / "reptile_film.gif").n_frames == 6


@draws
@pytest.mark.slow
def test_a_panel_for_each_measurement_with_the_return_that_was_measured(
    robot_run, run_all, tmp_path
):
    """Of the first of the episodes whose mean the evaluation has."""
    root, _ = robot_run
    out = tmp_path / "films"
    arguments = [f"--root_dir={root}", "--task=1", f"--out={out}"]
    cases = [arguments, [*arguments, "--num_updates=0", "--method=reptile", "--seed=0"]]
    (code, lines), (other, fewer) = run_all("film", cases)
    assert code == other == 0, (lines, fewer)
    assert [line.split(":")[0] for line in lines[:3]] == [
        *("Before any update", "After 1 update", "After 2 updates"),
    ]
    assert fewer[0] == lines[0] and fewer[1].startswith("film ")
    assert sorted(path.name for path in out.iterdir()) == [
        *("reptile_seed_0_task_1.gif", "reptile_seed_0_task_1.png"),
    ]
    returns = json.loads((root / "eval" / "evaluation.json").read_text())
    means = np.array(returns["methods"]["reptile"]["returns"])[0, :, 1]
    shown = [float(line.split()[-1].replace("\N{MINUS SIGN}", "-")) for line in lines[:3]]
    assert (np.abs(means - shown) < 10).all() and np.unique(shown).size == 3


@draws
@pytest.mark.slow
def test_without_out_films_lie_in_the_run(robot_run, serve):
    root, _ = robot_run
    code, lines = serve("film", f"--root_dir={root}", "--num_updates=1")
    assert code == 0, lines
    for line in lines[-2:]:
        assert line.split()[-1].startswith(str(root / "films" / "reptile_seed_0_task_0."))


@pytest.mark.slow
def test_where_nothing_can_be_drawn_an_evaluation_says_so_and_goes_on(robot_run, serve, stop_all):
    root, _ = robot_run
    before = (root / "eval" / "evaluation.csv").read_bytes()
    cases = [{"arguments": [f"--root_dir={root}"], "environ": NOTHING_DRAWS}]
    [(code, lines)] = stop_all("evaluate", cases)
    assert code == 0, lines
    [told] = [line for line in lines if "No films of half_cheetah_direction: expected" in line]
    assert "received glfw: " in told
    assert (root / "eval" / "evaluation.csv").read_bytes() == before
    assert not list((root / "figures").glob("*_film.*"))
    [(code, lines)] = stop_all("film", cases)
    assert code == 2 and len(lines) == 1, lines
    assert lines[0].startswith("error: expected OpenGL that draws without a screen, EGL or OSMesa")


@draws
@pytest.mark.slow
def test_bad_input_is_one_line_and_leaves_nothing(robot_run, run_all, tmp_path, tiny_run):
    root, _ = robot_run
    (tmp_path / "file").write_text("")
    here, out = f"--root_dir={root}", f"--out={tmp_path / 'out'}"
    cases = {
        "method to be one of reptile; received method='maml'": [here, "--method=maml"],
        "seed to be one of 0; received seed=4": [here, "--seed=4"],
        "task to be a whole number from 0 to 1; received task=2": [here, "--task=2"],
        "received task=-1": [here, "--task=-1"],
        "num_updates": [here, "--num_updates=-1"],
        "out to be writable": [here, f"--out={tmp_path / 'file' / 'films'}"],
        "a family that can be filmed": [f"--root_dir={tiny_run}"],
        "directory of a run": [f"--root_dir={tmp_path / 'nowhere'}"],
        "the flag --root_dir=VALUE": [],
    }
    results = run_all("film", [[out, *case] for case in cases.values()])
    for (message, case), (code, lines) in zip(cases.items(), results, strict=True):
        assert code == 2 and len(lines) == 1, (case, lines)
        assert lines[0].startswith("error: ") and message in lines[0], (message, lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@draws
@pytest.mark.slow
def test_a_run_that_is_not_trained_is_named(robot_run, serve, tmp_path):
    root = tmp_path / "run"
    config = f"--config={robot_run[0].parent / 'robot.py'}"
    code, lines = serve("train", config, f"--root_dir={root}", plan=True)
    assert code == 3, lines
    code, lines = serve("film", f"--root_dir={root}")
    assert code == 2 and len(lines) == 1, lines
    assert "reptile with seed 0 is trained for 0 of 1 iterations; run tfcaml train" in lines[0]
    assert not (root / "films").exists()
