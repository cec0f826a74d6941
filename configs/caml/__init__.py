"""Experiments with CAML on the personalised particles."""
