"""The study of 57 Atari games, with runs in whose place numbers stand."""

import numpy as np
import pytest

from launchers.studies.atari import games
from tfcaml.environments.host.atari_scores import GAMES, SCORES


@pytest.fixture
def runs(monkeypatch):
    """The games that were played; each half as well as a human is better than random play."""
    played = []

    def run_config(content, study_seeds, root, train):
        game = content["environment"]["game"]
        played.append((game, root.name, tuple(study_seeds)))
        if train == "stops" and len(played) == 3:
            raise KeyboardInterrupt
        random, human = SCORES[game]
        score = (random + human) / 2 if game != "alien" else human
        returns = np.full([len(study_seeds), 1, 1], score)
        return None, {"methods": {"meta_gradient": {"returns": returns}}}

    monkeypatch.setattr(games, "run_config", run_config)
    return played


def test_the_median_of_all_games(runs, tmp_path):
    results, text, pictures = games.run((0, 1), tmp_path)
    assert len(pictures["games"].axes[0].patches) == 57
    assert [game for game, _, _ in runs] == list(GAMES) and len(runs) == 57
    assert results["median"] == 0.5 and results["games"]["alien"]["human_normalized"] == 1
    assert "57 games, 200.2 million frames of each, 2 seeds." in text
    assert "| zaxxon | 4602.9 | 32.5 | 9173.3 | 50.0% |" in text
    assert "Median of the games: 50.0%" in text


def test_finished_games_are_not_played_again(runs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        games.run((0,), tmp_path, train="stops")
    assert len(runs) == 3
    games.run((0,), tmp_path)
    assert [game for game, _, _ in runs[3:]] == list(GAMES[2:])


def test_the_protocol():
    content = games.content_of("surround")
    environment, learner = content["environment"], content["learner"]
    assert environment == {
        **{"name": "atari", "game": "surround", "frame_skip": 4, "max_no_ops": 30},
        **{"max_frames": 108_000, "sticky_actions": 0.0, "full_action_set": True},
    }
    assert learner["torso"] == "residual" and learner["reward_clip"] == 1
    assert (learner["episodes_per_update"], learner["unroll"]) == (32, 20)
    assert learner["learn_discount"] and learner["learn_lambda"]
    assert learner["max_grad_norm"] == 40 / 640
