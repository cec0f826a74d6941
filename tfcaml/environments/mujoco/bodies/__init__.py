"""Bodies for task families of MuJoCo: functions that return an `mujoco.MjSpec`, not compiled.

They are made of plain shapes without textures, so that a compiled model is small. All bodies,
joints, geoms and actuators have names. Each has a lamp, a floor with a line every metre, a camera
"track" that follows it, and one that stands: "side" or "top". What is only looked at has neither
mass nor contact.
"""

from tfcaml.environments.mujoco.bodies.ant_courses import ant_course, ant_maze
from tfcaml.environments.mujoco.bodies.ants import ant, tesp_ant
from tfcaml.environments.mujoco.bodies.cheetahs import half_cheetah
from tfcaml.environments.mujoco.bodies.hoppers import hopper, walker
from tfcaml.environments.mujoco.bodies.many_legged import legged
from tfcaml.environments.mujoco.bodies.pushers import arm_pusher, pusher
from tfcaml.environments.mujoco.bodies.reachers import block_reacher, gym_reacher, reacher
from tfcaml.environments.mujoco.bodies.wheeled_robots import wheeled

__all__ = [
    "ant",
    "ant_course",
    "ant_maze",
    "block_reacher",
    "arm_pusher",
    "gym_reacher",
    "half_cheetah",
    "hopper",
    "legged",
    "pusher",
    "reacher",
    "tesp_ant",
    "walker",
    "wheeled",
]
