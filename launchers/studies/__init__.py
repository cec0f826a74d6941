"""Studies of `launchers.reproduce`: (seeds, directory, quick) -> (results, text, figures)."""

from launchers.studies.caml import ablation as caml_ablation
from launchers.studies.caml import figure2 as caml_figure2
from launchers.studies.caml import figure3 as caml_figure3
from launchers.studies.caml import figure4 as caml_figure4
from launchers.studies.caml import scaling as caml_scaling
from launchers.studies.caml import tuning as caml_tuning
from launchers.studies.cartpole import entities as cartpole_entities
from launchers.studies.glucose import cohort as glucose_cohort
from launchers.studies.hindsight import maze as hindsight_maze
from launchers.studies.maml import fisher as maml_fisher
from launchers.studies.maml import navigation as maml_navigation
from launchers.studies.maml import sinusoid as maml_sinusoid

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
    "maml_fisher": maml_fisher.run,
    "maml_navigation": maml_navigation.run,
    "maml_sinusoid": maml_sinusoid.run,
}
