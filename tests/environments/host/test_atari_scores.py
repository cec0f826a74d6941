"""Human-normalised scores of Atari games."""

import pytest

from tfcaml.environments.host.atari_scores import GAMES, SCORES, human_normalized
from tfcaml.errors import ConfigError


def test_there_are_57_games():
    assert len(GAMES) == 57 and list(GAMES) == sorted(GAMES)
    assert {"pong", "montezuma_revenge", "surround"} < set(GAMES)


@pytest.mark.parametrize("game", GAMES)
def test_random_play_has_0_and_a_human_1(game):
    random, human = SCORES[game]
    assert human > random
    assert human_normalized(game, random) == 0 and human_normalized(game, human) == 1


def test_a_score_between_and_one_below():
    """Alien and Breakout, by hand."""
    assert human_normalized("alien", 1000.0) == pytest.approx(772.2 / 6899.9)
    assert human_normalized("breakout", 400.0) == pytest.approx(398.3 / 28.8)
    assert human_normalized("pong", -21.0) < 0


def test_other_games_are_refused():
    with pytest.raises(ConfigError, match="game to be one of alien, "):
        human_normalized("Pong", 1.0)
