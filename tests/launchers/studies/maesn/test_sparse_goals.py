"""The pictures of latents are drawn in the plane that tells goals best."""

import numpy as np

from launchers.studies.maesn import sparse_goals


def test_goals_are_told_by_the_plane_wherever_it_lies():
    """Goals that are a turned and stretched part of four numbers, which are far from 0."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(50, 4)) + 3
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0][:, :2]
    plane = sparse_goals._plane(latent, latent @ turned @ [[2.0, 1.0], [0.0, 0.5]] - 7)
    np.testing.assert_allclose(plane.T @ plane, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(plane @ plane.T, turned @ turned.T, atol=1e-12)
