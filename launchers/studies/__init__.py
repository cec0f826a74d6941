"""Studies of `launchers.reproduce`: (seeds, directory, quick) -> (results, text, figures)."""

from launchers.studies import (
    caml_figure2,
    caml_scaling,
    cartpole_entities,
    maml_navigation,
    maml_sinusoid,
)

STUDIES = {
    "caml_figure2": caml_figure2.run,
    "caml_scaling": caml_scaling.run,
    "cartpole_entities": cartpole_entities.run,
    "maml_navigation": maml_navigation.run,
    "maml_sinusoid": maml_sinusoid.run,
}
