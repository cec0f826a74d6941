"""Families of environments."""

from tfcaml.environments.base import Environment, Population
from tfcaml.environments.navigation import Navigation, NavigationConfig
from tfcaml.environments.particle import Particle, ParticleConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {
    "navigation": (Navigation, NavigationConfig),
    "particle": (Particle, ParticleConfig),
}

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "Navigation",
    "NavigationConfig",
    "Particle",
    "ParticleConfig",
    "Population",
]
