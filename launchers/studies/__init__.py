"""Studies of `launchers.reproduce`: (seeds, directory) -> (results, text, figures)."""

from launchers.studies import caml_figure2, maml_navigation

STUDIES = {"caml_figure2": caml_figure2.run, "maml_navigation": maml_navigation.run}
