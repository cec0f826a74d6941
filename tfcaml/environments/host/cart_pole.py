"""CartPole entities: gymnasium's CartPole-v1 with carts and poles that differ.

Balance a pole on a cart by pushing it to the left or to the right; every step in which it has not
fallen is paid 1. Entities differ by the pole's length and mass, the cart's mass and the force of a
push; for some of them the force is reversed, so that the action that saves one entity fells the
other. As nothing observed tells which is which before the first pushes, no policy without memory
balances both kinds: it has to adapt. Equations of motion: A. Barto, R. Sutton, C. Anderson,
"Neuronlike adaptive elements that can solve difficult learning control problems", IEEE Transactions
on Systems, Man, and Cybernetics 13 (1983), as gymnasium has them. Needs the extra `gym`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcaml import nest, settings
from tfcaml.environments.base import config_of
from tfcaml.environments.host.environment import HostEnvironment
from tfcaml.errors import check, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    from tfcaml.environments.base import Population, config_of


@settings.checked
@dataclasses.dataclass(frozen=True)
class CartPoleConfig:
    """Options of the family; in brackets gymnasium's values, which every range holds.

    Attributes:
      min_length: Smallest half length of the pole. Unit: m. Source: tfcaml, around gymnasium's 0.5.
      max_length: Largest half length of the pole. Unit: m. Source: tfcaml, around gymnasium's 0.5.
      min_pole_mass: Smallest mass of the pole. Unit: kg. Source: tfcaml, around gymnasium's 0.1.
      max_pole_mass: Largest mass of the pole. Unit: kg. Source: tfcaml, around gymnasium's 0.1.
      min_cart_mass: Smallest mass of the cart. Unit: kg. Source: tfcaml, around gymnasium's 1.
      max_cart_mass: Largest mass of the cart. Unit: kg. Source: tfcaml, around gymnasium's 1.
      min_force: Smallest force of a push. Unit: N. Source: tfcaml, around gymnasium's 10.
      max_force: Largest force of a push. Unit: N. Source: tfcaml, around gymnasium's 10.
      reversed_fraction: Share of entities, in either set, that a push moves the other way. Source:
        tfcaml.
      horizon: Steps of an episode, at most. Unit: steps. Source: CartPole-v0: 200; gymnasium's
        CartPole-v1 has 500.
      num_train: Entities to learn from. Source: tfcaml, as many as in the CAML paper.
    """

    min_length: float = 0.25
    max_length: float = 1.0
    min_pole_mass: float = 0.05
    max_pole_mass: float = 0.5
    min_cart_mass: float = 0.5
    max_cart_mass: float = 2.0
    min_force: float = 5.0
    max_force: float = 15.0
    reversed_fraction: float = 0.5
    horizon: int = 200
    num_train: int = 24

    def __post_init__(self) -> None:
        for name in ("length", "pole_mass", "cart_mass", "force"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            check(0 < low < high, f"min_{name}", low, f"> 0 and below max_{name} = {high}")
        fraction = self.reversed_fraction
        check(0 <= fraction <= 1, "reversed_fraction", fraction, "in [0, 1]")
        for name in ("horizon", "num_train"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")


class CartPole(HostEnvironment):
    """The family. A task is {"length", "pole_mass", "cart_mass", "force"}, each [N]; a negative
    force is a reversed one.

    Args:
      config: `CartPoleConfig`.
      options: those of `HostEnvironment` that change no number, such as `workers`.

    Raises:
      ConfigError: gymnasium is not installed.
    """

    @checked_call
    def __init__(self, config: CartPoleConfig | None = None, **options: Any) -> None:
        self.config = config_of(config, CartPoleConfig)
        num_train, horizon = self.config.num_train, self.config.horizon
        super().__init__(_make, self._sample_task, set_entity, horizon, num_train, **options)

    @checked_call
    def population(self, seed: int, num_test: int | None = 6) -> Population:
        """`config.num_train` entities to learn from and `num_test` others to adapt to.

        Numbers are uniform, except force, whose sign is spread evenly over either set. The group of
        an entity is 1 if its force is reversed, else 0.
        """
        population = super().population(seed, num_test)
        train_group, test_group = map(self._reversed, (population.train, population.test))
        turn = lambda task, group: {
            **task,
            "force": task["force"] * np.where(group, -1, 1).astype(np.float32),
        }
        return population._replace(
            train=turn(population.train, train_group),
            test=turn(population.test, test_group),
            train_group=train_group,
            test_group=test_group,
        )

    def _sample_task(self, rng: np.random.Generator) -> dict[str, np.float32]:
        config = self.config
        uniform = lambda name: rng.uniform(
            getattr(config, f"min_{name}"), getattr(config, f"max_{name}")
        )
        names = ("length", "pole_mass", "cart_mass", "force")
        return {name: np.float32(uniform(name)) for name in names}  # the precision of the others

    def _reversed(self, task: Task) -> np.ndarray:
        """1 where the running count of reversed entities goes up, else 0: [N]."""
        fraction = self.config.reversed_fraction
        counts = [math.floor(i * fraction) for i in range(nest.leading(task) + 1)]
        return np.diff(counts)


def _make() -> Any:
    """gymnasium's environment without its limit of 500 steps and its checks of each call."""
    from tfcaml.environments.host.gym_adapter import gymnasium

    return gymnasium.make("CartPole-v1").unwrapped


def set_entity(environment: Any, task: dict[str, Any]) -> None:
    """Makes `environment`, gymnasium's CartPole, that of an entity."""
    environment.length = float(task["length"])
    environment.masspole = float(task["pole_mass"])
    environment.masscart = float(task["cart_mass"])
    environment.force_mag = float(task["force"])
    environment.total_mass = environment.masspole + environment.masscart
    environment.polemass_length = environment.masspole * environment.length
