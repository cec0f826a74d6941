"""MIL: one demonstration of a new task, one gradient step, and the policy does it.

C. Finn, T. Yu, T. Zhang, P. Abbeel, S. Levine, "One-shot visual imitation learning via
meta-learning", CoRL 2017, Algorithm 1: of two demonstrations of a task the inner step learns from
one by behaviour cloning, with a gradient that is clipped number by number,

    phi_i = theta - alpha clip(grad_theta L(theta, demonstration), -c, c)

and the outer one lowers the loss of phi_i on the other over theta, through the inner step. With
`two_heads` the inner loss has a last layer of its own, so that it is learned (section 4.2): then a
demonstration may lack actions, which 0 stands for, or all but images (`demonstrations.shown`), and
`network.loss_head="temporal"` makes that layer the convolutions in time of T. Yu, C. Finn et al.,
"One-shot imitation from observing humans via domain-adaptive meta-learning", RSS 2018.

Differences from the paper:
  - Weights of dense layers start Glorot-uniform, but for the last.
  - Where observations are sets of objects in place of images, see `ImitationPolicy`.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.learners.imitation.base import ImitationConfig, ImitationLearner, moments_of
from tfcaml.optimization import partition
from tfcaml.types import Experience, FastState, Nest, Params


@settings.checked
@dataclasses.dataclass(frozen=True)
class MILConfig(ImitationConfig):
    """Settings of MIL.

    Attributes:
      inner_updates: K, inner steps in training, all on the same demonstrations. Source: MIL's code:
        1.
      inner_learning_rate: Alpha, the step size of inner steps. Source: MIL's code: 0.001 for
        reaching, 0.01 for pushing.
      later_step_scale: What the step size is multiplied by in steps beyond the `inner_updates`
        trained. Source: tfcaml.
      clip: c, the largest number that a gradient has in an inner step; 0: none is clipped. Source:
        MIL's code: 20 for reaching, 10 for pushing.
      first_order: Whether inner gradients count as constants in the outer step. Source: MIL's code,
        an option.
    """

    inner_updates: int = 1  # type: ignore[misc]
    inner_learning_rate: float = 0.001
    later_step_scale: float = 1.0
    clip: float = 20.0
    first_order: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.inner_updates >= 1, "inner_updates", self.inner_updates, ">= 1")
        check_positive(
            inner_learning_rate=self.inner_learning_rate,
            later_step_scale=self.later_step_scale,
        )
        check(self.clip >= 0, "clip", self.clip, ">= 0")
        shown = self.demonstrations.shown
        rule = "True where demonstrations show no actions: what they are judged by is learned"
        fits = shown == "all" or self.network.two_heads
        check(fits, "network.two_heads", self.network.two_heads, rule)

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        batches = self.inner_updates + self.query_episodes
        return [settings.stored_by_tasks(self, sizes, batches, 4)]

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        where = f"in steps beyond inner_updates={self.inner_updates}, not in {num_updates} steps"
        check_acts(self, ("later_step_scale",), num_updates > self.inner_updates, where)


class MIL(ImitationLearner):
    """meta = {"params": theta, "moments"}; `FastState.params` holds the weights that are adapted.

    Those are all but the offsets of layer normalisation, and the last layer for actions where
    there are two heads.
    """

    Config = MILConfig

    def setup(self) -> None:
        super().setup()
        names = nest.names(self.policy.init(0)["weights"])
        self.adapted = tuple(names.index(name) for name in self.policy.adapted)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        adapted = partition.take(meta["params"], self.adapted)
        return FastState(nest.repeat(adapted, num_tasks), tf.zeros([num_tasks]))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        weights = partition.join(meta["params"], self.adapted, fast.params)
        return {"weights": weights, "moments": moments_of(meta, nest.num_rows(fast.params))}

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        gradients = self.inner_gradient(meta, fast, support)
        if self.config.clip:
            clip = self.config.clip
            gradients = nest.map(lambda g: tf.clip_by_value(g, -clip, clip), gradients)
        rates = nest.map(lambda _: self.config.inner_learning_rate, gradients)
        return self.descend(fast, gradients, rates)
