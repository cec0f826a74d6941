"""What the study makes of learned discounts and lambdas; that it runs is in test_reproduce.py."""

import numpy as np
import pytest

from launchers.studies.meta_gradient import learned_returns as study


@pytest.mark.parametrize("steps, even", [(10, [2, 4, 6, 8, 10]), (9, [2, 4, 6, 8])])
def test_states_are_even_and_odd_by_their_numbers(steps, even):
    """Values that are the numbers of the states from the second to the last one."""
    values = np.tile(np.arange(2.0, steps + 1), [3, 4, 1])  # [seeds, iterations, states]
    groups = study._groups(values)
    assert {rows.shape for rows in groups.values()} == {(3, 4)}
    expected = {"even": np.mean(even), "odd": 6.0, "last odd": 9.0}
    expected["even - odd"] = expected["even"] - expected["odd"]
    assert {name: rows[0, 0] for name, rows in groups.items()} == expected


def test_a_bar_is_met_within_its_bounds():
    assert study._bar("discount", "even", {"value": 0.2}) == "0 to 0.2 | yes"
    assert study._bar("discount", "odd", {"value": 0.849}) == "0.85 to 1 | no"
    assert study._bar("lambda", "odd", {"value": 0.5}) == " | "  # nothing is asked of it


def test_rivals_differ_from_the_learner_in_nothing_but_what_is_compared():
    for _, module in study.CONTROL.values():
        config = module.get_config()
        assert config.learner.advantage.discount == 0.9
        for rival in config.compared.values():
            _alike(rival, config.learner, {"name", "advantage"})
        discounts = [rival.advantage.discount for rival in config.compared.values()]
        assert len(set(discounts)) == 5 and 0.9 in discounts
    config = study.catch_vtrace.get_config()
    corrected, other = config.compared.vtrace_lag, config.compared.uncorrected_lag
    assert corrected.lag == other.lag == 5
    _alike(corrected, other, {"name", "correction"})
    config = study.discounting_chain.get_config()
    _alike(config.learner, config.compared.without_outer_critic, {"outer_critic"})


def _alike(section, other, but):
    shared = set(section) & set(other) - but
    assert {name for name in shared if section[name] != other[name]} == set()
