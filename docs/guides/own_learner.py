"""A learner of one's own: MAML whose inner steps are forgotten in part."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import dataclasses

import numpy as np
from tfcaml.configs import base

from tfcaml import environments, learners, nest, settings
from tfcaml.errors import check


@settings.checked  # refuses unknown names and values of another type
@dataclasses.dataclass(frozen=True)
class AnchoredConfig(learners.MAML.Config):
    """Settings of `Anchored`: those of MAML and one more."""

    pull: float = 0.1  # share of the way back to the initialisation after each inner step

    def __post_init__(self):
        super().__post_init__()
        check(0 <= self.pull < 1, "pull", self.pull, "in [0, 1)")


class Anchored(learners.MAML):
    """MAML whose adapted weights are pulled back towards the meta parameters."""

    Config = AnchoredConfig

    def adapt(self, meta, fast, support):
        fast = super().adapt(meta, fast, support)
        pull = self.config.pull
        back = lambda adapted, start: (1 - pull) * adapted + pull * start  # [N, ...] and [...]
        return fast._replace(params=nest.map(back, fast.params, meta["params"]))


def main(iterations=30):
    """Mean return over held-out goals before and after one and two updates, with and without."""
    family = environments.Navigation()
    population = family.population(seed=0, num_test=20)
    policy = learners.MAML.make_policy(family, None, (64, 64), "relu")
    found = {}
    for Learner in (learners.MAML, Anchored):
        config = Learner.Config(
            num_iterations=iterations, meta_batch_size=10, inner_learning_rate=0.5
        )
        learner = Learner(family, policy, config)
        tfcaml.train(learner, population, seed=0)
        result = tfcaml.evaluate(learner, population.test, num_updates=2, seed=0)
        found[Learner.__name__] = result.returns.mean(axis=(1, 2))
        print(Learner.__name__, np.round(found[Learner.__name__], 1))
    return found


def get_config():
    """The same learner for the command line, beside MAML."""
    shared = {"num_iterations": 5, "meta_batch_size": 5, "inner_learning_rate": 0.5}
    anchored = base.section("own_learner:Anchored", AnchoredConfig(**shared))
    return base.experiment(
        environment=base.section("navigation", environments.NavigationConfig()),
        learner=anchored,
        compared={"maml": base.section("maml", learners.MAML.Config(**shared))},
        evaluation={"num_tasks": 20, "num_updates": 2, "episodes": 20},
    )


if __name__ == "__main__":
    main()
