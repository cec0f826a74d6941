"""Every setting changes a number, or is refused where it cannot act.

Of environments, policies, evaluation, divergence, agents and experiments; those of learners are in
`learners/test_no_inert_setting.py`. A field without an entry in the tables below fails.
"""

import copy
import dataclasses
import functools
import importlib
import inspect
import pathlib
import pkgutil
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfcaml.configs import base
from tfcaml.configs.caml import particles as caml_particles

import tfcaml
from tests.eager import PlainPolicy, differ, eagerly
from tests.environments.family_names import WITHOUT_DATA
from tfcaml import agents, divergence, environments, keys, learners, nest, policies, settings
from tfcaml.environments import ENVIRONMENTS
from tfcaml.environments.supervised.omniglot import SMALL_SETS
from tfcaml.errors import ConfigError
from tfcaml.experiments.config import ExperimentConfig, _Content, _Evaluation, _Policy, _Run
from tfcaml.learners import LEARNERS
from tfcaml.learners.hindsight.buffer import HindsightBuffer, HindsightBufferConfig, hindsight
from tfcaml.learners.hindsight.task_similarity import (
    TaskSimilarity,
    TaskSimilarityConfig,
    descriptors,
)
from tfcaml.reporting.divergence_monitor import DivergenceMonitor, DivergenceMonitorConfig
from tfcaml.rollouts import sampling

# Of every simulation by MuJoCo.
SIMULATION = {
    "horizon": (2, {}),
    "action_range": (1.0, {}),
    "integrator": ("rk4", {}),
    "frame_skip": (2, {}),
    "timestep": (0.005, {}),
    "reset_noise": (0.2, {}),
}
# Of every family of few-shot tasks.
FEW_SHOT = {"way": (3, {}), "shots": (2, {})}
SPLIT, OTHER, WHOLE = "split", "other", "whole"  # folders of images
ANT = {**SIMULATION, "gear": (30.0, {})}
HEAVY_ANT = {
    **ANT,
    **{"action_range": (10.0, {}), "timestep": (0.01, {}), "mass": (0.911, {})},
}
TARGET = {**SIMULATION, "action_range": (10.0, {}), "num_train": (90, {})}
SPARSE = {
    **SIMULATION,
    **{"action_range": (10.0, {}), "sparse_radius": (5.0, {})},
    **{"train_reward": ("sparse", {}), "test_reward": ("dense", {})},
}
RING = {**SPARSE, "radius": (1.0, {}), "num_train": (90, {})}
LEGS = {
    **SIMULATION,
    **{"frame_skip": (3, {}), "mass_scale": (3.0, {}), "inertia": ("as_mass", {})},
    **{"friction_scale": (3.0, {}), "damping_scale": (2.0, {}), "radius_scale": (1.5, {})},
    **{"min_gravity": (5.0, {}), "max_gravity": (10.0, {}), "scales": ("log_uniform", {})},
    **{"alive_bonus": (1.0, {}), "control_cost": (0.1, {})},
    **{"min_height": (5.0, {}), "max_pitch": (1e-6, {})},
}
# Of points that move by whole steps.
POINT = {"move": (100.0, {}), "observation_unit": (100.0, {}), "horizon": (3, {})}
# name of a family -> (settings of the test, {field: (another value, other settings)})
FAMILIES = {
    "all_walk": ({"horizon": 4}, {**POINT, "reward_unit": (100.0, {})}),
    "ant_bandits": (
        {"horizon": 3},
        {**ANT, "action_range": (10.0, {}), "distance_cost": (0.5, {})},
    ),
    "ant_direction": ({"horizon": 3}, {**ANT, "form": ("promp", {})}),
    "ant_goal": ({"horizon": 3}, {**ANT, "form": ("maml", {}), "goal_range": (1.0, {})}),
    "ant_maze": ({"horizon": 3}, {**HEAVY_ANT, "repose_every": (2, {})}),
    "ant_movement": ({"horizon": 3}, HEAVY_ANT),
    "ant_obstacles": ({"horizon": 3}, {**HEAVY_ANT, "repose_every": (2, {})}),
    "ant_ring": ({"horizon": 3}, {**RING, "gear": (150.0, {})}),
    "ant_target": ({"horizon": 3}, TARGET),
    "ant_velocity": ({"horizon": 3}, {**ANT, "highest_speed": (1.0, {})}),
    "atari": (
        {"game": "breakout", "max_frames": 40},
        {
            **{"game": ("pong", {}), "frame_skip": (2, {}), "max_no_ops": (1, {})},
            **{"max_frames": (8, {}), "sticky_actions": (1.0, {}), "full_action_set": (False, {})},
        },
    ),
    "reward_process": (
        {},
        {"kind": ("lambda", {}), "signal": (0.5, {}), "noise": (2.0, {})},
    ),
    "bandit": ({"horizon": 3}, {"num_arms": (3, {}), "horizon": (2, {})}),
    "tabular_mdp": (
        {"horizon": 3},
        {
            "num_states": (4, {}),
            "num_actions": (3, {}),
            "reward_mean": (2.0, {}),
            "reward_spread": (3.0, {}),
            "reward_noise": (3.0, {}),
            "horizon": (2, {}),
        },
    ),
    "cart_pole": (
        {"horizon": 5, "num_train": 3},
        {
            "min_length": (0.9, {}),
            "max_length": (0.3, {}),
            "min_pole_mass": (0.4, {}),
            "max_pole_mass": (0.1, {}),
            "min_cart_mass": (1.5, {}),
            "max_cart_mass": (0.6, {}),
            "min_force": (10.0, {}),
            "max_force": (6.0, {}),
            "reversed_fraction": (1.0, {}),
            "horizon": (3, {}),
            "num_train": (4, {}),
        },
    ),
    "catch": (
        {"rows": 3},
        {"rows": (4, {}), "columns": (3, {}), "reward_scale": (2.0, {})},
    ),
    "dir_hopper": ({"horizon": 3}, {**SIMULATION, "frame_skip": (3, {}), "min_height": (5.0, {})}),
    "normal_hopper": (
        {"horizon": 3},
        {
            **{**SIMULATION, "frame_skip": (3, {})},
            **{"min_height": (5.0, {}), "max_pitch": (1e-6, {})},
        },
    ),
    "turned_point": (
        {"horizon": 4},
        {
            "min_gain": (1.0, {}),
            "max_gain": (3.0, {}),
            "max_turn": (0.5, {}),
            "distance": (1.0, {}),
            "horizon": (3, {}),
        },
    ),
    "discounting_chain": (
        {"horizon": 30},
        {
            "bonus": (0, {}),
            "observation": ("one_hot", {}),
            "horizon": (31, {}),
        },
    ),
    "four_rooms": (
        {"horizon": 4},
        {
            "train_goals": ((68, 80), {}),
            "test_goals": ((69, 70), {}),
            "slip": (1.0, {}),
            "horizon": (3, {}),
        },
    ),
    "glucose": (
        {"interval": 120, "sensor_interval": 60, "history": 2},
        {
            "interval": (60, {}),
            "sensor_interval": (30, {"history": 4}),
            "history": (3, {}),
            "sensor_noise": (True, {}),
            "announce": (False, {}),
            "actions": ("continuous", {}),
            "dose_unit": ("patient", {}),
            "reward": ("time_in_range", {}),
            "split": ("adult", {}),
            "variants": (2, {}),
            "perturbation": (0.5, {"variants": 2}),
        },
    ),
    "goal_ant": ({"horizon": 3}, {**ANT, "nearest": (1.0, {}), "farthest": (9.0, {})}),
    "half_cheetah_direction": ({"horizon": 3}, {**SIMULATION, "form": ("maml", {})}),
    "half_cheetah_velocity": (
        {"horizon": 3},
        {
            **SIMULATION,
            "form": ("maml", {}),
            "lowest_speed": (1.0, {}),
            "highest_speed": (2.0, {}),
        },
    ),
    "key_door": ({"horizon": 4}, {**POINT, "radius": (500.0, {})}),
    "maze": (
        {"horizon": 4, "num_train": 5},
        {"layout": ("four_rooms", {}), "num_train": (6, {}), "horizon": (3, {})},
    ),
    "mountain_car": (
        {"horizon": 4},
        {
            "min_power": (0.0017, {}),
            "max_power": (0.0013, {}),
            "min_test_power": (0.0019, {}),
            "max_test_power": (0.0011, {}),
            "num_train": (3, {}),
            "horizon": (3, {}),
        },
    ),
    "moving_bandits": ({"horizon": 4}, {**POINT, "radius": (500.0, {})}),
    "navigation": (
        {"horizon": 4},
        {
            "reward": ("squared_distance", {}),
            "goals": ("semicircle", {}),
            "goal_range": (1.0, {}),
            "sparse_radius": (5.0, {"reward": "sparse"}),
            "action_range": (10.0, {}),
            "termination_box": (10.0, {}),
            "observe_goal": (True, {}),
            "horizon": (3, {}),
        },
    ),
    "particle": (
        {"horizon": 4},
        {
            "step_size": (0.3, {}),
            "variance": (0.1, {}),
            "arena_bound": (0.05, {}),
            "step_noise": (0.3, {}),
            "termination_radius": (5.0, {}),
            "horizon": (3, {}),
            "group_rule": ("cycles", {}),
            "num_groups": (4, {}),
            "variants_per_group": (3, {}),
            "query_split": ("groups", {}),
            "num_held_out_groups": (2, {"query_split": "groups"}),
        },
    ),
    "point_ring": (
        {"horizon": 4},
        {
            "arc": ("ring", {}),
            "radius": (1.0, {}),
            "train_reward": ("sparse", {}),
            "test_reward": ("dense", {}),
            "sparse_radius": (5.0, {}),
            "num_train": (90, {}),
            "action_range": (10.0, {}),
            "horizon": (3, {}),
        },
    ),
    "point_target": (
        {"horizon": 4},
        {
            "action_range": (10.0, {}),
            "arrival": (10.0, {}),
            "num_train": (50, {}),
            "horizon": (3, {}),
        },
    ),
    "colour_push": (
        {"horizon": 4, "reward": "distance"},
        {
            **SIMULATION,
            **{"action_range": (10.0, {}), "num_train": (90, {})},
            "reward": ("success", {"horizon": 10}),
        },
    ),
    "colour_reach": (
        {"horizon": 3, "reward": "distance"},
        {
            **SIMULATION,
            **{"action_range": (10.0, {}), "num_train": (90, {}), "reward": ("success", {})},
            **{"within_reach": (False, {}), "observes": ("image", {})},
            **{"height": (20, {"observes": "image"}), "width": (20, {"observes": "image"})},
            "renderer": ("mujoco", {"observes": "image"}),
        },
    ),
    "omniglot": (
        {},
        {
            **FEW_SHOT,
            "paths": (SMALL_SETS[:1], {"held_out": ("Balinese",)}),
            "held_out": (("Greek",), {}),
            "training": (("Greek",), {}),
            "num_characters": (20, {}),
            "rotations": (False, {}),
            "shift": (2, {}),
        },
    ),
    "image_folders": (
        {"path": SPLIT, "way": 2, "size": 8},
        {
            **FEW_SHOT,
            "path": (OTHER, {}),
            "test_folder": ("val", {}),
            "test_share": (0.6, {"path": WHOLE, "test_share": 0.3}),
            **{"size": (12, {}), "colour": (False, {}), "inverted": (True, {})},
            **{"rotations": (True, {}), "shift": (2, {})},
        },
    ),
    "strokes": (
        {},
        {**FEW_SHOT, "points": (4, {}), "unsteadiness": (0.2, {}), "size": (20, {})},
    ),
    "pusher": ({"horizon": 3}, {**SPARSE, "num_layouts": (3, {})}),
    "random_hopper": ({"horizon": 3}, LEGS),
    "random_reacher": (
        {"horizon": 3},
        {
            **SIMULATION,
            "frame_skip": (3, {}),
            "min_length": (0.8, {}),
            "max_length": (1.2, {}),
            "damping_scale": (2.0, {}),
            "strength_scale": (2.0, {}),
            "scales": ("log_uniform", {"damping_scale": 2.0}),
            "control_cost": (0.5, {}),
        },
    ),
    "random_walker": ({"horizon": 3}, LEGS),
    "reacher_2": ({"horizon": 3}, TARGET),
    "reacher_4": ({"horizon": 3}, TARGET),
    "sinusoid": (
        {},
        {
            "min_amplitude": (1.0, {}),
            "max_amplitude": (2.0, {}),
            "max_phase": (1.0, {}),
            "max_x": (1.0, {}),
        },
    ),
    "wheeled": ({"horizon": 3}, TARGET),
    "wheeled_ring": ({"horizon": 3}, RING),
}
REFUSED_OF_FAMILIES = [  # (family, field, value): it cannot act beside the defaults
    ("glucose", "perturbation", 0.5),
    ("navigation", "sparse_radius", 5.0),
    ("particle", "num_held_out_groups", 2),
    ("random_reacher", "scales", "log_uniform"),
    ("colour_reach", "height", 64),
]
NUMBERS_OF_STEPS = 4  # of the longer episodes


def names(config_class):
    return {field.name for field in dataclasses.fields(config_class)}


def changed(value, **known):
    return {**known, **value}


# Every config is known.


def every_config():
    """The dataclasses of settings that the package defines."""
    found = set()
    for info in pkgutil.walk_packages(tfcaml.__path__[:1], "tfcaml."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == info.name
            if own and name.endswith("Config") and dataclasses.is_dataclass(value):
                found.add(value)
    return found - {ExperimentConfig}  # what a config file's content becomes


def test_every_config_is_in_the_tables():
    of_learners = {each.Config for each in LEARNERS.values()}
    bases = {b for c in of_learners for b in c.__mro__ if b is not object}
    bases |= {b for _, c in ENVIRONMENTS.values() for b in c.__mro__ if b is not object}
    groups = {type(value) for each in of_learners for value in vars(each()).values()}
    groups = {each for each in groups if dataclasses.is_dataclass(each)}
    assert {HindsightBufferConfig, TaskSimilarityConfig} < groups
    assert every_config() == bases | groups | {DivergenceMonitorConfig}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_field_of_a_family_has_an_entry(name):
    settings, fields = FAMILIES[name]
    options = ENVIRONMENTS[name][1]
    assert set(fields) == names(options)
    for field, (value, company) in fields.items():
        assert value != getattr(options(**{**settings, **company}), field), field


# Environments.


class OfImages(PlainPolicy):
    """Sees how bright each row of an image is."""

    def __init__(self, observation_spec, action_spec):
        super().__init__(tf.TensorSpec(observation_spec.shape[:1]), action_spec)
        self.observation_spec = observation_spec
        self.axes = list(range(1 - observation_spec.shape.rank, 0))
        self.brightest = float(np.max(observation_spec.maximum))

    def __call__(self, params, observation):
        bright = tf.reduce_mean(tf.cast(observation, tf.float32), axis=self.axes) / self.brightest
        return super().__call__(params, bright)


class OfNests(PlainPolicy):
    """Sees all numbers of a nest in a row."""

    def __init__(self, observation_spec, action_spec):
        size = sum(spec.shape.num_elements() for spec in tf.nest.flatten(observation_spec))
        super().__init__(tf.TensorSpec([size]), action_spec)
        self.observation_spec = observation_spec

    def __call__(self, params, observation):
        return super().__call__(params, nest.vectors(observation, 2))


@functools.cache
def folder_of_images():
    """A folder with the places that `image_folders` is told of above."""
    root = tempfile.TemporaryDirectory()
    rng = np.random.default_rng(0)
    for split in (f"{SPLIT}/train", f"{SPLIT}/test", f"{SPLIT}/val", f"{OTHER}/train"):
        _write_images(pathlib.Path(root.name, split), rng)
    _write_images(pathlib.Path(root.name, OTHER, "test"), rng)
    _write_images(pathlib.Path(root.name, WHOLE), rng, 8)
    return root  # which is there as long as this is


def _write_images(place, rng, classes=4):
    for name in map(str, range(classes)):
        (place / name).mkdir(parents=True)
        for drawing in range(4):
            pixels = rng.integers(0, 256, [8, 8, 3], dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{drawing}.png")


@functools.cache
def entities_and_episodes(name, settings):
    """The numbers of a family: entities of one seed, and what happens to some of them."""
    family, options = ENVIRONMENTS[name]
    settings = dict(settings)
    if name in WITHOUT_DATA:
        settings["path"] = f"{folder_of_images().name}/{settings['path']}"
    family = family(options(**settings))
    population = family.population(0, 4)
    drawn = population.draw(3, keys.from_int(0)) if population.draw else {}
    sets = [population.train, population.test, drawn]
    means = [nest.map(lambda x: np.mean(x, axis=0), x) for x in sets if x]
    groups = [population.train_group, population.test_group]
    family.horizon = min(family.horizon, NUMBERS_OF_STEPS)
    kind = OfImages if name in ("atari", "catch") else PlainPolicy
    spec = family.observation_spec
    of_nests = not isinstance(spec, tf.TensorSpec) or (kind is PlainPolicy and spec.shape.rank > 1)
    kind = OfNests if of_nests else kind
    policy = kind(family.observation_spec, family.action_spec)
    params = nest.map(lambda x: 3 * x, nest.repeat(policy.init(0), 4))
    found = sampling.sample(policy, family, params, population.test, 3, keys.from_int(1))
    returns, lengths = (tf.reduce_sum(x, axis=-1) for x in (found.reward, found.mask))
    seen = [found.observation, found.final_observation, found.reward, found.mask]
    return [sets, means, groups, seen, returns, lengths]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, field", [(name, field) for name, (_, fields) in FAMILIES.items() for field in fields]
)
def test_every_field_of_a_family_changes_a_number(name, field):
    if name == "atari":
        pytest.importorskip("ale_py")
    settings, fields = FAMILIES[name]
    value, company = fields[field]
    hashable = lambda **changes: tuple({**settings, **company, **changes}.items())
    before, after = hashable(), hashable(**{field: value})
    assert differ(entities_and_episodes(name, before), entities_and_episodes(name, after))


@pytest.mark.parametrize("name, field, value", REFUSED_OF_FAMILIES)
def test_what_cannot_act_in_a_family_is_refused(name, field, value):
    message = (
        f"expected {field} to be left at .*, as it acts only with .*; received {field}={value!r}"
    )
    with pytest.raises(ConfigError, match=message):
        ENVIRONMENTS[name][1](**{field: value})


# Policies and evaluation.

POLICY = {"fc_layer_params": (5,), "activation": "relu"}
EVALUATION = {"num_tasks": 4, "num_updates": 2, "episodes": 5}


def test_every_field_of_a_policy_changes_a_number():
    assert set(POLICY) == names(_Policy)
    observation = tf.constant([[[0.3, -1.0]]])

    def logits(**changes):
        specs = tf.TensorSpec([2], tf.float32), environments.Particle().action_spec
        policy = policies.mlp_policy(*specs, **{"fc_layer_params": (4,), **changes})
        return [policy(nest.repeat(policy.init(0), 1), observation).logits_parameter()]

    for field, value in POLICY.items():
        assert differ(logits(), logits(**{field: value})), field


@pytest.fixture(scope="module")
def small():
    """An untrained learner of particles."""
    family = environments.Particle(environments.ParticleConfig(horizon=4, step_size=0.5))
    policy = PlainPolicy(family.observation_spec, family.action_spec)
    config = learners.RandomInitialization.Config(
        test_episodes_per_update=3, inner_learning_rate=0.3
    )
    with eagerly():
        yield learners.RandomInitialization(family, policy, config)


def test_every_field_of_evaluation_changes_a_number(small):
    assert set(EVALUATION) == names(_Evaluation)

    def measured(num_tasks=3, num_updates=1, episodes=4):
        query = small.environment.population(0, num_tasks).test
        found = tfcaml.evaluate(small, query, num_updates=num_updates, num_episodes=episodes)
        return [found.returns.mean(axis=(1, 2))[-1]]

    for field, value in EVALUATION.items():
        assert differ(measured(), measured(**{field: value})), field


# Divergence, and what learners are made of.

MONITOR = {"num_updates": 1, "episodes": 2, "num_clusters": 3, "bandwidth": 1.0}
MATRIX = {
    "bandwidth": 1.0,
    "weight": "uniform",
    "form": "hellinger",
    "num_states": 30,
    "seed": 1,
    "occupancy": "state",
    "time_indexed": True,
    "max_points": 3,
}
SIMILARITY = {
    "objective": "regression",
    "nearest": 0.6,
    "units": 8,
    "learning_rate": 0.1,
    "steps": 4,
    "pairs_per_step": 3,
}
BUFFER = {"capacity": 2, "best": 0.3, "window": 3, "floor": 2.5}


@pytest.mark.slow
def test_every_field_of_the_monitor_changes_a_number(small, tmp_path):
    assert {"interval", *MONITOR} == names(DivergenceMonitorConfig)
    population = small.environment.population(0)
    task = nest.map(lambda x: x[::3], population.train)
    small.iteration.assign(1)
    settings = {"interval": 1, "num_updates": 0, "num_clusters": 2}

    def recorded(**changes):
        config = DivergenceMonitorConfig(**{**settings, **changes})
        monitor = DivergenceMonitor(tmp_path / str(changes), config)
        return monitor(small, population._replace(train=task, train_group=None))

    number = lambda record: [record.matrix, record.metrics]
    before = recorded()
    for field, value in MONITOR.items():
        assert differ(number(before), number(recorded(**{field: value}))), field
    assert recorded(interval=2) is None  # it is asked after the first iteration


def test_every_option_of_the_divergence_changes_a_number(small):
    options = inspect.signature(divergence.policy_divergence_matrix).parameters.values()
    assert set(MATRIX) == {each.name for each in options if each.kind == each.KEYWORD_ONLY}
    policy, population = small.policy, small.environment.population(0)
    params = nest.map(lambda x: 3 * x, nest.stack([policy.init(seed) for seed in range(3)]))
    task = nest.map(lambda x: x[:3], population.train)
    key = keys.from_int(0)
    trajectory = sampling.sample(policy, small.environment, params, task, 2, key)

    def matrix(**changes):
        options = {"num_states": 20, **changes}
        return [divergence.policy_divergence_matrix(policy, params, trajectory, **options)]

    for field, value in MATRIX.items():
        assert differ(matrix(), matrix(**{field: value})), field


def test_every_field_of_the_similarity_changes_a_number():
    assert set(SIMILARITY) == names(TaskSimilarityConfig)
    known = descriptors(tf.constant([[0.0, 1.0], [1.0, 1.0], [3.0, 0.0], [0.0, 4.0]]))
    distance = tf.constant([0.1, 0.5, 0.2, 0.3, 0.4, 0.6])

    def fitted(**changes):
        network = TaskSimilarity(TaskSimilarityConfig(**{"units": 4, "steps": 3, **changes}))
        return network.fit(network.init(2, 0), known, distance, keys.from_int(0))

    for field, value in SIMILARITY.items():
        assert differ(fitted(), fitted(**{field: value})), field


def test_every_field_of_the_buffer_changes_a_number(random_trajectory):
    assert set(BUFFER) == names(HindsightBufferConfig)
    trajectory = random_trajectory(0, (3, 2, 2))
    task = params = tf.constant([[0.0], [1.0], [2.0]])
    entries = hindsight(trajectory, task, params)

    def filled(**changes):
        options = {"capacity": 4, "best": 1.0, "window": 9, "floor": 0.0, **changes}
        buffer = HindsightBuffer(HindsightBufferConfig(**options))
        state = buffer.init(entries)
        allowed = min(3, options["capacity"])
        for returns in ([1.0, 4.0, 2.0], [3.0, 5.0, 6.0]):
            offered = entries._replace(mean_return=tf.constant(returns))
            state = buffer.add(state, nest.map(lambda x: x[:allowed], offered))
        held = buffer.held(state)
        kept = np.sort(state["entries"].mean_return.numpy()[held])
        return [held.numpy().sum(), kept.sum(), buffer.threshold(state)]

    for field, value in BUFFER.items():
        assert differ(filled(), filled(**{field: value})), field


# Agents.

# name -> {option: another value, or why it has none to act on}
AGENTS = {
    "reinforce": {"fc_layer_params": "it has no value network", "discount": 0.5},
    "ppo_clip": {"fc_layer_params": (3,), "discount": 0.5, "bootstrap": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", agents.AGENTS)
def test_every_option_of_an_agent_changes_a_number(name, random_trajectory):
    make = agents.AGENTS[name]
    assert {"environment", "actor_network", *AGENTS[name]} == set(
        inspect.signature(make).parameters
    )
    family, trajectory = environments.Particle(), random_trajectory(0, (2, 2, 3))
    trajectory = trajectory._replace(terminated=tf.zeros_like(trajectory.terminated))  # cut

    def learned_from(**changes):
        actor = policies.mlp_policy(family.observation_spec, family.action_spec, (4,)).network
        loss = make(family, actor, **{"fc_layer_params": (4,), **changes})
        return [loss.experience(None, nest.repeat(loss.policy.init(0), 2), trajectory).weight]

    for option, value in AGENTS[name].items():
        acts = not isinstance(value, str)
        value = value if acts else (3,)
        assert differ(learned_from(), learned_from(**{option: value})) == acts, option


# Experiments.

SECTIONS = {  # of a config file: whose fields the tables above are of
    *("environment", "policy", "learner", "compared", "evaluation", "divergence", "agent"),
}
# How much there is of something; the numbers of what was there before are the same.
HOW_MUCH = {
    "num_seeds": "results of further seeds",
    "save_interval": "when checkpoints are written",
    "log_interval": "which iterations have events",
    "divergence_interval": "which iterations have records of the divergence",
}
RUN = {
    "config": "the sections",
    "seed": "the first seed, by which entities and all random numbers change",
    "jit_compile": "how an iteration is compiled, up to rounding",
}
REFUSED = [  # (changes of a config, what it says); for agents see those of their losses
    *(
        ({"divergence": {field: value}}, f"divergence: expected {field} to be left at .* only with")
        for field, value in MONITOR.items()
    ),
    (
        {"policy": {"fc_layer_params": (), "activation": "relu"}},
        "policy.activation to be left at 'tanh', as it acts only with hidden layers",
    ),
    (
        {"evaluation": {"num_updates": 0}, "learner": {"test_episodes_per_update": 4}},
        "learner maml: expected test_episodes_per_update to be left at 0, .* adapted to",
    ),
    (
        {"evaluation": {"num_updates": 1}, "learner": {"later_step_scale": 1.0}},
        r"learner maml: expected later_step_scale to be left at 0\.5, .* not in 1 steps",
    ),
    ({"environment": {"num_test": 9}}, "environment: unknown field 'num_test'"),
    ({"environment": {"num_held_out_groups": 2}}, "environment: expected num_held_out_groups to"),
    (
        {"learner": {"outer": {"clip_ratio": 0.1}}},
        r"learner maml: expected outer\.clip_ratio to be left at 0\.3",
    ),
    (
        {"learner": {"outer": {"max_lk": 0.1}}},
        r"learner maml: unknown field 'outer\.max_lk'; did you mean outer\.max_kl\? allowed are ",
    ),
    ({"learner": {"outer": 0.1}}, "learner maml: expected outer to be a dict of fields, or"),
]


def content(changes=None):
    """A small config with changes of its sections."""
    found = base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=3)),
        base.section("maml", learners.MAML.Config(num_iterations=1, meta_batch_size=2)),
    ).to_dict()
    return settings.merged(copy.deepcopy(found), changes or {})


def test_every_field_of_an_experiment_is_known():
    assert SECTIONS | set(HOW_MUCH) == names(_Content)
    assert set(RUN) == names(_Run)
    few, more = (
        ExperimentConfig.from_dict(content() | dict.fromkeys(HOW_MUCH, number)) for number in (1, 2)
    )
    assert (few.seeds, more.seeds) == ((0,), (0, 1))
    assert (few.save_interval, few.log_interval, few.divergence.interval) == (1, 1, 1)
    assert (more.save_interval, more.log_interval, more.divergence.interval) == (2, 2, 2)


@pytest.mark.parametrize("changes, message", REFUSED)
def test_what_cannot_act_in_an_experiment_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ExperimentConfig.from_dict(content(changes))


def test_a_run_is_evaluated_with_fewer_steps_than_it_was_begun_with():
    """Settings are held against the config as it was written."""
    run = {"config": content({"learner": {"later_step_scale": 1.0}}), "seed": 0}
    for steps in (0, 1):
        found = ExperimentConfig.from_run({**run, "jit_compile": None}, num_updates=steps)
        assert found.num_updates == steps


def test_the_number_of_held_out_entities_has_one_place():
    """No family has an option that evaluation overrules."""
    for _, options in ENVIRONMENTS.values():
        assert not names(options) & names(_Evaluation) and "num_test" not in names(options)


def test_settings_that_act_in_following_are_taken_where_evaluation_takes_no_step():
    changes = {"evaluation": {"num_updates": 0}, "learner": {"test_episodes_per_update": 4}}
    assert ExperimentConfig.from_dict(content(changes) | {"divergence_interval": 1}).divergence
    assert caml_particles.get_config().divergence_interval == 0
