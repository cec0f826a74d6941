"""Families of environments."""

from tfcaml.environments.base import Population, TaskFamily
from tfcaml.environments.conformance import check
from tfcaml.environments.glucose import Glucose, GlucoseConfig
from tfcaml.environments.host.cart_pole import CartPole, CartPoleConfig
from tfcaml.environments.host.environment import HostEnvironment
from tfcaml.environments.mujoco.ant import (
    AntDirection,
    AntDirectionConfig,
    AntGoal,
    AntGoalConfig,
    AntVelocity,
    AntVelocityConfig,
    GoalAnt,
    GoalAntConfig,
)
from tfcaml.environments.mujoco.half_cheetah import (
    HalfCheetahDirection,
    HalfCheetahDirectionConfig,
    HalfCheetahVelocity,
    HalfCheetahVelocityConfig,
)
from tfcaml.environments.native.maze import Maze, MazeConfig
from tfcaml.environments.native.navigation import Navigation, NavigationConfig
from tfcaml.environments.native.particle import Particle, ParticleConfig
from tfcaml.environments.supervised.sinusoid import Sinusoid, SinusoidConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {
    "ant_direction": (AntDirection, AntDirectionConfig),
    "ant_goal": (AntGoal, AntGoalConfig),
    "ant_velocity": (AntVelocity, AntVelocityConfig),
    "cart_pole": (CartPole, CartPoleConfig),
    "glucose": (Glucose, GlucoseConfig),
    "goal_ant": (GoalAnt, GoalAntConfig),
    "half_cheetah_direction": (HalfCheetahDirection, HalfCheetahDirectionConfig),
    "half_cheetah_velocity": (HalfCheetahVelocity, HalfCheetahVelocityConfig),
    "maze": (Maze, MazeConfig),
    "navigation": (Navigation, NavigationConfig),
    "particle": (Particle, ParticleConfig),
    "sinusoid": (Sinusoid, SinusoidConfig),
}

__all__ = [
    "AntDirection",
    "AntDirectionConfig",
    "AntGoal",
    "AntGoalConfig",
    "AntVelocity",
    "AntVelocityConfig",
    "CartPole",
    "CartPoleConfig",
    "ENVIRONMENTS",
    "TaskFamily",
    "Glucose",
    "GlucoseConfig",
    "GoalAnt",
    "GoalAntConfig",
    "HalfCheetahDirection",
    "HalfCheetahDirectionConfig",
    "HalfCheetahVelocity",
    "HalfCheetahVelocityConfig",
    "HostEnvironment",
    "Maze",
    "MazeConfig",
    "Navigation",
    "NavigationConfig",
    "Particle",
    "ParticleConfig",
    "Population",
    "Sinusoid",
    "SinusoidConfig",
    "check",
]
