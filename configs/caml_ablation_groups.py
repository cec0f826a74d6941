"""`caml_ablation` where new entities are of unseen groups: what concerns choosing among medoids."""

from configs import caml_ablation


def get_config():
    return caml_ablation.get_config("groups", ("k", "n", "assignment"))
