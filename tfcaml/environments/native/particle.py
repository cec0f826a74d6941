"""Personalised particles: one navigation task, entities that react differently to each action.

A particle starts at (0, 0) and is paid the negative squared distance to (1, 1) after each move. It
has four actions. What an action does depends on the entity: a permutation of left, right, down and
up, shared by a latent group of entities, and a sideways drift of each action that is the entity's
own. Environment of "CAML: Cluster-Adapting Meta-Learning", section 5.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import (
    ConfigError,
    check,
    check_acts,
    check_one_of,
    check_positive,
    check_whole,
    checked_call,
)
from tfcaml.types import Task

CARDINAL = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]], np.float32)  # left, right, down, up
# Where the particle is to go.
GOAL = (1.0, 1.0)
_RIGHT, _UP = 1, 3
_GROUP_RULES = ("pairs", "random", "cycles")
_QUERY_SPLITS = ("variants", "groups")


@settings.checked
@dataclasses.dataclass(frozen=True)
class ParticleConfig:
    """Options of the family; lengths are in units of the start-goal offset per axis.

    Attributes:
      step_size: Length of one move, on each axis. Unit: start-goal offset. Source: the CAML
        reproduction; the paper has "one pixel".
      variance: Half width of the uniform sideways drift that is an entity's own. Unit: moves.
        Source: CAML paper, section 5: 0.5.
      arena_bound: Coordinates are clipped to between minus this and this; inf is an open plane.
        Unit: start-goal offset. Source: the CAML reproduction; the paper names no walls.
      step_noise: Half width of a further drift that is drawn anew at each step. Unit: moves.
        Source: tfcaml.
      termination_radius: Distance to the goal at which an episode ends. Unit: start-goal offset.
        Source: CAML paper, section 5: 0.01.
      horizon: Steps of an episode, at most. Unit: steps. Source: CAML paper, section 5: 100.
      group_rule: How the permutations of groups are drawn: "pairs", "random" or "cycles". Source:
        the CAML reproduction.
      num_groups: Latent groups. Source: CAML paper, section 5: 6.
      variants_per_group: Training entities of each group. Source: CAML paper, section 5: 4.
      query_split: Held-out entities: "variants", new members of known groups, or "groups", members
        of unseen ones. Source: the CAML reproduction.
      num_held_out_groups: Groups without training entities, with query_split="groups". Source:
        tfcaml.
    """

    step_size: float = 0.1
    variance: float = 0.5
    arena_bound: float = dataclasses.field(default=2.0, metadata={"infinite": True})
    step_noise: float = 0.0
    termination_radius: float = 0.01
    horizon: int = 100
    group_rule: str = "pairs"
    num_groups: int = 6
    variants_per_group: int = 4
    query_split: str = "variants"
    num_held_out_groups: int = 3

    def __post_init__(self) -> None:
        check_positive(step_size=self.step_size, horizon=self.horizon)
        check(self.arena_bound > 0, "arena_bound", self.arena_bound, "> 0")  # may be infinite
        for name in ("variance", "step_noise", "termination_radius"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        check(self.variants_per_group >= 1, "variants_per_group", self.variants_per_group, ">= 1")
        check_one_of("group_rule", self.group_rule, _GROUP_RULES)
        check_one_of("query_split", self.query_split, _QUERY_SPLITS)
        limit = 24 if self.group_rule == "random" else 6
        check(1 <= self.num_groups <= limit, "num_groups", self.num_groups, f"1 to {limit}")
        if self.query_split == "groups":
            allowed = f"1 to num_groups - 1 = {self.num_groups - 1}"
            held_out = self.num_held_out_groups
            check(1 <= held_out < self.num_groups, "num_held_out_groups", held_out, allowed)
        splits = self.query_split == "groups"
        check_acts(self, ("num_held_out_groups",), splits, "with query_split=groups")


class Particle(TaskFamily):
    """The family. A task is {"displacement": [N, 4, 2]}: each action's move, in step sizes."""

    @checked_call
    def __init__(self, config: ParticleConfig | None = None) -> None:
        self.config = config_of(config, ParticleConfig)
        self.horizon = self.config.horizon
        self.noise_size = 1 if self.config.step_noise else 0
        self.task_spec = {"displacement": tf.TensorSpec([4, 2], tf.float32)}
        self.observation_spec = tf.TensorSpec([2], tf.float32, "observation")
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 3) -> Population:
        """Support and test entities of a study; those of one group share a permutation.

        With `query_split="variants"` test entities are fresh variants of known groups, each group
        once before any comes again; with "groups" they are variants of groups that have no support
        entity. Entity i of either set is the same however many there are.

        Raises:
          ConfigError: an empty test set, or entities that are in both sets (variance 0).
        """
        config, seed = self.config, keys.as_int(seed)
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([seed, 0xE17])
        permutations = _permutations(config, rng)
        order = rng.permutation(config.num_groups)
        if config.query_split == "groups":
            held_out, known = np.split(order, [config.num_held_out_groups])
        else:
            held_out, known = order, order
        train_group = np.repeat(np.sort(known), config.variants_per_group)
        test_group = np.resize(held_out, num_test)

        def entities(groups: np.ndarray, salt: int) -> np.ndarray:
            rngs = [np.random.default_rng([seed, salt, i]) for i in range(len(groups))]
            moves = [_entity(permutations[g], config.variance, r) for g, r in zip(groups, rngs)]
            return np.stack(moves)

        support, query = entities(train_group, 1), entities(test_group, 2)
        if any((support == q).all((1, 2)).any() for q in query):
            raise ConfigError(
                f"expected test entities to differ from training entities; received variance="
                f"{config.variance} with query_split={config.query_split!r}"
            )
        return Population(
            {"displacement": tf.constant(support)},
            {"displacement": tf.constant(query)},
            train_group,
            test_group,
        )

    def planar_goal(self, task: Task) -> np.ndarray:
        return np.broadcast_to(GOAL, [task["displacement"].shape[0], 2])

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = tf.zeros([*key.shape[:2], 2])
        return position, position

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        move = tf.gather(task["displacement"], action, axis=1, batch_dims=1)
        if self.noise_size:
            drift = self.config.step_noise * (2 * noise - 1)
            move += tf.where(tf.abs(move) == 1, 0.0, drift)
        bound = self.config.arena_bound
        position = tf.clip_by_value(state + self.config.step_size * move, -bound, bound)
        squared_distance = tf.reduce_sum((position - GOAL) ** 2, axis=-1)
        terminated = squared_distance <= self.config.termination_radius**2
        return position, position, -squared_distance, terminated


def _entity(permutation: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Displacement table [4, 2] of a new entity: cardinal moves with a sideways drift."""
    moves = CARDINAL[permutation].copy()
    moves[moves == 0] = rng.uniform(-variance, variance, 4)
    return moves


def _permutations(config: ParticleConfig, rng: np.random.Generator) -> np.ndarray:
    """One permutation of the cardinal moves per latent group, [G, 4]."""
    every = np.array(list(itertools.permutations(range(4))))
    if config.group_rule == "random":
        return every[rng.permutation(len(every))[: config.num_groups]]
    if config.group_rule == "cycles":
        return np.array([p for p in every if _is_cycle(p)])[: config.num_groups]
    # By the two actions, in either order, that lead right and up.
    classes: dict[frozenset[int], list[np.ndarray]] = {}
    for p in every:
        key = frozenset((int(np.argmax(p == _RIGHT)), int(np.argmax(p == _UP))))
        classes.setdefault(key, []).append(p)
    chosen = np.array([members[rng.integers(len(members))] for members in classes.values()])
    return chosen[rng.permutation(len(chosen))[: config.num_groups]]


def _is_cycle(permutation: np.ndarray) -> bool:
    """Whether a permutation of four moves them in a single cycle."""
    position = permutation[0]
    length = 1
    while position != 0:
        position = permutation[position]
        length += 1
    return length == len(permutation)
