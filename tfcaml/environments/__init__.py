"""Families of environments."""

from tfcaml.environments.base import Environment, Population
from tfcaml.environments.cart_pole import CartPole, CartPoleConfig
from tfcaml.environments.conformance import check
from tfcaml.environments.glucose import Glucose, GlucoseConfig
from tfcaml.environments.host import HostEnvironment
from tfcaml.environments.maze import Maze, MazeConfig
from tfcaml.environments.navigation import Navigation, NavigationConfig
from tfcaml.environments.particle import Particle, ParticleConfig
from tfcaml.environments.sinusoid import Sinusoid, SinusoidConfig

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
    "Environment",
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
