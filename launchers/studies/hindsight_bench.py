"""What the study of hindsight in mini-mazes measures with one seed; see `hindsight_maze`."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from scipy import stats

from configs import hindsight_maze
from launchers.studies.runs import rounded
from tfcaml import (
    divergence,
    environments,
    learners,
    nest,
    policies,
    sampling,
    seeds,
    task_similarity,
    training,
)
from tfcaml.types import episode_return

EXPERT_HORIZON = 300  # steps: random walks of 50 never see the far goals
EXPERT_UPDATES = 60
EXPERTS = {
    "episodes_per_update": 20,
    "discount": 0.98,
    "baseline": "none",
    "max_kl": 0.05,
}
EXPERT_EPISODES = 4  # of each expert, to compare and to keep some of
SIMILARITY_STEPS = {"descriptor": 1500, "transitions": 400}  # there are many transitions
ALONE, GUIDED, OWN, RANDOM = "alone", "guided", "guided, own hindsight", "guided, random similarity"
ARMS = {  # name -> (method of the config, changes)
    ALONE: ("hindsight_maml", {"guidance": 0.0}),
    GUIDED: ("hindsight_maml", {}),
    "guided, per-decision weights": ("hindsight_maml", {"importance_weights": "per_decision"}),
    "guided, no weights": ("hindsight_maml", {"importance_weights": "none"}),
    RANDOM: ("hindsight_maml", {}),
    OWN: ("hindsight_maml", {}),
    "relabelling": ("relabelling", {}),
    "cloning": ("cloning", {}),
}
_EXPERTS, _SIMILARITY, _MEASURED = 0xE1, 0xE2, 0xE3  # of seeds


class Bench:
    """Everything that is compiled once for a layout, and what is measured with a seed."""

    def __init__(self, layout, quick=False):
        content = hindsight_maze.get_config(layout).to_dict()
        sections = {"hindsight_maml": content["learner"], **content["baselines"]}
        options = {k: v for k, v in content["environment"].items() if k != "name"}
        self.updates = 2 if quick else content["evaluation"]["num_updates"]
        self.test_episodes = content["evaluation"]["episodes"]
        self.expert_updates, self.similarity_steps = EXPERT_UPDATES, SIMILARITY_STEPS
        if quick:
            options |= {"horizon": 15, "num_support": 6, "num_query": 3}
            self.expert_updates, self.similarity_steps = 1, dict.fromkeys(SIMILARITY_STEPS, 2)
            sections = {name: section | _QUICK for name, section in sections.items()}
        self.maze = environments.Maze(environments.MazeConfig(**options))
        self.policy = policies.mlp_policy(
            self.maze.observation_spec, self.maze.action_spec, content["policy"]["fc_layer_params"]
        )
        self.learners = {name: self._learner(sections, *ARMS[name]) for name in ARMS}
        trained = self.learners[GUIDED]
        self._look_back = tf.function(trained.look_back, autograph=False)
        self._similarities = {
            objective: task_similarity.TaskSimilarity(
                task_similarity.TaskSimilarityConfig(objective=objective)
            )
            for objective in task_similarity.OBJECTIVES
        }
        self._fits = {
            (kind, objective): tf.function(similarity.fit, autograph=False)
            for kind in SIMILARITY_STEPS
            for objective, similarity in self._similarities.items()
        }
        self._sample = tf.function(self._play, autograph=False)
        self._step = {
            name: tf.function(functools.partial(_step, learner), autograph=False)
            for name, learner in self.learners.items()
        }
        horizon = 2 * options["horizon"] if quick else EXPERT_HORIZON
        config = learners.NaturalPolicyGradient.Config(
            meta_batch_size=options["num_support"], **EXPERTS
        )
        longer = environments.Maze(dataclasses.replace(self.maze.config, horizon=horizon))
        self._expert_learner = learners.NaturalPolicyGradient(longer, self.policy, config)
        self.goals = np.delete(np.arange(len(self.maze.cells)), self.maze.start)
        self.exact = self._exact_divergence()
        self.settings = {
            "environment": options,
            "learners": {name: dataclasses.asdict(x.config) for name, x in self.learners.items()},
            "experts": dataclasses.asdict(config) | {"horizon": horizon},
            "expert_updates": self.expert_updates,
            "expert_episodes": EXPERT_EPISODES,
            "similarity_steps": self.similarity_steps,
            "updates": self.updates,
            "test_episodes": self.test_episodes,
        }

    @property
    def num_episodes(self):
        """Episodes that an arm plays on a new goal."""
        return self.updates * self.learners[GUIDED].test_episodes

    def measure(self, seed):
        """All that one seed has to say, as a JSON value."""
        population = self.maze.population(seed)
        states, expert_return = self._prepared(population, seed)
        arms = {}
        for name, learner in self.learners.items():
            meta, similarity, buffer = states[OWN if name == OWN else GUIDED]
            learner.meta.write(meta)
            learner.similarity_state.write(similarity)
            learner.buffer_state.write(_shuffled(buffer, seed) if name == RANDOM else buffer)
            arms[name] = self._adapt(name, population.query, seed)
        known = self.maze.task(self.goals)
        described = task_similarity.descriptors(known)
        guided = self.learners[GUIDED]
        learned = guided.similarity(states[GUIDED][1], described, described).numpy()
        return {
            "arms": arms,
            "expert_return": expert_return,
            "auc": self._auc(population, seed)
            | {"descriptor, by the learner": self._held_out_auc(population, learned)},
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
            learner.similarity_state.read(),
            learner.buffer_state.read(),
        )
        learner.reset(seed)
        for _ in range(learner.config.num_iterations):
            training.train_iteration(learner, population, seed)
        own = read()
        learner.reset(seed)
        learner.meta.write(own[0])
        key = seeds.fold(seeds.from_int(seed), _EXPERTS)
        experts = self._experts(population, seed)
        acted = self._sample(experts, population.support, seeds.fold(key, 0))
        self._look_back(
            experts,
            acted,
            population.support,
            seeds.fold(key, 1),
            self.similarity_steps["descriptor"],
        )
        return {OWN: own, GUIDED: read()}, float(np.mean(episode_return(acted)))

    def _experts(self, population, seed):
        self._expert_learner.reset(seed)
        for _ in range(self.expert_updates):
            training.train_iteration(self._expert_learner, population, seed)
        return self._expert_learner.meta.read()["params"]

    def _adapt(self, name, task, seed):
        """How one arm does on held-out goals.

        Returns:
          dict of first_success [Q], counted in episodes, one more than there are where there was
          none; and returns [U + 1, Q].
        """
        learner, step = self.learners[name], self._step[name]
        key = seeds.fold(seeds.from_int(seed), _MEASURED)
        fast, _ = learner.try_out(learner.meta.read(), task, seeds.fold(key, 0))
        returns, explored = [], []
        for update in range(self.updates + 1):
            tested, tried, fast = step(fast, task, self.test_episodes, seeds.fold(key, 1, update))
            returns.append(tested.numpy().mean(axis=1).tolist())
            explored.append(tried.numpy())
        success = np.concatenate(explored[:-1], axis=1) > 0  # [Q, episodes]
        first = np.where(success.any(axis=1), success.argmax(axis=1), success.shape[1]) + 1
        return {"first_success": first.tolist(), "returns": returns}

    def _auc(self, population, seed):
        """How well similarity learned from exact experts tells pairs of held-out goals apart."""
        task = self.maze.task(self.goals)
        table = tf.constant(self.maze.soft_expert(task), tf.float32)
        weights = (table, tf.zeros([len(table), table.shape[-1]]))
        acted = self._sample(weights, task, seeds.fold(seeds.from_int(seed), _SIMILARITY))
        kinds = {
            "descriptor": task_similarity.descriptors(task),
            "transitions": task_similarity.transitions(acted, self.policy.num_actions),
        }
        rows = self._rows(population.support)
        one, other = divergence.pairs(len(rows))
        apart = self.exact[np.ix_(rows, rows)][one, other].astype(np.float32)
        found = {}
        for (kind, objective), fit in self._fits.items():
            similarity, known = self._similarities[objective], kinds[kind]
            state = similarity.init(known.rows.shape[-1], seed)
            steps = self.similarity_steps[kind]
            state, _ = fit(state, nest.take(known, rows), apart, steps, seeds.from_int(seed))
            learned = similarity(state, known, known).numpy()
            found[f"{kind}, {objective}"] = self._held_out_auc(population, learned)
        return found

    def _held_out_auc(self, population, learned):
        """Area under the ROC curve: similar pairs are the nearest share of all, exactly."""
        rows = self._rows(population.query)
        one, other = divergence.pairs(len(rows))
        apart = self.exact[np.ix_(rows, rows)][one, other].astype(np.float32)
        share = self.learners[GUIDED].config.nearest
        similar = task_similarity.nearest_share(apart, share)[0].numpy() > 0
        value = learned[np.ix_(rows, rows)][one, other]
        above = stats.mannwhitneyu(value[similar], value[~similar]).statistic
        return float(above / (similar.sum() * (~similar).sum()))

    def _rows(self, task):
        """Where the goals of tasks are in `goals`."""
        return np.searchsorted(self.goals, self.maze.goal_cells(task))

    def _exact_divergence(self):
        """Normalised policy divergence of the soft experts of all goals, [G, G]."""
        task = self.maze.task(self.goals)
        expert = self.maze.soft_expert(task)
        start = self.maze.start_distribution()
        visits = divergence.state_visits(
            expert, self.maze.transition(task), start, self.maze.horizon
        ).numpy()
        one, other = divergence.pairs(len(self.goals))
        apart = divergence.tabular_divergence(
            expert[one], expert[other], visits[one], visits[other]
        ).normalized
        return divergence.square(apart, len(self.goals)).numpy()

    def _learner(self, sections, method, changes):
        section = {k: v for k, v in sections[method].items() if k != "name"}
        cls = learners.LEARNERS[sections[method]["name"]]
        return cls(self.maze, self.policy, cls.Config(**section | changes))

    def _play(self, params, task, seed):
        return sampling.sample(self.policy, self.maze, params, task, EXPERT_EPISODES, seed)


_QUICK = {
    "num_iterations": 1,
    "meta_batch_size": 2,
    "episodes_per_update": 2,
    "test_episodes_per_update": 2,
}


def _step(learner, fast, task, num_episodes, seed):
    """(returns of the policy [N, E], of the episodes it learns from [N, E'], `Fast` after it)."""
    tested = learner.sample(fast.params, task, num_episodes, seeds.fold(seed, 0))
    explored, own = learner.explore(fast, task, seeds.fold(seed, 1))
    support = learner.off_policy(fast, task, explored, own)
    adapted = learner.adapt(learner.meta.read(), fast, support)
    return episode_return(tested), episode_return(explored), adapted


def _shuffled(buffer, seed):
    """The buffer with its policies at other tasks than their own."""
    entries, held = buffer["entries"], np.flatnonzero(buffer["order"])
    rows = np.arange(len(buffer["order"]))
    rows[held] = np.random.default_rng([seed, _SIMILARITY]).permutation(held)
    return {**buffer, "entries": entries._replace(task=nest.take(entries.task, rows))}
