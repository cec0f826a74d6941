"""Parts of studies that are kept."""

import pytest

from launchers.studies.runs import kept
from tfcaml.errors import ConfigError


def test_a_part_is_computed_once_and_only_for_its_settings(tmp_path):
    calls = []

    def compute():
        calls.append(0)
        return [1.5, None, {"a": 2}]

    path = tmp_path / "parts" / "one.json"
    first = kept(path, {"seed": 0, "sizes": (1, 2)}, compute)
    assert kept(path, {"seed": 0, "sizes": (1, 2)}, compute) == first == [1.5, None, {"a": 2}]
    assert len(calls) == 1
    with pytest.raises(ConfigError, match="seed is 0 there and 1 here"):
        kept(path, {"seed": 1, "sizes": (1, 2)}, compute)
    assert len(calls) == 1
