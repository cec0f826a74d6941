"""Studies of `launchers.reproduce`: (seeds, directory, quick) -> (results, text, figures)."""

from launchers.studies import (
    caml_ablation,
    caml_figure2,
    caml_figure3,
    caml_figure4,
    caml_scaling,
    caml_tuning,
    cartpole_entities,
    glucose_cohort,
    hindsight_maze,
    maml_navigation,
    maml_sinusoid,
)

STUDIES = {
    "caml_ablation": caml_ablation.run,
    "caml_figure2": caml_figure2.run,
    "caml_figure3": caml_figure3.run,
    "caml_figure4": caml_figure4.run,
    "caml_scaling": caml_scaling.run,
    "caml_tuning": caml_tuning.run,
    "cartpole_entities": cartpole_entities.run,
    "glucose_cohort": glucose_cohort.run,
    "hindsight_maze": hindsight_maze.run,
    "maml_navigation": maml_navigation.run,
    "maml_sinusoid": maml_sinusoid.run,
}
