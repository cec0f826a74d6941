"""Pictures are drawn from real shapes and end as PNG."""

import numpy as np
import pytest
from matplotlib import image

from tfcaml import figures
from tfcaml.environments.glucose.figures import ambulatory_glucose_profile


def _figures():
    """name -> () -> figure."""
    rng = np.random.default_rng(0)
    returns = {name: -rng.uniform(10, 500, [3, 6, 2]) for name in ("caml", "random")}
    level = {**returns, "oracle": -rng.uniform(1, 5, [3, 1, 2])}
    gains = {name: 200 + values for name, values in returns.items()}
    points = rng.normal(size=[12, 2])
    matrix = np.linalg.norm(points[:, None] - points[None], axis=-1)
    labels = np.arange(12) % 3
    paths = {name: rng.normal(size=[4, 9, 2]).cumsum(axis=1) for name in ("caml", "random")}
    paths["caml"][0, 5:] = np.nan  # an episode that ended early
    every = np.arange(5)
    curves = {
        name: (every, rng.normal(size=[3, 5]))
        for name in ("return_after", "return_1", "return_before", "kl", "line_search_tries")
    }
    ends = {name: rng.normal(size=[4, 2]) for name in "abcdefg"}
    leads = {
        name: [{"value": value, "lower": value - 3, "upper": value + 9} for value in row]
        for name, row in (("k = 4", (-30.0, 5.0)), ("random", (200.0, 90.0)))
    }
    leads["alone"] = 2 * [{"value": 1.0, "lower": None, "upper": None}]
    return {
        "end_positions": lambda: figures.end_positions(ends, ends),
        "paired_differences": lambda: figures.paired_differences(
            leads, ("before", "after"), "leads"
        ),
        "divergence_curves": lambda: figures.divergence_curves(
            {name: (every, rng.normal(size=[1, 5])) for name in ("mean", "max", "silhouette")}
        ),
        "training_curves": lambda: figures.training_curves(curves),
        "adaptation_curves of gains": lambda: figures.adaptation_curves(gains),
        "adaptation_curves with a level": lambda: figures.adaptation_curves(level),
        "adaptation_curves": lambda: figures.adaptation_curves(returns),
        "error_curves": lambda: figures.error_curves({"maml": -returns["caml"]}, "errors"),
        "regression_fits": lambda: figures.regression_fits(
            every,
            rng.normal(size=[2, 5]),
            rng.normal(size=[2, 2, 3]),
            {"maml": {0: rng.normal(size=[2, 5])}},
        ),
        "ambulatory_glucose_profile": lambda: ambulatory_glucose_profile(
            {name: rng.uniform(50, 250, [20, 97]) for name in ("policy", "basal")}, "title"
        ),
        "divergence_matrix": lambda: figures.divergence_matrix(matrix, labels),
        "policy_map": lambda: figures.policy_map(matrix, labels, [0, 1, 2], labels),
        "policy_map without groups": lambda: figures.policy_map(matrix, labels),
        "policy_maps": lambda: figures.policy_maps({"one": {"0": matrix, "5": matrix}}, labels),
        "curves": lambda: figures.curves(
            {"y": {"caml": -returns["caml"][..., 0], "random": -returns["random"][..., 0]}},
            range(1, 7),
            "x",
            "title",
            bands=("caml",),
            log=True,
        ),
        "success_curves": lambda: figures.success_curves(
            {"alone": rng.integers(1, 22, [3, 4]), "guided": np.full([3, 4], 21)}, 20, "title"
        ),
        "goal_similarity": lambda: figures.goal_similarity(
            np.argwhere(np.ones([3, 4])), (0, 0), 5, matrix, -matrix, "title"
        ),
        "trajectories": lambda: figures.trajectories(paths, paths),
    }


@pytest.mark.parametrize("name", list(_figures()))
def test_figure_becomes_png(name, tmp_path):
    path = tmp_path / "new" / "figure.png"
    content = figures.save(_figures()[name](), path)
    assert path.read_bytes() == content and content.startswith(b"\x89PNG")
    pixels = image.imread(path)
    assert pixels.shape[-1] == 4
    assert np.std(pixels) > 0.004  # not blank


def test_training_panels_are_those_that_have_curves():
    names = [f"return_{k}" for k in ("after", "10", "2", "before")]
    curves = {name: (np.arange(3), np.zeros([2, 3])) for name in names}
    axes = figures.training_curves(curves).axes
    assert len(axes) == 1
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["return_before", "return_2", "return_10", "return_after"]


def test_matrix_rows_are_sorted_by_cluster():
    labels = np.array([1, 0, 1, 0])
    matrix = np.abs(labels[:, None] - labels[None]).astype(float)
    shown = figures.divergence_matrix(matrix, labels).axes[0].images[0].get_array()
    assert shown[:2, :2].max() == 0 and shown[2:, 2:].max() == 0 and shown[:2, 2:].min() == 1


def test_map_panels_are_rows_by_columns_coloured_by_group():
    matrix = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    maps = {"a": {"0": matrix, "40": matrix}, "b": {"0": matrix, "40": matrix}}
    groups = np.array([2, 0, 0, 2, 1, 1])
    axes = figures.policy_maps(maps, groups).axes
    assert [panel.get_title() for panel in axes] == ["0", "40", "0", "40"]
    assert [panel.get_ylabel() for panel in axes] == ["a", "", "b", ""]
    colors = axes[3].collections[0].get_facecolors()
    same = (colors[:, None] == colors[None]).all(axis=-1)
    np.testing.assert_array_equal(same, groups[:, None] == groups[None])


def test_curves_are_medians_with_bands_where_asked_for():
    values = {"a": np.array([[0.0, 1], [1, 2], [5, 9]]), "b": np.zeros([3, 2])}
    (axes,) = figures.curves({"y": values}, [0, 5], "x", "", bands=("a",)).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, 2])
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).intervaly.tolist() == [0, 9]
