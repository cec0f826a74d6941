"""Families of environments."""

from tfcaml.environments.base import Environment, Population
from tfcaml.environments.particle import Particle, ParticleConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {"particle": (Particle, ParticleConfig)}

__all__ = ["ENVIRONMENTS", "Environment", "Particle", "ParticleConfig", "Population"]
