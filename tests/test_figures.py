"""Pictures are drawn from real shapes and end as PNG."""

import numpy as np
import pytest
from matplotlib import image

from tfcaml import figures
from tfcaml.environments.glucose.figures import ambulatory_glucose_profile
from tfcaml.figures import maps


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
    latents = figures.LatentEpisodes(paths["caml"], rng.normal(size=[4, 2]), np.ones(2))
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
    taken = figures.OptionEpisodes(
        rng.normal(size=[2, 5, 2]), rng.integers(0, 3, [2, 5]), points[:2], 1, [(0, 0)]
    )
    return {
        "end_positions": lambda: figures.end_positions(ends, ends),
        "paired_differences": lambda: figures.paired_differences(
            leads, ("before", "after"), "leads"
        ),
        "sweep_returns": lambda: figures.sweep_returns(leads, ("0.1", "1.0"), "rate"),
        "sweep_returns of combinations": lambda: figures.sweep_returns(
            {"maml": [leads["random"][0], None]}, ("0.1, (4,)", "0.1, (100, 100)"), "rate, layers"
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
        "policy_map of many clusters": lambda: figures.policy_map(matrix, np.arange(12), range(12)),
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
        "curves between quartiles": lambda: figures.curves(
            {"y": {"caml": rng.normal(size=[5, 6])}},
            range(6),
            "x",
            "title",
            bands=("caml",),
            quantiles=(0.25, 0.75),
        ),
        "seed_curves": lambda: figures.seed_curves(
            {"return": dict(list(curves.items())[:2]), "discount": {"kl": curves["kl"]}},
            "x",
            "title",
        ),
        "success_curves": lambda: figures.success_curves(
            {"alone": rng.integers(1, 22, [3, 4]), "guided": np.full([3, 4], 21)}, 20, "title"
        ),
        "exploration_paths": lambda: figures.exploration_paths(
            {row: {"before": latents, "after": latents} for row in ("one", "two")}, "title"
        ),
        "latent_map": lambda: figures.latent_map(
            {name: (points, np.exp(points), np.arange(12.0)) for name in ("known", "new")}, "title"
        ),
        "option_paths": lambda: figures.option_paths(
            {row: {"": taken, "later": taken} for row in ("one", "two")}, "title"
        ),
        "goal_similarity": lambda: figures.goal_similarity(
            np.argwhere(np.ones([3, 4])), (0, 0), 5, matrix, -matrix, "title"
        ),
        "embedding_map": lambda: figures.embedding_map(
            rng.normal(size=[9, 2]), rng.normal(size=[9, 4]), ["D", "D'", "D''"] * 3, "title"
        ),
        "trajectories": lambda: figures.trajectories(paths, paths),
        "visits": lambda: figures.visits({"one": np.eye(4), "two": np.ones([4, 4])}, "xy", "t"),
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
    axes = figures.training_curves({"loss_before": (np.arange(3), np.zeros([2, 3]))}).axes
    assert [each.get_ylabel() or each.get_title() for each in axes] == ["loss on training entities"]


def test_a_name_has_one_colour_in_all_panels_and_one_line_in_the_legend():
    line = range(3), np.zeros([2, 3])
    panels = {"return": {"fixed": line, "learned": line}, "discount": {"learned": line}}
    figure = figures.seed_curves(panels, "steps", "title")
    first, second = figure.axes
    colour = {each.get_label(): each.get_color() for each in first.get_lines()}
    assert second.get_lines()[0].get_color() == colour["learned"] != colour["fixed"]
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["fixed", "learned"]
    for axes in figure.axes:
        np.testing.assert_array_equal(axes.get_xticks() % 1, 0)


def test_no_two_lines_of_many_look_alike():
    lines = {f"method {i}": (range(3), np.zeros([2, 3])) for i in range(25)}
    [axes] = figures.seed_curves({"return": lines}, "steps", "title").axes
    drawn = [each for each in axes.get_lines() if each.get_label() in lines]
    assert len({(each.get_color(), each.get_linestyle()) for each in drawn}) == len(drawn) == 25


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
    values = {"a": np.array([[0.0, 1], [1, 2], [1, 2], [5, 9]]), "b": np.zeros([4, 2])}
    (axes,) = figures.curves({"y": values}, [0, 5], "x", "", bands=("a",)).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, 2])
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).intervaly.tolist() == [0, 9]


def test_lines_of_curves_may_be_measured_at_different_places():
    values = {"a": np.zeros([1, 3]), "b": np.ones([1, 2])}
    (axes,) = figures.curves({"y": values}, {"a": [0, 1, 2], "b": [0, 5]}, "x", "").axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 1, 2], [0, 5]]


def test_a_map_of_embeddings_shows_goals_and_vectors_in_the_same_colours():
    """Of one number too; and of tasks that are all told by the same vector."""
    goals = np.array([[1.0, 0], [0, 2], [-1, 0]])
    for vectors in (goals[:, :1], 0 * goals, np.arange(12.0).reshape(3, 4)):
        figure = figures.embedding_map(goals, vectors, ["near", "far", "near"], "title")
        plane, shown = figure.axes[:2]
        assert [text.get_text() for text in plane.get_legend().get_texts()] == ["near", "far"]
        np.testing.assert_array_equal(plane.collections[0].get_offsets(), goals[[0, 2]])
        for one, other in zip(plane.collections, shown.collections, strict=True):
            np.testing.assert_array_equal(one.get_array(), other.get_array())
        np.testing.assert_array_equal(plane.collections[0].get_array(), [0, 180])


def _curve_figures(seeds):
    """Every figure of curves over seeds, of that many: name -> its first panel."""
    rng = np.random.default_rng(0)
    returns = {"caml": -rng.uniform(10, 500, [seeds, 6, 2])}
    curve = lambda name: {name: (range(5), rng.normal(size=[seeds, 5]))}
    one = {"y": {"a": rng.normal(size=[seeds, 6])}}
    drawn = {
        "adaptation": figures.adaptation_curves(returns),
        "training": figures.training_curves(curve("return_after")),
        "divergence": figures.divergence_curves(curve("mean")),
        "success": figures.success_curves({"a": rng.integers(1, 22, [seeds, 4])}, 20, "title"),
        "errors": figures.error_curves({"maml": -returns["caml"]}, "errors"),
        "curves": figures.curves(one, range(6), "x", "title", bands=("a",)),
    }
    return {name: figure.axes[0] for name, figure in drawn.items()}


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 10])
def test_bands_are_of_four_seeds_or_more_and_fewer_are_drawn_themselves(seeds):
    for name, axes in _curve_figures(seeds).items():
        assert len(axes.collections) == (seeds >= 4), name
        assert len(axes.lines) == 1 + (seeds if 2 <= seeds <= 3 else 0), name
        says = axes.get_ylabel() + axes.figure.get_suptitle()
        if name != "curves":
            assert ("95 %" in says) == (seeds >= 4), name
            assert ("thin: each seed" in says) == (2 <= seeds <= 3), name


@pytest.mark.parametrize("number", [2, 6, 14])
def test_a_map_has_a_colour_for_each_cluster_and_its_legend_says_which(number):
    rng = np.random.default_rng(0)
    points = rng.normal(size=[40, 2])
    matrix = np.linalg.norm(points[:, None] - points[None], axis=-1)
    labels = np.concatenate([np.arange(number), rng.integers(0, number, 40 - number)])
    axes = figures.policy_map(matrix, labels, np.arange(number), np.arange(40) % 3).axes[0]
    shown = np.concatenate([c.get_facecolors() for c in axes.collections[:-1]])  # rings are last
    assert len(np.unique(shown, axis=0)) == number
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    handles = axes.get_legend().legend_handles
    sizes = {}
    for text, handle in zip(texts, handles):
        if "polic" in text:
            sizes[handle.get_color()] = int(text.split()[0])
    assert len(sizes) == number
    assert sorted(sizes.values()) == sorted(np.bincount(labels))
    assert {"colour: cluster", "shape: known group of the entity"} <= set(texts)
    markers = [h.get_marker() for t, h in zip(texts, handles) if t.startswith("group ")]
    assert len(set(markers)) == 3


def test_groups_that_tell_nothing_have_no_shapes():
    matrix = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    for groups in (None, np.zeros(6, int), np.arange(6)):
        axes = figures.policy_map(matrix, np.arange(6) % 2, [0, 1], groups).axes[0]
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert not any("group" in text for text in texts) and "colour: cluster" in texts


def test_a_cluster_has_the_colour_of_its_group_however_clusters_are_numbered():
    """As in another seed: clusters come in another order; two share a group; a group has none."""
    groups = np.repeat([0, 1, 2, 3], 5)
    labels = np.repeat([2, 0, 1, 1], 5)  # groups 2 and 3 are one cluster, the largest
    labels[:2] = 3  # group 0 is in two
    medoids = np.array([5, 10, 4, 0])  # by number of cluster
    expected = {2: 0, 0: 1, 1: 2, 3: 3}  # cluster -> colour; what is left goes to the small one
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        new = np.argsort(order)  # old number -> new number
        colors = maps.cluster_colors(new[labels], medoids[order], groups)
        assert {cluster: colors[new[cluster]] for cluster in range(4)} == expected
    assert maps.cluster_colors(np.array([0, 1, 1, 1, 2, 2])).tolist() == [2, 0, 1]  # by size


def test_returns_are_drawn_on_a_logarithmic_axis_only_if_they_lie_far_apart():
    scale = lambda values: figures.adaptation_curves({"maml": values}).axes[0].get_yscale()
    far = -np.array([500.0, 100.0, 20.0])[None, :, None]
    assert scale(far) == "symlog"
    assert scale(far / 500 - 10) == scale(-far) == "linear"
