"""Studies of `launchers.reproduce`: seeds -> (results, text, figures)."""

from launchers.studies import caml_figure2

STUDIES = {"caml_figure2": caml_figure2.run}
