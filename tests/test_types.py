import ast
import itertools
import pathlib
import re

import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.types import in_a_row, last_steps, next_observation

PACKAGE = pathlib.Path(__file__).parent.parent / "tfcaml"


def test_next_observations_are_those_of_a_loop(random_trajectory):
    """Of episodes that end at different times, and of a nest with a number in it."""
    trajectory = random_trajectory(seed=3, shape=(3, 5, 6))
    length = trajectory.mask.numpy().sum(axis=-1).astype(int)
    assert len(np.unique(length)) > 3
    seen, final = trajectory.observation, trajectory.final_observation
    trajectory = trajectory._replace(
        observation={"place": seen, "height": seen[..., 0]},
        final_observation={"place": final, "height": final[..., 0]},
    )
    following = next_observation(trajectory)
    for name, value in following.items():
        observed = trajectory.observation[name].numpy()
        last = trajectory.final_observation[name].numpy()
        assert value.shape == observed.shape
        for n, e, t in np.ndindex(3, 5, 6):
            goes_on = t + 1 < length[n, e]
            expected = observed[n, e, t + 1] if goes_on else last[n, e]
            np.testing.assert_array_equal(value[n, e, t], expected)


def test_episodes_in_a_row_are_the_valid_steps_one_after_another(random_trajectory):
    """Of different lengths, one of them of none, and of nests; padded steps are the last."""
    episodes = random_trajectory(0, shape=(3, 5, 4))
    mask = tf.tensor_scatter_nd_update(episodes.mask, [[0, 2]], [tf.zeros([4])])
    start, noise = np.random.default_rng(0).normal(size=(3, 5, 2)), tf.ones([3, 5])
    episodes = episodes._replace(mask=mask, start=tf.constant(start), episode_noise=noise)
    episodes = episodes._replace(info={"last": episodes.reward[..., None]})
    whole, valid = in_a_row(episodes), np.asarray(mask, bool)
    assert len({int(v) for v in valid.sum(axis=(1, 2))}) > 1
    for name in ("observation", "action", "reward", "mask", "log_prob", "terminated", "info"):
        expected = tf.nest.flatten(getattr(episodes, name))[0].numpy()
        found = tf.nest.flatten(getattr(whole, name))[0].numpy()
        assert found.shape == (3, 1, 20, *expected.shape[3:])
        for n in range(3):
            steps = expected[n][valid[n]]
            np.testing.assert_array_equal(found[n, 0, : len(steps)], steps)
            assert not np.any(whole.mask[n, 0, len(steps) :])
    assert whole.episode_noise == ()
    np.testing.assert_array_equal(whole.start, start[:, :1])
    np.testing.assert_array_equal(whole.final_observation, episodes.final_observation[:, -1:])
    alone = random_trajectory(seed=3, shape=(2, 1, 6))
    same = nest.map(lambda x, y: np.array_equal(x * 1, y * 1), in_a_row(alone), alone)
    assert all(tf.nest.flatten(same))


def test_last_steps_are_the_last_valid_ones():
    """Also of whole episodes, and none of an episode without steps."""
    mask = np.array([[[1, 1, 0], [1, 1, 1], [0, 0, 0]]], np.float32)
    expected = [[[0, 1, 0], [0, 0, 1], [0, 0, 0]]]
    np.testing.assert_array_equal(last_steps(tf.constant(mask)), np.array(expected, bool))


def unannotated(path):
    """Public functions and methods of a module that lack the type of an argument or a result."""
    for name, function in public(ast.parse(path.read_text()).body):
        arguments = function.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [x for x in (arguments.vararg, arguments.kwarg) if x is not None]
        bare = [x.arg for x in given if x.annotation is None and x.arg not in ("self", "cls")]
        if bare or function.returns is None:
            yield f"{path.relative_to(PACKAGE)}:{function.lineno} {name}"


def public(body, above=""):
    """(name, function) of what a module or class defines, without what starts with one _."""
    for node in body:
        name = getattr(node, "name", "")
        if name.startswith("_") and not name.startswith("__"):
            continue
        if isinstance(node, ast.FunctionDef):
            yield above + name, node
        elif isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{name}.")


def test_all_that_is_public_is_annotated():
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 100
    assert not list(itertools.chain(*map(unannotated, sources)))


def test_what_is_not_annotated_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(
        "def good(x: int, *y: int) -> None: ...\n"
        "def _private(x): ...\n"
        "def no_result(x: int): ...\n"
        "class Thing:\n"
        "    def good(self) -> int: ...\n"
        "    def __init__(self, *, x) -> None: ...\n"
        "    def options(self, **y) -> None: ...\n"
    )
    found = [line.split()[-1] for line in unannotated(path)]
    assert found == ["no_result", "Thing.__init__", "Thing.options"]


def test_types_are_shipped():
    """A package without the file `py.typed` has no types for those who check their own code."""
    assert (PACKAGE / "py.typed").exists()
    setup = (PACKAGE.parent / "setup.py").read_text()
    assert re.search(r'package_data=\{\s*"tfcaml": \["py\.typed"\]', setup)
