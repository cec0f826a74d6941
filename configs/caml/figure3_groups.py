"""`caml/figure3` where the new entities are of groups never seen: three of six are held out."""

from tfcaml.configs.caml import figure3 as caml_figure3


def get_config():
    return caml_figure3.get_config(query_split="groups")
