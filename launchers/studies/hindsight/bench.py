"""What the study of hindsight in mini-mazes measures with one seed; see `hindsight_maze`."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from tfcaml.configs.hindsight import maze as hindsight_maze

from tfcaml import environments, keys, learners, nest, policies, training
from tfcaml.rollouts import sampling
from tfcaml.settings import merged
from tfcaml.types import episode_return

from ..runs import rounded
from .similarity import SIMILARITY_STEPS, MazeSimilarity

EXPERT_HORIZON = 300  # steps: random walks of 50 never see the far goals
EXPERT_UPDATES = 60
EXPERTS = {
    "episodes_per_update": 20,
    "advantage": {"discount": 0.98, "baseline": "none"},
    "outer": {"max_kl": 0.05},
}
EXPERT_EPISODES = 4  # of each expert, to compare and to keep some of
ALONE, GUIDED, OWN, RANDOM = "alone", "guided", "guided, own hindsight", "guided, random similarity"
_UNWEIGHTED = {"importance_clip": learners.HindsightMAML.Config.guidance.importance_clip}
ARMS = {  # name -> (method of the config, changes of its guidance)
    ALONE: ("hindsight_maml", {"share": 0.0, **_UNWEIGHTED}),
    GUIDED: ("hindsight_maml", {}),
    "guided, per-decision weights": ("hindsight_maml", {"importance_weights": "per_decision"}),
    "guided, no weights": ("hindsight_maml", {"importance_weights": "none", **_UNWEIGHTED}),
    RANDOM: ("hindsight_maml", {}),
    OWN: ("hindsight_maml", {}),
    "relabelling": ("relabelling", {}),
    "cloning": ("cloning", {}),
}
WITHOUT_EXPERTS = (ALONE, OWN)  # of the arms
_EXPERTS, _SHUFFLED, _MEASURED = 0xE1, 0xE2, 0xE3  # salts of keys


class Bench:
    """Everything that is compiled once for a layout, and what is measured with a seed."""

    def __init__(self, layout, quick=False):
        content = hindsight_maze.get_config(layout).to_dict()
        sections = {"hindsight_maml": content["learner"], **content["compared"]}
        options = {k: v for k, v in content["environment"].items() if k != "name"}
        layers = content["policy"]["fc_layer_params"]
        sizes = content["evaluation"]
        self.updates, self.test_episodes = sizes["num_updates"], sizes["episodes"]
        self.num_goals = 3 if quick else sizes["num_tasks"]
        self.expert_updates, self.similarity_steps = EXPERT_UPDATES, SIMILARITY_STEPS
        horizon = EXPERT_HORIZON
        if quick:
            options |= {"horizon": 15, "num_train": 6}
            sections = {name: section | _QUICK for name, section in sections.items()}
            self.updates, self.expert_updates, horizon = 2, 1, 30
            self.similarity_steps = dict.fromkeys(SIMILARITY_STEPS, 2)
        self.maze = environments.Maze(environments.MazeConfig(**options))
        self.policy = policies.mlp_policy(self.maze.observation_spec, self.maze.action_spec, layers)
        self.learners = {name: self._learner(sections, *ARMS[name]) for name in ARMS}
        self.experts = self._natural_policy_gradient(horizon)
        self.similarity = MazeSimilarity(self.maze, self.policy, self._play)
        self._look_back = tf.function(self.learners[GUIDED].look_back, autograph=False)
        self._step = {
            name: tf.function(functools.partial(_step, learner), autograph=False)
            for name, learner in self.learners.items()
        }

    @property
    def settings(self):
        """All that decides what `measure` finds with a seed, as a JSON value."""
        return {
            "environment": dataclasses.asdict(self.maze.config),
            "learners": {name: dataclasses.asdict(x.config) for name, x in self.learners.items()},
            "experts": dataclasses.asdict(self.experts.config)
            | {"horizon": self.experts.environment.horizon},
            "expert_updates": self.expert_updates,
            "expert_episodes": EXPERT_EPISODES,
            "similarity_steps": self.similarity_steps,
            "goals": self.num_goals,
            "updates": self.updates,
            "test_episodes": self.test_episodes,
        }

    @property
    def num_episodes(self):
        """Episodes that an arm plays on a new goal."""
        return self.updates * self.learners[GUIDED].test_episodes

    @property
    def training_episodes(self):
        """Episodes on the training goals before new ones come: of all arms, and of the experts.

        The experts' are those by which they learned, and those by which they are compared.
        """
        shared, experts = self.learners[GUIDED], self.experts
        kept = EXPERT_EPISODES * self.maze.config.num_train
        return {
            "meta": shared.config.num_iterations * shared.episodes_per_iteration,
            "experts": self.expert_updates * experts.episodes_per_iteration + kept,
        }

    def measure(self, seed):
        """All that one seed has to say, as a JSON value."""
        population = self.maze.population(seed, self.num_goals)
        states, expert_return = self._prepared(population, seed)
        arms = {}
        for name, learner in self.learners.items():
            meta, similarity, buffer = states[OWN if name == OWN else GUIDED]
            learner.meta.write(meta)
            learner.state["similarity"].write(similarity)
            learner.state["hindsight"].write(shuffled(buffer, seed) if name == RANDOM else buffer)
            arms[name] = self._adapt(name, population.test, seed)
        learned = self.similarity.learned(self.learners[GUIDED].similarity, states[GUIDED][1])
        auc = self.similarity.from_exact_experts(population, seed, self.similarity_steps)
        auc["descriptor, by the learner"] = self.similarity.auc(population, learned)
        return {
            "arms": arms,
            "expert_return": expert_return,
            "auc": auc,
            "learned": rounded(learned.tolist(), 3),
        }

    def _prepared(self, population, seed):
        """What all arms start from, and the experts' mean return.

        Returns:
          ({kind of hindsight: (meta parameters, state of the similarity, of the buffer)}, number).
        """
        learner = self.learners[GUIDED]
        read = lambda: (
            learner.meta.read(),
            learner.state["similarity"].read(),
            learner.state["hindsight"].read(),
        )
        learner.reset(seed)
        for _ in range(learner.config.num_iterations):
            training.train_iteration(learner, population, seed)
        own = read()
        learner.reset(seed)
        learner.meta.write(own[0])
        key = keys.fold(keys.from_int(seed), _EXPERTS)
        experts = self._trained_experts(population, seed)
        acted = self._play(experts, population.train, keys.fold(key, 0))
        self._look_back(
            experts,
            acted,
            population.train,
            keys.fold(key, 1),
            self.similarity_steps["descriptor"],
        )
        return {OWN: own, GUIDED: read()}, float(np.mean(episode_return(acted)))

    def _trained_experts(self, population, seed):
        self.experts.reset(seed)
        for _ in range(self.expert_updates):
            training.train_iteration(self.experts, population, seed)
        return self.experts.meta.read()["params"]

    def _adapt(self, name, task, seed):
        """How one arm does on held-out goals.

        Returns:
          dict of first_success [Q], counted in episodes, one more than there are where there was
          none; and returns [U + 1, Q].
        """
        learner, step = self.learners[name], self._step[name]
        key = keys.fold(keys.from_int(seed), _MEASURED)
        fast, _ = learner.choose_start(learner.meta.read(), task, keys.fold(key, 0))
        returns, explored = [], []
        for update in range(self.updates + 1):
            tested, tried, fast = step(fast, task, self.test_episodes, keys.fold(key, 1, update))
            returns.append(tested.numpy().mean(axis=1).tolist())
            explored.append(tried.numpy())
        # Those of the last update are learned from by no policy that is measured.
        first = first_success(np.concatenate(explored[:-1], axis=1) > 0)
        return {"first_success": first.tolist(), "returns": returns}

    def _learner(self, sections, method, changes):
        section = {k: v for k, v in sections[method].items() if k != "name"}
        cls = learners.LEARNERS[sections[method]["name"]]
        section = merged(section, {"guidance": changes})
        return cls(self.maze, self.policy, cls.Config(**section))

    def _natural_policy_gradient(self, horizon):
        config = learners.NaturalPolicyGradient.Config(
            meta_batch_size=self.maze.config.num_train, **EXPERTS
        )
        longer = environments.Maze(dataclasses.replace(self.maze.config, horizon=horizon))
        return learners.NaturalPolicyGradient(longer, self.policy, config)

    @functools.cached_property
    def _play(self):
        """Compiled: (weights, task, key) -> `Trajectory` of some episodes."""

        @tf.function(autograph=False)
        def play(params, task, key):
            return sampling.sample(self.policy, self.maze, params, task, EXPERT_EPISODES, key)

        return play


_QUICK = {
    "num_iterations": 1,
    "meta_batch_size": 2,
    "episodes_per_update": 2,
    "test_episodes_per_update": 2,
}


def first_success(success):
    """The first of [Q, E] episodes that was one, from 1 on; E + 1 where none was: [Q]."""
    return np.where(success.any(axis=1), success.argmax(axis=1), success.shape[1]) + 1


def _step(learner, fast, task, num_episodes, key):
    """(returns of the policy [N, E], of what it learns from [N, E'], `FastState` after it)."""
    tested = learner.sample(fast.params, task, num_episodes, keys.fold(key, 0))
    explored, own = learner.explore(fast, task, keys.fold(key, 1))
    support = learner.off_policy(fast, task, explored, own)
    adapted = learner.adapt(learner.meta.read(), fast, support)
    return episode_return(tested), episode_return(explored), adapted


def shuffled(buffer, seed):
    """The buffer with its policies at other tasks than their own."""
    entries, held = buffer["entries"], np.flatnonzero(buffer["order"])
    rows = np.arange(len(buffer["order"]))
    rows[held] = np.random.default_rng([seed, _SHUFFLED]).permutation(held)
    return {**buffer, "entries": entries._replace(task=nest.take(entries.task, rows))}
