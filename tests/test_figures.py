"""Pictures are drawn from real shapes and end as PNG and as TensorBoard images."""

import numpy as np
import pytest

from tfcaml import figures


def _figures():
    rng = np.random.default_rng(0)
    returns = {name: -rng.uniform(10, 500, [3, 6, 2]) for name in ("caml", "random")}
    points = rng.normal(size=[12, 2])
    matrix = np.linalg.norm(points[:, None] - points[None], axis=-1)
    labels = np.arange(12) % 3
    paths = {name: rng.normal(size=[4, 9, 2]).cumsum(axis=1) for name in ("caml", "random")}
    paths["caml"][0, 5:] = np.nan  # an episode that ended early
    return {
        "adaptation_curves": figures.adaptation_curves(returns),
        "divergence_matrix": figures.divergence_matrix(matrix, labels),
        "policy_map": figures.policy_map(matrix, labels, [0, 1, 2], labels),
        "policy_map without groups": figures.policy_map(matrix, labels),
        "trajectories": figures.trajectories(paths, paths),
    }


@pytest.mark.parametrize("name", list(_figures()))
def test_figure_becomes_png_and_image(name, tmp_path):
    figure = _figures()[name]
    figures.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    image = figures.image(figure)
    assert image.shape[0] == 1 and image.shape[-1] == 4
    assert np.std(image) > 1  # not blank


def test_matrix_rows_are_sorted_by_cluster():
    labels = np.array([1, 0, 1, 0])
    matrix = np.abs(labels[:, None] - labels[None]).astype(float)
    shown = figures.divergence_matrix(matrix, labels).axes[0].images[0].get_array()
    assert shown[:2, :2].max() == 0 and shown[2:, 2:].max() == 0 and shown[:2, 2:].min() == 1
