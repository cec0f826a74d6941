"""Studies of `launchers.reproduce`: (seeds, directory, quick) -> (results, text, figures)."""

from .atari import games as atari_57
from .caml import ablation as caml_ablation
from .caml import figure2 as caml_figure2
from .caml import figure3 as caml_figure3
from .caml import figure4 as caml_figure4
from .caml import scaling as caml_scaling
from .caml import tuning as caml_tuning
from .cartpole import entities as cartpole_entities
from .epg import learned_losses as epg
from .glucose import cohort as glucose_cohort
from .hindsight import maze as hindsight_maze
from .maesn import sparse_goals as maesn
from .maml import fisher as maml_fisher
from .maml import integrators as ant_integrators
from .maml import locomotion as maml_locomotion
from .maml import navigation as maml_navigation
from .maml import omniglot as maml_omniglot
from .maml import sinusoid as maml_sinusoid
from .meta_gradient import learned_returns as meta_gradient
from .mil import push as mil_push
from .mil import reach as mil_reach
from .mlsh import sub_policies as mlsh
from .rl2 import trials as rl2
from .tesp import targets as tesp
from .vime import mountain_car as vime_mountain_car

STUDIES = {
    "ant_integrators": ant_integrators.run,
    "atari_57": atari_57.run,
    "caml_ablation": caml_ablation.run,
    "caml_figure2": caml_figure2.run,
    "caml_figure3": caml_figure3.run,
    "caml_figure4": caml_figure4.run,
    "caml_scaling": caml_scaling.run,
    "caml_tuning": caml_tuning.run,
    "cartpole_entities": cartpole_entities.run,
    "epg": epg.run,
    "glucose_cohort": glucose_cohort.run,
    "hindsight_maze": hindsight_maze.run,
    "maesn": maesn.run,
    "maml_fisher": maml_fisher.run,
    "maml_locomotion": maml_locomotion.run,
    "maml_navigation": maml_navigation.run,
    "maml_omniglot": maml_omniglot.run,
    "maml_sinusoid": maml_sinusoid.run,
    "meta_gradient": meta_gradient.run,
    "mil_push": mil_push.run,
    "mil_reach": mil_reach.run,
    "mlsh": mlsh.run,
    "rl2": rl2.run,
    "tesp": tesp.run,
    "vime_mountain_car": vime_mountain_car.run,
}
