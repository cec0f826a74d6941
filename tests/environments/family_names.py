"""Names of all families, for tests that are made for each."""

import pytest

from tfcaml import environments

# A minute of a patient takes seconds to compile; the robots have kin among the quick ones.
SLOW = {"glucose", "ant_ring", "ant_target", "random_walker", "reacher_4", "wheeled_ring"}
NAMES = [
    *sorted(set(environments.ENVIRONMENTS) - SLOW),
    *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SLOW)),
]
