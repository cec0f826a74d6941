"""Taking back updates that produce NaN or infinity."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml.errors import NotFiniteError

if TYPE_CHECKING:
    from tfcaml.learners.state import Variables

_log = logging.getLogger(__name__)


class Rollback:
    """Runs steps on state, and puts the state back where a step leads to NaN or infinity.

    Args:
      owner: whose state it is, for messages.
      variables: list of `Variables`, the state.
    """

    def __init__(self, owner: str, variables: Sequence[Variables]) -> None:
        self._owner = owner
        self._variables = variables
        # Not part of the steps, whose numbers are the same with and without them.
        self._read = tf.function(lambda: [x.read() for x in variables], autograph=False)
        self._finite = tf.function(self._is_finite, autograph=False)

    def __call__(
        self, step: Callable[[], dict[str, Any]], done: int
    ) -> tuple[dict[str, float], bool]:
        """Runs `step`, () -> metrics, after `done` iterations.

        Returns:
          (metrics as dict of floats; whether the step was taken back, which is logged).
        """
        before = self._read()
        try:
            metrics = {name: float(value) for name, value in step().items()}
            bad = [f"{name}={value}" for name, value in metrics.items() if not np.isfinite(value)]
            if not self._finite():
                bad.append("what is learned is not finite")
        except NotFiniteError as error:
            metrics, bad = {}, [str(error)]
        if bad:
            for variables, values in zip(self._variables, before):
                variables.write(values)
            what = ", ".join(bad)
            _log.warning("%s, %d iterations: update skipped: %s", self._owner, done, what)
        return metrics, bool(bad)

    def _is_finite(self) -> tf.Tensor:
        leaves = [x for x in tf.nest.flatten(self._read()) if x.dtype.is_floating]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in leaves])
