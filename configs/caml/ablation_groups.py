"""`caml/ablation` where new entities are of unseen groups: what concerns choosing among medoids."""

from tfcaml.configs.caml import ablation as caml_ablation


def get_config():
    return caml_ablation.get_config("groups", ("k", "n", "assignment"))
