"""Families and tasks that tests share, so that they share compiled minutes."""

import pytest

from tfcaml.environments.glucose import Glucose, GlucoseConfig


@pytest.fixture(scope="session")
def glucose():
    """With continuous actions."""
    return Glucose(GlucoseConfig(actions="continuous"))


@pytest.fixture(scope="session")
def quick():
    """(options) -> a family of hours rather than a day: 3 readings and decisions of 15 minutes."""

    def make(horizon=8, **options):
        family = Glucose(GlucoseConfig(**{"actions": "continuous", **options}))
        family.horizon = horizon
        return family

    return make


@pytest.fixture(scope="session")
def three(glucose):
    """An adolescent, an adult and a child."""
    return glucose.tasks(["adolescent#003", "adult#004", "child#007"])
