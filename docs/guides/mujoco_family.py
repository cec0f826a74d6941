"""A family of robots of one's own: rods of several masses, to be held at an angle by a motor."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import dataclasses

import mujoco
import numpy as np
import tensorflow as tf
from tfcaml.configs import base

from tfcaml import environments, learners, policies, settings
from tfcaml.environments.mujoco.simulation import Simulation, SimulationConfig
from tfcaml.errors import check

ROD = """
<mujoco>
  <asset><texture type="skybox" builtin="flat" rgb1="1 1 1" width="8" height="48"/></asset>
  <worldbody>
    <light pos="0 -3 3" dir="0 1 -1"/>
    <camera name="side" pos="0 -1.2 0.8" xyaxes="1 0 0 0 0 1"/>
    <body name="rod" pos="0 0 1">
      <joint name="hinge" type="hinge" axis="0 -1 0" damping="1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.03" rgba="0 0.45 0.7 1"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="10" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@settings.checked  # refuses unknown names and values of another type
@dataclasses.dataclass(frozen=True)
class RodsConfig(SimulationConfig):
    """Options of `Rods`: those of every simulation, with another horizon, and one more."""

    horizon: int = 40
    heaviest: float = 1.5  # largest scale of the mass; the smallest is 0.5

    def __post_init__(self):
        super().__post_init__()
        check(self.heaviest > 0.5, "heaviest", self.heaviest, "above 0.5")


class Rods(Simulation):
    """Hold a rod at an angle that only the reward tells; {"angle": [N], "mass": [N]}."""

    Config = RodsConfig
    task_size = 2  # numbers that a task is made of

    def spec(self):
        return mujoco.MjSpec.from_string(ROD)

    def tasks(self, unit):  # [N, 2], evenly distributed between 0 and 1
        mass = 0.5 + (self.config.heaviest - 0.5) * unit[:, 1]
        return {"angle": 2 * unit[:, 0] - 1, "mass": mass}  # radians; a scale

    def physics(self, task):
        scale = tf.cast(task["mass"], tf.float64)  # [N]
        return {
            "body_mass": scale[:, None] * self.model.body_mass,  # [N, bodies]
            "body_inertia": scale[:, None, None] * self.model.body_inertia,  # [N, bodies, 3]
        }

    def observe(self, task, body):
        return tf.concat([tf.sin(body.qpos), tf.cos(body.qpos), body.qvel], axis=-1)  # [N, E, 3]

    def reward(self, task, before, after, velocity, control):
        return -tf.abs(after.qpos[..., 0] - task["angle"][:, None])  # [N, E]

    def goal(self, task):  # [N, 3], a mark in films
        x, z = 0.5 * tf.sin(task["angle"]), 1 - 0.5 * tf.cos(task["angle"])
        return tf.stack([x, tf.zeros_like(x), z], axis=-1)


def main(iterations=30):
    """Mean return over rods never seen in training, before and after each of two updates."""
    family = Rods()
    environments.check(family)
    population = family.population(seed=0, num_test=8)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (32, 32))
    config = learners.MAML.Config(
        num_iterations=iterations, meta_batch_size=10, inner_learning_rate=0.3
    )
    learner = learners.MAML(family, policy, config)
    tfcaml.train(learner, population, seed=0)
    result = tfcaml.evaluate(learner, population.test, num_updates=2, seed=0)
    mean = result.returns.mean(axis=(1, 2))
    print("mean return", np.round(mean, 1))
    return {"mean": mean}


def get_config():
    """The same for the command line, with films."""
    maml = learners.MAML.Config(num_iterations=5, meta_batch_size=10, inner_learning_rate=0.3)
    return base.experiment(
        environment=base.section("mujoco_family:Rods", RodsConfig()),
        learner=base.section("maml", maml),
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        evaluation={"num_tasks": 4, "num_updates": 2, "episodes": 10},
    )


if __name__ == "__main__":
    main()
