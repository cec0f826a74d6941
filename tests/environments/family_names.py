"""Names of all families, for tests that are made for each."""

import importlib.util

import pytest

from tfcaml import environments

_WITHOUT_ALE = importlib.util.find_spec("ale_py") is None

# A minute of a patient takes seconds to compile; the robots have kin among the quick ones.
SLOW = {"glucose", "ant_ring", "ant_target", "random_walker", "reacher_4", "wheeled_ring"}
WITHOUT_DATA = {"image_folders"}  # which needs a folder of images, see its own tests
ATARI = pytest.param(
    "atari", marks=pytest.mark.skipif(_WITHOUT_ALE, reason="needs the extra atari")
)
NAMES = [
    *sorted(set(environments.ENVIRONMENTS) - SLOW - WITHOUT_DATA - {"atari"}),
    ATARI,
    *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SLOW)),
]
