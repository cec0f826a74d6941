"""Personalised insulin dosing on virtual patients. Research use only, not for dosing decisions."""

from tfcaml.environments.glucose.family import Glucose, GlucoseConfig

__all__ = ["Glucose", "GlucoseConfig"]
