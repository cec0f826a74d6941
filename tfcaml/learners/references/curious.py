"""What learners with one policy for each task share: the bonus of VIME, where it is asked for."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfcaml.exploration import vime
from tfcaml.learners.base import MetaLearner
from tfcaml.types import Metric, Nest, Task, Trajectory


class Curious(MetaLearner):
    """Base of learners whose `config.vime` says how steps are paid for what they teach.

    The models are a part of the state, "vime", one for each policy. Without a bonus there are none.
    New tasks are adapted to without it.

    Attributes:
      vime: the `VIME`; None without a bonus.
    """

    config: Any
    vime: Any

    def setup(self) -> None:
        super().setup()
        self.vime = None
        if self.config.vime.eta > 0:
            specs = self.environment.observation_spec, self.environment.action_spec
            self.vime = vime.VIME(self.config.vime, *specs)

    def initial_state(self, seed: int) -> dict[str, Nest]:
        state = super().initial_state(seed)
        if self.vime is not None:
            state["vime"] = self.vime.init(self.config.meta_batch_size, seed)
        return state

    def explored(self, trajectory: Trajectory, key: tf.Tensor) -> tuple[Trajectory, tf.Tensor]:
        """Episodes with the bonus in their rewards, and the gain [N, E, T] that it is for.

        Args:
          trajectory: `Trajectory` as it was played; of learners with a bonus.
          key: [2], of the iteration.
        """
        state = self.state["vime"].read()
        gain = self.vime.gain(state, trajectory, key)
        bonus = self.vime.bonus(state, gain, trajectory.mask)
        return trajectory._replace(reward=trajectory.reward + bonus), gain

    def seen(self, batch: Any) -> tuple[Trajectory, tf.Tensor]:
        """(`Trajectory`, gain) of what `collect` returned, for the models to learn from."""
        raise NotImplementedError

    def after_update(
        self, meta: Nest, batch: Any, task: Task, key: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        metrics = super().after_update(meta, batch, task, key)
        if self.vime is None:
            return metrics
        state, more = self.vime.learn(self.state["vime"].read(), *self.seen(batch), key)
        self.state["vime"].write(state)
        return {**metrics, **more}

    def _checked_jit_compile(self, jit_compile: bool | None) -> bool:
        # With a bonus XLA compiles all anew in every iteration, which takes longer than it gains.
        curious = jit_compile is None and self.config.vime.eta > 0
        return super()._checked_jit_compile(False if curious else jit_compile)

    @property
    def metrics(self) -> dict[str, Metric]:
        return {**super().metrics, **vime.METRICS}
