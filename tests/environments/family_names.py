"""Names of all families, for tests that are made for each."""

import pytest

from tfcaml import environments

# A minute of a patient takes seconds to compile.
GLUCOSE = pytest.param("glucose", marks=pytest.mark.slow)
NAMES = [*sorted(set(environments.ENVIRONMENTS) - {"glucose"}), GLUCOSE]
