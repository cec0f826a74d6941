"""Families of environments."""

from tfcaml.environments.base import Environment, Population
from tfcaml.environments.navigation import Navigation, NavigationConfig
from tfcaml.environments.particle import Particle, ParticleConfig
from tfcaml.environments.sinusoid import Sinusoid, SinusoidConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {
    "navigation": (Navigation, NavigationConfig),
    "particle": (Particle, ParticleConfig),
    "sinusoid": (Sinusoid, SinusoidConfig),
}

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "Navigation",
    "NavigationConfig",
    "Particle",
    "ParticleConfig",
    "Population",
    "Sinusoid",
    "SinusoidConfig",
]
