"""Demonstrations: those of an expert, and those that were written to a file."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.places import PIXELS, REACH, Places, Untold
from tfcaml import environments, keys, nest
from tfcaml.errors import ConfigError, WriteError
from tfcaml.rollouts import demonstrations
from tfcaml.rollouts.demonstrations import Demonstrations, demonstrate
from tfcaml.types import episode_return

KINDS = {
    "nested": {"ends": True},
    "image": {"observes": "image", "ends": True},
    "vector": {"observes": "vector"},
    "to the end": {},
    "moves to the end": {"discrete": True},
    "discrete": {"ends": True, "discrete": True},
}


@functools.cache
def family(kind="nested"):
    return Places(**KINDS[kind])


@functools.cache
def expert(kind="nested"):
    """(task, number, key, noise, attempts) -> `Trajectory` of the expert, compiled."""

    def played(task, number, key, noise, attempts):
        return demonstrate(family(kind), task, number, key, noise=noise, attempts=attempts)

    return tf.function(played, autograph=False)


def shown(kind="nested", number=4, seed=0, noise=0.0, attempts=1, tasks=slice(None)):
    """(tasks, `Trajectory` of demonstrations of them)."""
    task = nest.map(lambda x: x[tasks], family(kind).population(0).train)
    return task, expert(kind)(task, number, keys.from_int(seed), noise, attempts)


@functools.cache
def kept(kind="nested"):
    """Demonstrations of five tasks."""
    task, trajectory = shown(kind, tasks=slice(0, 5))
    return demonstrations.keep(trajectory, task)


def assert_same(one, other):
    tf.nest.assert_same_structure(one, other, check_types=False)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# The expert.


@pytest.mark.parametrize("kind", KINDS)
def test_the_expert_does_the_task(kind):
    trajectory = shown(kind)[1]
    least = 0.3 if family(kind).discrete else 0.99  # of four moves none may be near enough
    assert np.mean(episode_return(trajectory)) > least
    if family(kind).ends:
        assert np.ptp(tf.reduce_sum(trajectory.mask, axis=-1)) > 0


def test_without_noise_what_was_meant_is_what_was_played():
    trajectory = shown()[1]
    moved = np.diff(trajectory.observation["point"], axis=2)
    both = trajectory.mask[:, :, 1:].numpy() > 0
    np.testing.assert_allclose(moved[both], REACH * trajectory.action[:, :, :-1][both], atol=1e-6)


def test_with_noise_the_expert_s_own_actions_are_told():
    task, trajectory = shown("to the end", noise=0.3, number=20)
    point = trajectory.observation["point"]
    both = trajectory.mask[:, :, 1:].numpy() > 0
    # Colours tell which of the two places is wanted.
    objects = trajectory.observation["objects"]
    is_it = np.isclose(objects[..., 2:], task["colours"][:, None, None, :1]).all(axis=-1)
    target = np.sum(objects[..., :2] * is_it[..., None], axis=3)
    meant = np.clip((target - point) / REACH, -1, 1)
    valid = trajectory.mask.numpy() > 0
    np.testing.assert_allclose(trajectory.action[valid], meant[valid], atol=1e-5)
    # Played was the same with numbers of deviation 0.3 added, where they were not cut off.
    moved = np.diff(point, axis=2)[both] / REACH
    meant = meant[:, :, :-1][both]
    free = np.abs(meant) < 0.2
    error = (moved - meant)[free]
    assert len(error) > 100 and abs(error.std() - 0.3) < 0.03 and abs(error.mean()) < 0.05


def test_noise_of_discrete_actions_is_how_often_one_of_all_is_drawn():
    trajectory = shown("moves to the end", noise=0.4, number=20)[1]
    moves = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    both = trajectory.mask[:, :, 1:].numpy() > 0
    moved = np.diff(trajectory.observation["point"], axis=2)[both] / REACH
    played = np.argmax(moved @ moves.T, axis=-1)
    meant = trajectory.action[:, :, :-1].numpy()[both]
    assert abs(np.mean(played != meant) - 0.4 * 3 / 4) < 0.05
    others = np.bincount((played - meant)[played != meant] % 4, minlength=4)[1:]
    assert others.min() > 0.5 * others.max()


def test_of_several_attempts_the_best_are_kept():
    _, all_of_them = shown("to the end", number=8, noise=0.7)
    _, best = shown("to the end", number=4, noise=0.7, attempts=2)
    order = np.argsort(-episode_return(all_of_them).numpy(), axis=1, kind="stable")[:, :4]
    wanted = nest.map(lambda x: tf.gather(x, order, batch_dims=1), all_of_them)
    assert_same(best, wanted)
    earned = [np.mean(episode_return(x)) for x in (all_of_them, best)]
    assert earned[1] > earned[0] + 0.05


def test_episodes_follow_from_the_key_and_not_from_the_other_tasks():
    _, trajectory = shown(noise=0.2)
    assert_same(shown(noise=0.2)[1], trajectory)
    other = shown(noise=0.2, seed=1)[1]
    assert np.all(other.observation["point"][:, :, 0] != trajectory.observation["point"][:, :, 0])
    few, fewer = shown(noise=0.2, tasks=slice(0, 3)), shown(noise=0.2, number=2)
    assert_same(few[1], nest.map(lambda x: x[:3], trajectory))
    assert_same(fewer[1], nest.map(lambda x: x[:, :2], trajectory))


@pytest.mark.slow
def test_coloured_blocks_are_demonstrated():
    reach = environments.ColourReach(environments.ColourReachConfig(num_train=4))
    played = tf.function(
        lambda task: demonstrate(reach, task, 3, keys.from_int(0), noise=0.1, attempts=2),
        autograph=False,
    )(reach.population(100).train)
    assert np.mean(episode_return(played)) > 0.9
    assert played.action.shape == (4, 3, 50, 2) and np.abs(played.action).max() <= 1
    assert played.observation["objects"].shape == (4, 3, 50, 3, 5)


# Demonstrations as a trajectory, and for some tasks.


def test_demonstrations_as_a_trajectory():
    found = demonstrations.trajectory_of(kept())
    mask = kept().mask.numpy()
    for i, j in np.ndindex(mask.shape[:2]):
        last = int(mask[i, j].sum()) - 1
        seen = found.observation["objects"][i, j, last]
        np.testing.assert_array_equal(found.final_observation["objects"][i, j], seen)
    assert not np.any(found.reward) and not np.any(found.terminated)
    longer = demonstrations.padded(found, 11)
    assert longer.mask.shape == (5, 4, 11) and longer.observation["point"].shape == (5, 4, 11, 2)
    for name in ("observation", "action", "reward", "mask", "log_prob", "terminated"):
        for x, y in zip(*map(tf.nest.flatten, (getattr(longer, name), getattr(found, name)))):
            np.testing.assert_array_equal(x[:, :, :8], y)
            assert not np.any(x[:, :, 8:])
    assert_same(longer.final_observation, found.final_observation)


def test_demonstrations_of_some_tasks():
    tasks = nest.take(kept().task, [3, 0, 3])
    assert_same(kept().of(tasks), nest.take(tuple(kept()), [3, 0, 3]))
    strange = family().population(0).train
    with pytest.raises(ConfigError, match="shows of every task; received none of 15 of 20 tasks"):
        kept().of(strange, "shows")


# Files.


@pytest.mark.parametrize("kind", ["nested", "image", "vector", "discrete"])
@pytest.mark.parametrize("ending", ["npz", "tfrecord"])
def test_a_file_holds_what_was_written(kind, ending, tmp_path):
    path = tmp_path / f"shown.{ending}"
    if ending == "npz":
        kept(kind).save(path)
        found = Demonstrations.load(path, family(kind))
    else:
        kept(kind).save_tfrecord(str(path))
        found = Demonstrations.load_tfrecord(str(path), family(kind))
    assert_same(found, kept(kind))
    if kind == "image":
        assert found.observation["image"].shape[-3:] == (PIXELS, PIXELS, 3)


def test_strings_are_written_without_pickle(tmp_path):
    class Named(Places):
        def __init__(self):
            super().__init__()
            self.task_spec = {"name": tf.TensorSpec([], tf.string)}

    names = {"name": tf.constant(["ann", "bo", "", "y", "zoe"])}
    kept()._replace(task=names).save(tmp_path / "a.npz")
    kept()._replace(task=names).save_tfrecord(tmp_path / "a.tfrecord")
    for found in (
        Demonstrations.load(tmp_path / "a.npz", Named()),
        Demonstrations.load_tfrecord(tmp_path / "a.tfrecord", Named()),
    ):
        np.testing.assert_array_equal(found.task["name"], names["name"])
        assert_same(found.of({"name": tf.constant(["zoe"])}).action, kept().action[4:])


def refused(call, *words):
    """The call raises a `ConfigError` of one line with these words."""
    with pytest.raises(ConfigError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and len(text) < 900, text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("ending", ["npz", "tfrecord"])
def test_what_is_no_such_file_is_refused(ending, tmp_path):
    path, other = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    load = Demonstrations.load if ending == "npz" else Demonstrations.load_tfrecord
    (kept().save if ending == "npz" else kept().save_tfrecord)(path)
    data = path.read_bytes()
    refused(lambda: load(tmp_path / "none", family()), "path of a file that there is", "none")
    refused(lambda: load(tmp_path, family()), "path of a file that there is")
    refused(lambda: load(None, family()), "path of a file that there is", "None")
    refused(lambda: load(path, "family"), "environment", "TaskFamily")
    whole = np.random.default_rng(0).bytes(500)
    for damaged in (b"", data[: len(data) // 2], data[:-1], whole, b"PK\x03\x04" + whole):
        other.write_bytes(damaged)
        refused(lambda: load(other, family()), str(other), "to hold demonstrations, as")
    for strange in ("a" * 5000, "a\0b", b"a"):
        refused(lambda: load(strange, family()), "path of a file that there is")
    wrong = "vector" if ending == "npz" else "image"
    words = ("arrays in", "as of Places")
    if ending == "tfrecord":
        words = ("to hold demonstrations", "observation/image", "could not be found")
    refused(lambda: load(path, family(wrong)), *words)


@pytest.mark.parametrize("save", [Demonstrations.save, Demonstrations.save_tfrecord])
def test_where_nothing_can_be_written_is_told_in_one_line(save, tmp_path):
    for path in (tmp_path / "none" / "a.npz", tmp_path):
        with pytest.raises(WriteError, match=f"cannot write {path}: ") as error:
            save(kept(), path)
        assert "\n" not in str(error.value)
    for path in (None, 3, "a\0b"):
        refused(lambda: save(kept(), path), "path to be the path of a file")


def test_bytes_that_have_changed_are_noticed_or_do_no_harm(tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "a.npz"
    kept().save(path)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    caught = 0
    for _ in range(60):
        changed = data.copy()
        changed[rng.integers(len(data), size=2)] = rng.integers(256, size=2)
        path.write_bytes(changed.tobytes())
        try:
            Demonstrations.load(path, family())
        except ConfigError as error:
            caught += 1
            assert "\n" not in str(error)
    assert caught > 30


def test_files_with_objects_are_not_unpickled(tmp_path):
    arrays = {
        "task/colours": kept().task["colours"].numpy(),
        "observation/objects": kept().observation["objects"].numpy(),
        "observation/point": kept().observation["point"].numpy(),
        "action": kept().action.numpy(),
        "mask": kept().mask.numpy(),
    }
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    assert_same(Demonstrations.load(path, family()), kept())
    np.savez(path, **{**arrays, "mask": arrays["mask"].astype(object)})
    refused(lambda: Demonstrations.load(path, family()), "Object arrays cannot be loaded")
    np.save(tmp_path / "a.npy", arrays["mask"])
    refused(lambda: Demonstrations.load(tmp_path / "a.npy", family()), "to hold demonstrations")
    np.savez(path, **{**arrays, "more": arrays["mask"]})
    refused(lambda: Demonstrations.load(path, family()), "'more'", "observation/point, action")
    np.savez(path, **{**arrays, "mask": arrays["mask"].astype(np.float64)})
    refused(lambda: Demonstrations.load(path, family()), "mask", "float32", "float64")


# What is given.


def changed(part, change):
    given = kept()._asdict()
    given[part] = nest.map(lambda x: change(x.numpy()), given[part])
    return lambda: Demonstrations.from_arrays(family(), **given)


def hole(mask):
    mask[0, 0] = [1, 0, 1, 0, 0, 0, 0, 0]
    return mask


def with_nan(x):
    x[1, 2, 3] = np.nan
    return x


MISTAKES = {
    "two axes of actions": (changed("action", lambda x: x[0]), ["action", "[M tasks, D"]),
    "three parts of actions": (
        changed("action", lambda x: np.concatenate([x, x[..., :1]], -1)),
        ["expected action of shape [N, N, N, 2]", "Places"],
    ),
    "precise actions": (changed("action", np.float64), ["float64"]),
    "whole actions": (changed("action", np.int32), ["int32"]),
    "NaN": (changed("action", with_nan), ["action", "NaN", "finite"]),
    "NaN seen": (changed("observation", with_nan), ["observation", "NaN"]),
    "other observations": (changed("observation", lambda x: x[..., :1]), ["'objects'", "4"]),
    "fewer tasks": (changed("task", lambda x: x[1:]), ["first axes of task", "[4]", "[5]"]),
    "fewer steps": (changed("mask", lambda x: x[..., 1:]), ["first axes of", "[5, 4, 7]"]),
    "none": (changed("mask", lambda x: x[:0]), ["shape of mask", "[0, 4, 8]"]),
    "no mask": (changed("mask", np.zeros_like), ["mask", "1 on its first steps"]),
    "a hole": (changed("mask", hole), ["mask", "1 on its first steps"]),
    "halves": (changed("mask", lambda x: x / 2), ["mask", "1 on its first steps"]),
    "bool": (changed("mask", np.bool_), ["mask", "float32", "bool"]),
    "uneven lists": (
        lambda: Demonstrations.from_arrays(
            family(), kept().task, kept().observation, [[1], [2, 3]]
        ),
        ["action", "array"],
    ),
    "a name": (
        lambda: Demonstrations.from_arrays(family(), kept().task, kept().observation, "run"),
        ["action", "[N, N, N, 2]"],
    ),
    "structure": (
        lambda: Demonstrations.from_arrays(family(), kept().task, kept().action, kept().action),
        ["observation to have the structure", "objects"],
    ),
    "no family": (
        lambda: Demonstrations.from_arrays(Places, *kept()[:3]),
        ["environment", "a TaskFamily"],
    ),
    "argument": (
        lambda: Demonstrations.from_arrays(family(), *kept()[:3], masks=0),
        ["'masks'", "did you mean mask"],
    ),
    "an expert's family": (
        lambda: demonstrate(Places, kept().task, 1, keys.from_int(0)),
        ["environment", "a TaskFamily"],
    ),
    "an expert's tasks": (
        lambda: demonstrate(family(), kept().action, 1, keys.from_int(0)),
        ["task to have the structure"],
    ),
    "no demonstrations": (
        lambda: demonstrate(family(), kept().task, 0, keys.from_int(0)),
        ["num_demonstrations", "1"],
    ),
    "no attempts": (
        lambda: demonstrate(family(), kept().task, 1, keys.from_int(0), attempts=0),
        ["attempts", "1"],
    ),
    "noise": (
        lambda: demonstrate(family(), kept().task, 1, keys.from_int(0), noise=1.5),
        ["noise", "from 0 to 1"],
    ),
    "noise in words": (
        lambda: demonstrate(family(), kept().task, 1, keys.from_int(0), noise="much"),
        ["noise", "a number from 0 to 1"],
    ),
    "a seed": (
        lambda: demonstrate(family(), kept().task, 1, 0),
        ["key to be an int32 tensor of shape [2]"],
    ),
    "no key": (lambda: demonstrate(family(), kept().task, 1, None), ["key", "None"]),
    "none of tasks": (lambda: kept().of(None), ["task to have the structure", "colours"]),
    "another family's tasks": (
        lambda: kept().of({"colours": tf.zeros([2, 3])}),
        ["task['colours'] of shape [N, 2, 2]", "[2, 3]"],
    ),
    "no expert": (
        lambda: demonstrate(Untold(), kept().task, 1, keys.from_int(0)),
        ["a family with an expert", "Untold"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_line(mistake):
    call, words = MISTAKES[mistake]
    refused(call, *words)


def test_all_steps_count_unless_told_otherwise():
    given = [nest.map(np.asarray, x) for x in kept()[:3]]
    found = Demonstrations.from_arrays(family(), *given)
    assert found.mask.dtype == tf.float32 and np.all(found.mask == 1)
    assert_same(found[:3], kept()[:3])
