"""The protocol of 57 Atari games: human-normalised scores after 200 million frames of each.

Runs the config `meta_gradient/atari_57` in a run directory for each game, so that it goes on where
it stopped, in the middle of a game too; a finished game is not played again. Human starts, the
other half of the papers' tables, need states of human play that are not public.
"""

import numpy as np
from tfcaml.configs.meta_gradient import atari_57

from tfcaml.environments.host.atari_scores import GAMES, SCORES, human_normalized
from tfcaml.experiments.experiment import Experiment
from tfcaml.figures import style
from tfcaml.settings import as_json

from ..runs import kept, rounded, run_config, shrink

# Meta-gradient RL paper, the table of results: median of 57 games with no-op starts, gamma-bar of
# 0.995.
PUBLISHED = {
    **{"IMPALA": 2.571, "learned lambda": 2.465},
    **{"learned gamma": 2.755, "both learned": 2.876},
}


def run(study_seeds, out_dir, quick=False, train=Experiment.train, games=GAMES):
    """Runs the study; see `launchers.reproduce`. games: those that are played."""
    rows = {}
    for game in games[:2] if quick else games:
        content = content_of(game, quick)
        settings = {"config": content, "seeds": list(study_seeds)}
        play = lambda game=game, content=content: _scores(content, study_seeds, out_dir, train)
        scores = kept(out_dir / "scores" / f"{game}.json", settings, play)
        score = float(np.mean(scores))
        rows[game] = {"scores": scores, "score": score}
        rows[game] |= {"human_normalized": human_normalized(game, score)}
    median = float(np.median([row["human_normalized"] for row in rows.values()]))
    results = {"seeds": list(study_seeds), "games": rounded(rows), "median": round(median, 4)}
    frames = _frames(content_of(games[0], quick))
    return results, _text(rows, median, frames, len(study_seeds)), {"games": _picture(rows)}


def content_of(game, quick=False):
    """The config of a game, as a dict."""
    content = as_json(atari_57.get_config().to_dict())
    content["environment"]["game"] = game
    if quick:
        shrink(content)
        content["environment"]["max_frames"] = 40
        content["evaluation"]["num_tasks"] = 1
        content["policy"] = {"fc_layer_params": [], "activation": "tanh"}
        content["learner"] |= {"torso": "convolutional", "meta_batch_size": 1}
    return content


def _scores(content, study_seeds, out_dir, train):
    """Mean points of an episode after training, by seed."""
    root = out_dir / "runs" / content["environment"]["game"]
    _, summary = run_config(content, study_seeds, root, train=train)
    return np.array(summary["methods"]["meta_gradient"]["returns"])[:, -1].mean(axis=-1).tolist()


def _frames(content):
    """Frames of training, by game and seed."""
    learner, skip = content["learner"], content["environment"]["frame_skip"]
    updates = learner["num_iterations"] * learner["inner_updates"] * learner["updates_per_meta"]
    return updates * learner["episodes_per_update"] * learner["unroll"] * skip


def _picture(rows):
    """Human-normalised scores, the best at the top."""
    order = sorted(rows, key=lambda game: rows[game]["human_normalized"])
    figure, axes = style.new(6, 1 + 0.16 * len(order))
    axes.barh(order, [100 * rows[game]["human_normalized"] for game in order], color=style.color(0))
    axes.axvline(100, color=style.color(6), linestyle="--", linewidth=1)
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xlabel("human-normalised score, % (100: a human; logarithmic beyond)")
    axes.tick_params(axis="y", labelsize=7)
    return figure


def _text(rows, median, frames, num_seeds):
    lines = [
        f"{len(rows)} games, {frames / 1e6:.4g} million frames of each, {num_seeds} seeds. Points "
        "are the mean of episodes with no-op starts that the trained policy plays; its actions are "
        "drawn. Human-normalised is 0 % for random play and 100 % for a human.",
        "",
        f"Median of the games: {median:.1%}. The paper has "
        + ", ".join(f"{value:.1%} ({what})" for what, value in PUBLISHED.items())
        + ", of all 57 games after 200 million frames of each.",
        "",
        "| game | points | random | human | human-normalised |",
        "|---|---|---|---|---|",
    ]
    for game, row in rows.items():
        random, human = SCORES[game]
        lines.append(
            f"| {game} | {row['score']:.1f} | {random} | {human} | {row['human_normalized']:.1%} |"
        )
    return "\n".join([*lines, ""])
