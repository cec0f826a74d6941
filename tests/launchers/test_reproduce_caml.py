"""Studies of the CAML paper."""

import pytest

from launchers.studies import STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("study", sorted(name for name in STUDIES if name.startswith("caml")))
def test_study_writes_its_results(study, check_study):
    check_study(study)
