"""Simulations of robots by MuJoCo: tfcaml's families beside other ways to step many robots."""

import importlib

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest, policies
from tfcaml.environments import ENVIRONMENTS

from . import collection
from .timing import Contestant, Ratio, measure

_CHEETAH, _ANT = "half_cheetah_direction", "ant_velocity"
_STEPPED, _SAMPLED = "half-cheetah, stepped", "half-cheetah, sampled"
_CHOSEN = "half-cheetah, bare, controls of sampled"


def run(repeats, quick):
    """Environment steps per second of 400 robots: random actions, observations and rewards.

    "bare" is `mujoco.batch` alone, without observations and rewards. "sampled" are rollouts of 20
    policies with two hidden layers of 100 units, one per task, beside bare stepping with the
    controls that they chose, "controls of sampled": a robot that lies on the floor takes longer to
    simulate than one that random controls throw about. gymnasium's and envpool's robots react alike
    in all rows, as those have no tasks. envpool has as many threads as tfcaml.
    """
    num_tasks, num_episodes, horizon = (2, 2, 3) if quick else (20, 20, 50)
    rows = num_tasks * num_episodes
    family = _family(_CHEETAH, horizon)
    sampled, chosen = _sampled(family, num_tasks, num_episodes)
    contestants = {
        "half-cheetah, bare": _bare(family, _actions(horizon, [rows, family.model.nu])),
        _STEPPED: _stepped(family, num_tasks, num_episodes),
        _CHOSEN: _bare(family, chosen),
        _SAMPLED: sampled,
    }
    ratios = [Ratio(_SAMPLED, _CHOSEN, 0.8)]
    others = {
        f"gymnasium, {rows} in turn": (_gymnasium, ("gymnasium", "imageio"), 4),
        f"envpool, {rows} rows": (_envpool, ("envpool",), 1.3),
    }
    for name, (made, packages, bar) in others.items():
        if _found(name, packages):
            contestants[name] = made(rows, horizon, family)
            ratios.append(Ratio(_STEPPED, name, bar))
    for integrator in ("rk4", "euler", "implicitfast"):
        ant = _family(_ANT, horizon, integrator=integrator)
        contestants[f"ant, {integrator}"] = _stepped(ant, num_tasks, num_episodes)
        if integrator != "rk4":
            ratios.append(Ratio(f"ant, {integrator}", "ant, rk4", 3.5))
    return measure(contestants, repeats, ratios)


def _family(name, horizon, **options):
    family, config = ENVIRONMENTS[name]
    return family(config(horizon=horizon, **options))


def _found(name, packages):
    for package in packages:
        try:
            importlib.import_module(package)
        except Exception as error:  # of a package that is there but does not work, too
            print(f"left out: {name}, which needs {' and '.join(packages)} ({error})")
            return False
    return True


def _actions(horizon, shape, bound=1.0):
    """[T, ...], the same for all contestants."""
    return np.random.default_rng(0).uniform(-bound, bound, [horizon, *shape]).astype(np.float32)


def _bare(family, controls):
    """controls: [T, R, A], -1 to 1."""
    from mujoco import batch

    horizon, rows, _ = controls.shape
    made = batch.Batch(family.model, rows, family.engine.num_threads)

    def play():
        made.reset()
        for control in controls:
            made.ctrl[:] = control
            made.step(None, family.config.frame_skip)
        return np.array(made.qpos)

    return Contestant(play, rows * horizon, "steps/s")


def _stepped(family, num_tasks, num_episodes):
    task = nest.take(family.population(0).train, np.arange(num_tasks) % 2)
    key = keys.per_episode(keys.from_int(0), num_tasks, num_episodes)
    bound = family.config.action_range
    shape = [num_tasks, num_episodes, *family.action_spec.shape]
    actions = tf.constant(_actions(family.horizon, shape, bound))

    @tf.function(autograph=False)
    def play():
        def step(kept, action):
            return family.step(task, kept[0], action, None)

        state, observation = family.reset(task, keys.salted(key, keys.RESET))
        first = (state, observation, tf.zeros(shape[:2]), tf.zeros(shape[:2], tf.bool))
        return tf.scan(step, actions, first)[1:3]

    return Contestant(play, num_tasks * num_episodes * family.horizon, "steps/s")


def _sampled(family, num_tasks, num_episodes):
    """(rollouts, the controls [T, R, A] that their policies choose)."""
    task = nest.take(family.population(0).train, np.arange(num_tasks) % 2)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (100, 100))
    params = nest.repeat(policy.init(0), num_tasks)
    contestant = collection.rollout(policy, family, params, task, num_episodes, False)
    actions = nest.time_major(contestant.run().action) / family.config.action_range
    rows = num_tasks * num_episodes
    controls = np.reshape(np.clip(actions, -1, 1), [family.horizon, rows, -1])
    return contestant, controls


def _gymnasium(rows, horizon, family):
    import gymnasium

    robots = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("HalfCheetah-v5")] * rows)
    return _vector(robots, rows, horizon, family, seed=0)


def _envpool(rows, horizon, family):
    import envpool

    threads = family.engine.num_threads
    robots = envpool.make_gymnasium("HalfCheetah-v4", num_envs=rows, num_threads=threads, seed=0)
    return _vector(robots, rows, horizon, family)


def _vector(robots, rows, horizon, family, **reset):
    actions = _actions(horizon, [rows, family.model.nu])

    def play():
        robots.reset(**reset)
        return sum(robots.step(action)[1].sum() for action in actions)

    return Contestant(play, rows * horizon, "steps/s")
