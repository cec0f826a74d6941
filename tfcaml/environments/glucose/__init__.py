"""Personalised insulin dosing on virtual patients. Research use only, not for dosing decisions."""

from tfcaml.environments.glucose import controllers
from tfcaml.environments.glucose.family import Glucose, GlucoseConfig
from tfcaml.environments.glucose.measures import measures, summary
from tfcaml.environments.glucose.simulation import simulate

__all__ = ["Glucose", "GlucoseConfig", "controllers", "measures", "simulate", "summary"]
