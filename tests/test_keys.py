import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.errors import ConfigError


def test_equal_ints_give_equal_keys_and_other_ints_others():
    assert keys.from_int(3).numpy().tolist() == keys.from_int(3).numpy().tolist()
    distinct = {tuple(keys.from_int(i).numpy()) for i in range(100)}
    assert len(distinct) == 100
    assert keys.from_int(0).numpy().tolist() == [0, 0x5EED]
    large = [2**31, 2**32, 2**33, 2**40, 2**40 + 5, 2**62 - 1]
    distinct |= {tuple(keys.from_int(i).numpy()) for i in large}
    assert len(distinct) == 100 + len(large)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, np.array, tf.constant])
def test_integers_of_numpy_are_those_of_python(kind):
    found = keys.as_int(kind(7))
    assert type(found) is int and found == 7
    np.testing.assert_array_equal(keys.from_int(kind(7)), keys.from_int(7))


@pytest.mark.parametrize("seed", [-1, np.int64(-3), 2**62, 1.0, np.float32(2), "7", None, [1, 2]])
def test_other_seeds_are_refused(seed):
    line = r"^expected seed to be an integer from 0 to 2\*\*62 - 1; received seed="
    for function in (keys.as_int, keys.from_int):
        with pytest.raises(ConfigError, match=line):
            function(seed)


def test_fold_is_a_function_of_all_its_data_and_their_order():
    key = keys.from_int(0)
    folds = {
        data: tuple(keys.fold(key, *data).numpy())
        for data in ((), (0,), (1,), (0, 1), (1, 0), (1, 1), (0, 0, 1))
    }
    assert len(set(folds.values())) == len(folds)
    assert tuple(keys.fold(key, tf.constant(1), 0).numpy()) == folds[1, 0]
    assert tuple(keys.fold(keys.fold(key, 1), 0).numpy()) == folds[1, 0]


def test_keys_of_an_episode_do_not_depend_on_the_others():
    many = keys.per_episode(keys.from_int(1), 4, 5).numpy()
    few = keys.per_episode(keys.from_int(1), 2, 3).numpy()
    assert many.shape == (4, 5, 2)
    np.testing.assert_array_equal(many[:2, :3], few)
    assert len({tuple(row) for row in many.reshape(-1, 2)}) == 20


@pytest.mark.parametrize("draw", [keys.uniform, keys.normal])
def test_a_batch_of_keys_draws_what_each_draws_alone(draw):
    batch = keys.per_episode(keys.from_int(2), 2, 3)
    numbers = draw(batch, [4])
    assert numbers.shape == [2, 3, 4]
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(numbers[i, j], draw(batch[i, j], [4]))
    assert len(np.unique(numbers)) == 24


def test_moments():
    key = keys.from_int(3)
    uniform = keys.uniform(key, [20_000]).numpy()
    assert uniform.min() >= 0 and uniform.max() < 1
    np.testing.assert_allclose([uniform.mean(), uniform.var()], [1 / 2, 1 / 12], atol=0.01)
    normal = keys.normal(key, [20_000]).numpy()
    np.testing.assert_allclose([normal.mean(), normal.var()], [0, 1], atol=0.03)


def test_the_global_random_stream_has_no_influence():
    draws = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        draws.append(keys.uniform(keys.per_episode(keys.from_int(4), 1, 2), [3]).numpy())
    np.testing.assert_array_equal(*draws)


def test_no_two_salts_are_equal():
    salts = {n: value for n, value in vars(keys).items() if n.isupper() and not n.startswith("_")}
    assert {"ACTIONS", "START", "TRAINING", "EVALUATION"} < set(salts)
    assert len(set(salts.values())) == len(salts)
    # Those of an episode are XORed with any number of times LATER.
    assert all(0 < keys.LATER > getattr(keys, n) for n in ("ACTIONS", "STEPS", "RESET", "EPISODES"))
