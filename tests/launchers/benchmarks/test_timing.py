"""Memory of processes, as the benchmark reports it."""

import numpy as np
import pytest

from launchers.benchmarks.timing import apart, peak_mebi


@pytest.mark.slow
def test_a_process_apart_does_not_start_from_the_peak_of_this_one():
    held = np.ones(150 * 2**20)  # 1,200 MiB, more than a fresh process needs
    assert peak_mebi() > held.nbytes / 2**20
    assert 0 < apart(peak_mebi) < held.nbytes / 2**20
