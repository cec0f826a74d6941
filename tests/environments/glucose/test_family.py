"""The family: observations, doses, rewards, ends, populations."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, keys, nest, policies
from tfcaml.environments import GlucoseConfig
from tfcaml.environments.base import overlap
from tfcaml.environments.glucose import controllers, patients, populations
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling

E = 2


def start(family, task, seed=0):
    key = keys.per_episode(keys.from_int(seed), nest.leading(task), E)
    return family.reset(task, keys.salted(key, keys.RESET))


def actions(value, num_tasks=3):
    return tf.fill([num_tasks, E, 1], float(value))


def test_first_observation(glucose, three):
    _, observation = start(glucose, three)
    assert observation.shape == (3, E, 8)
    fasting = three["initial_state"][:, -1] / three["Vg"]
    expected = np.repeat((fasting.numpy()[:, None] - 140) / 60, 4, 1)
    np.testing.assert_allclose(observation[:, 0, :4], expected, atol=1e-5)
    np.testing.assert_allclose(observation[:, 0, 4], three["basal"] * 120 / 5, rtol=1e-5)
    np.testing.assert_array_equal(observation[:, 0, 5:], [[0, 1, 0]] * 3)  # midnight, no meal
    assert glucose.horizon == 96


def test_observations_are_readings_insulin_time_and_meals(glucose, three):
    state, _ = start(glucose, three)
    state["minute"] += 360
    state["schedule"] = (state["schedule"][0] * 0 + 370, state["schedule"][1] * 0 + 10)
    after, observation, _, _ = glucose.step(three, state, actions(1), None)
    given = 2 * (15 * 1.43 * 57 / 6000 + 60 / 15)  # six meals of 10 g
    np.testing.assert_allclose(after["insulin"], np.full([3, E], given), rtol=1e-4)
    active = np.exp(-1 / 8) * (three["basal"].numpy() * 120 + given)
    np.testing.assert_allclose(observation[:, 0, 4], active / 5, rtol=1e-4)
    np.testing.assert_allclose(observation[0, 0, 5:7], [1, 0], atol=0.08)  # a quarter past six
    np.testing.assert_array_equal(observation[:, :, 7], np.zeros([3, E]))  # it has been announced
    readings = 60 * observation[:, 0, :4].numpy() + 140
    minutes = np.zeros([3, 15])
    insulin = minutes + 2 * 1.43 * 57 / 6000
    insulin[:, 0] += 8
    minutes[:, 10] = 60
    traced = environments.glucose.simulate(three, insulin, minutes).numpy()
    np.testing.assert_allclose(readings, traced[:, [15, 10, 5, 0]], rtol=1e-4)


def test_patients_need_different_actions(glucose):
    """In units of the average patient some need four times the others' insulin."""
    task = glucose.tasks(patients.names())
    basal = np.log2(task["basal"].numpy() / (1.43 * 57 / 6000))
    bolus = np.log2(15 / task["CR"].numpy())
    assert np.ptp(basal) > 2 and np.ptp(bolus) > 2
    assert abs(basal).max() < 4 and abs(bolus).max() < 4


@pytest.mark.parametrize("unit", ["population", "patient"])
def test_dose_units_and_discrete_actions(quick, three, unit):
    family = quick(actions="discrete", dose_unit=unit)
    state, _ = start(family, three)
    rate = three["basal"].numpy() if unit == "patient" else np.full(3, 1.43 * 57 / 6000)
    for action, multiple in enumerate([0, 0.25, 0.5, 1, 2, 4]):
        later, *_ = family.step(three, state, tf.fill([3, E], action), None)
        np.testing.assert_allclose(later["insulin"][:, 0], 15 * multiple * rate, rtol=2e-3)


def test_the_pump_and_actions_have_limits(glucose, three):
    state, _ = start(glucose, three)
    state["schedule"] = (state["schedule"][0] * 0, state["schedule"][1] * 0 + 20)
    most, *_ = glucose.step(three, state, actions(4), None)
    beyond, *_ = glucose.step(three, state, actions(9), None)
    np.testing.assert_array_equal(most["insulin"], beyond["insulin"])
    np.testing.assert_allclose(most["insulin"], 30 + 14 * 16 * 1.43 * 57 / 6000, rtol=1e-3)
    zeros = tf.zeros([3, E])
    less, *_ = glucose.infuse(three, state, zeros - 5, zeros)
    np.testing.assert_array_equal(less["insulin"], zeros)


def test_rewards(quick, three):
    """Fasting at the basal rate, patients collect the risk of their fasting glucose."""
    by_name = {name: quick(reward=name) for name in ("risk", "time_in_range")}
    fasting = (three["initial_state"][:, -1] / three["Vg"]).numpy()
    basal, zeros = tf.repeat(three["basal"][:, None], E, axis=1), tf.zeros([3, E])
    for name, family in by_name.items():
        state, _ = start(family, three)
        _, reward, ended = family.infuse(three, state, basal, zeros)
        risk = 10 * (1.509 * (np.log(fasting) ** 1.084 - 5.381)) ** 2
        expected = -risk / 10 if name == "risk" else np.ones(3)
        np.testing.assert_allclose(reward[:, 0], expected, rtol=1e-2)
        assert not ended.numpy().any()


@pytest.mark.parametrize("reward", ["risk", "time_in_range"])
def test_to_end_a_day_does_not_pay(quick, three, reward):
    """An overdose at midnight ends it; whatever else is done, the return is no worse."""
    family, zeros = quick(horizon=96, reward=reward), tf.zeros([3, E])
    state, _ = start(family, three)
    total, worst, ended, time = 0, -10 if reward == "risk" else 0, False, 0
    while not ended:
        state, paid, over = family.infuse(three, state, zeros + 30, zeros)
        total, time, ended = total + paid.numpy(), time + 1, over.numpy().all()
        assert time < 40
        if over.numpy().any():
            break
    first = over.numpy()
    np.testing.assert_array_equal(state["readings"].numpy()[first][:, 0], 39)
    missed = 96 - time
    if reward == "risk":
        assert (paid.numpy()[first] <= worst * missed).all()
        assert (paid.numpy()[first] >= worst * (missed + 1)).all()
    else:
        assert (paid.numpy()[first] == 0).all()


def test_a_nan_action_is_an_error(glucose, three):
    state, _ = start(glucose, three)
    with pytest.raises(ConfigError, match="expected action to be finite"):
        glucose.step(three, state, actions(np.nan), None)
    with pytest.raises(ConfigError, match="expected insulin to be finite"):
        glucose.infuse(three, state, tf.fill([3, E], np.nan), tf.zeros([3, E]))
    broken = {**state, "body": state["body"]._replace(gut=tf.fill([3, E], np.inf))}
    with pytest.raises(ConfigError, match="expected state to be finite"):
        glucose.step(three, broken, actions(0), None)


@pytest.fixture(scope="module")
def compiled(glucose):
    return tf.function(lambda *args: glucose.step(*args, None), autograph=False, jit_compile=True)


@pytest.mark.slow
def test_nan_never_becomes_a_number_in_compiled_steps(compiled, glucose, three):
    """Where nothing can be raised: nan reward and observation, and the episode ends."""
    state, _ = start(glucose, three)
    action = np.zeros([3, E, 1], np.float32)
    action[1, 0] = np.nan
    body = state["body"]
    broken = body.tissue_glucose.numpy()
    broken[2, 1] = np.nan
    state["body"] = body._replace(tissue_glucose=tf.constant(broken))
    _, observation, reward, ended = compiled(three, state, tf.constant(action))
    bad = np.zeros([3, E], bool)
    bad[1, 0] = bad[2, 1] = True
    np.testing.assert_array_equal(np.isnan(reward), bad)
    np.testing.assert_array_equal(np.isnan(observation[..., 0]), bad)
    np.testing.assert_array_equal(ended, bad)


@pytest.mark.slow
def test_compiled_steps_are_the_same(compiled, glucose, three):
    state, _ = start(glucose, three)
    one, other = (step(three, state, actions(0.3)) for step in (compiled, glucose_step(glucose)))
    nest.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, other)


def glucose_step(family):
    return lambda *args: family.step(*args, None)


def test_readings_of_a_trajectory_are_those_of_the_days(quick, three):
    """A policy that does what the constant basal rate does, beside it, and an ended day."""
    family = quick(dose_unit="patient", announce=False, sensor_noise=True)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    still = nest.map(tf.zeros_like, policy.init(0))
    still = (*still[:-1], tf.fill(still[-1].shape, -12.0))  # a standard deviation of nearly 0
    params, key = nest.repeat(still, 3), keys.from_int(3)
    sampled = sampling.sample(policy, family, params, three, E, key)
    days = controllers.play(family, controllers.constant_basal, three, E, key)
    assert days.readings.shape == (3, E, 25)
    np.testing.assert_allclose(family.readings(sampled), days.readings, rtol=1e-4)
    np.testing.assert_allclose(sampled.reward, days.reward, rtol=1e-3)
    ended = sampled._replace(mask=tf.concat([sampled.mask[..., :4], 0 * sampled.mask[..., 4:]], -1))
    readings = family.readings(ended).numpy()
    np.testing.assert_array_equal(readings[..., :13], family.readings(sampled)[..., :13])
    held = 60 * sampled.observation.numpy()[:, :, 5:, :1] + 140  # what it showed from then on
    np.testing.assert_allclose(readings[..., 15:-3:3], held[..., 0][..., :3], rtol=1e-6)


def test_noise_changes_readings_only(quick, three):
    quiet, noisy = quick(horizon=3), quick(horizon=3, sensor_noise=True)
    key = keys.from_int(1)
    days = [controllers.play(f, controllers.constant_basal, three, E, key) for f in (quiet, noisy)]
    np.testing.assert_array_equal(days[0].reward, days[1].reward)
    assert np.abs(days[0].readings - days[1].readings).max() > 1


@pytest.mark.parametrize("seed", range(4))
def test_mixed_populations(glucose, seed):
    population = glucose.population(seed)
    assert nest.leading(population.train) == 21 and nest.leading(population.test) == 9
    assert overlap(population.train, population.test) == 0
    np.testing.assert_array_equal(np.bincount(population.test_group), [3, 3, 3])
    np.testing.assert_array_equal(np.bincount(population.train_group), [7, 7, 7])
    few = glucose.population(seed, 4)
    nest.map(lambda a, b: np.testing.assert_array_equal(a, b[:4]), few.test, population.test)
    assert (population.groups_of(population.train) == population.train_group).all()


def test_populations_of_whole_cohorts(quick):
    for group, cohort in enumerate(patients.COHORTS):
        population = quick(split=cohort).population(1, 10)
        assert set(population.test_group) == {group}
        assert group not in population.train_group and len(population.train_group) == 20


def test_all_patients_are_used_once():
    for seed in range(3):
        support, query = populations.split("mixed", 9, np.random.default_rng(seed))
        assert sorted(support + query) == sorted(patients.names())


def test_perturbed_populations(quick):
    population = quick(variants=4).population(2)
    everyone = {key: np.asarray(x) for key, x in population.train.items()}
    assert len(everyone["Vmx"]) == len(set(everyone["Vmx"])) == 84
    assert overlap(population.train, population.test) == 0
    spread = np.std(np.log(everyone["Vmx"][21:] / np.tile(everyone["Vmx"][:21], 3)))
    assert spread == pytest.approx(0.2, rel=0.3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"interval": 7}, "interval to be a divisor of 1440 min"),
        ({"sensor_interval": 4}, "sensor_interval to be a divisor of interval=15"),
        ({"history": 2}, "history to be >= 3, the readings between two decisions"),
        ({"actions": "both"}, "actions to be one of continuous, discrete"),
        ({"dose_unit": "mine"}, "dose_unit to be one of population, patient"),
        ({"reward": "glucose"}, "reward to be one of risk, time_in_range"),
        ({"split": "adults"}, "split to be one of mixed, adolescent, adult, child"),
        ({"perturbation": -0.1}, "perturbation to be >= 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        GlucoseConfig(**options)


@pytest.mark.parametrize("split, num", [("mixed", 28), ("mixed", 0), ("child", 11)])
def test_too_many_held_out_patients(quick, split, num):
    with pytest.raises(ConfigError, match="expected num_test to be a whole number from 1 to"):
        quick(split=split).population(0, num)


@pytest.mark.slow
def test_other_options_are_sound(quick):
    options = {"actions": "discrete", "reward": "time_in_range", "announce": False}
    environments.check(quick(4, history=3, sensor_noise=True, variants=2, **options))
