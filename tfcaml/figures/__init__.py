"""The pictures, as matplotlib figures, and how they become PNG; those that move, as GIF.

Nothing here knows where figures go.
"""

from tfcaml.figures.animations import adaptation_gif
from tfcaml.figures.curves import (
    adaptation_curves,
    curves,
    divergence_curves,
    error_curves,
    paired_differences,
    regression_fits,
    seed_curves,
    success_curves,
    sweep_returns,
    training_curves,
)
from tfcaml.figures.few_shot import few_shot_tasks
from tfcaml.figures.films import film_gif, film_sheet
from tfcaml.figures.latents import LatentEpisodes, exploration_paths, latent_map
from tfcaml.figures.maps import (
    divergence_matrix,
    embedding_map,
    end_positions,
    policy_map,
    policy_maps,
    trajectories,
    visits,
)
from tfcaml.figures.mazes import goal_similarity
from tfcaml.figures.options import OptionEpisodes, option_paths
from tfcaml.figures.shares import success_shares
from tfcaml.figures.style import SEEDS_OF_A_BAND, color, png, save

__all__ = [
    "LatentEpisodes",
    "OptionEpisodes",
    "SEEDS_OF_A_BAND",
    "adaptation_curves",
    "adaptation_gif",
    "color",
    "curves",
    "divergence_curves",
    "divergence_matrix",
    "embedding_map",
    "end_positions",
    "error_curves",
    "exploration_paths",
    "few_shot_tasks",
    "film_gif",
    "film_sheet",
    "goal_similarity",
    "latent_map",
    "option_paths",
    "paired_differences",
    "png",
    "policy_map",
    "policy_maps",
    "regression_fits",
    "save",
    "seed_curves",
    "success_curves",
    "success_shares",
    "sweep_returns",
    "training_curves",
    "trajectories",
    "visits",
]
