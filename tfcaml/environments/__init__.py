"""Families of environments."""

from tfcaml.environments.base import Population, TaskFamily
from tfcaml.environments.conformance import check
from tfcaml.environments.glucose import Glucose, GlucoseConfig
from tfcaml.environments.host.cart_pole import CartPole, CartPoleConfig
from tfcaml.environments.host.environment import HostEnvironment
from tfcaml.environments.native.maze import Maze, MazeConfig
from tfcaml.environments.native.navigation import Navigation, NavigationConfig
from tfcaml.environments.native.particle import Particle, ParticleConfig
from tfcaml.environments.supervised.sinusoid import Sinusoid, SinusoidConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {
    "cart_pole": (CartPole, CartPoleConfig),
    "glucose": (Glucose, GlucoseConfig),
    "maze": (Maze, MazeConfig),
    "navigation": (Navigation, NavigationConfig),
    "particle": (Particle, ParticleConfig),
    "sinusoid": (Sinusoid, SinusoidConfig),
}

__all__ = [
    "CartPole",
    "CartPoleConfig",
    "ENVIRONMENTS",
    "TaskFamily",
    "Glucose",
    "GlucoseConfig",
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
