"""How well similarity that is learned from some goals of a maze tells others apart."""

import numpy as np
import tensorflow as tf
from scipy import stats

from tfcaml import divergence, keys, nest
from tfcaml.learners.hindsight import task_similarity

SIMILARITY_STEPS = {"descriptor": 1500, "transitions": 400}  # there are many transitions
NEAREST = 0.3  # share of pairs that are similar
_EPISODES = 0xE2  # salt of a key


class MazeSimilarity:
    """Exact divergences of all goals of a maze, and what networks make of them.

    Args:
      maze: a `Maze`.
      policy: a `Policy` without hidden layers.
      play: (weights, task, key) -> `Trajectory`.

    Attributes:
      goals: [G], indices of the cells that can be goals
      exact: [G, G], normalised policy divergence of the soft experts
    """

    def __init__(self, maze, policy, play):
        self.maze, self._policy, self._play = maze, policy, play
        self.goals = np.delete(np.arange(len(maze.cells)), maze.start)
        self.task = maze.task(self.goals)
        self.exact = self._exact_divergence()
        self._networks = {
            objective: task_similarity.TaskSimilarity(
                task_similarity.TaskSimilarityConfig(objective=objective, nearest=NEAREST)
            )
            for objective in task_similarity.OBJECTIVES
        }
        self._fits = {
            (kind, objective): tf.function(network.fit, autograph=False)
            for kind in SIMILARITY_STEPS
            for objective, network in self._networks.items()
        }

    def learned(self, similarity, state):
        """What a `TaskSimilarity` of descriptors says of all pairs of goals, [G, G]."""
        known = task_similarity.descriptors(self.task)
        return similarity(state, known, known).numpy()

    def from_exact_experts(self, population, seed, num_steps):
        """`auc` of networks that learned from exact experts of the training goals.

        Args:
          population: of goals.
          seed: Python int.
          num_steps: dict kind of input -> steps.

        Returns:
          dict "kind, objective" -> area.
        """
        expert = tf.constant(self.maze.soft_expert(self.task), tf.float32)
        weights = (expert, tf.zeros([len(expert), expert.shape[-1]]))
        acted = self._play(weights, self.task, keys.fold(keys.from_int(seed), _EPISODES))
        kinds = {
            "descriptor": task_similarity.descriptors(self.task),
            "transitions": task_similarity.transitions(acted, self._policy.num_actions),
        }
        rows = self._rows(population.train)
        apart, found = self._of_pairs(self.exact, rows).astype(np.float32), {}
        for (kind, objective), fit in self._fits.items():
            network, known = self._networks[objective], kinds[kind]
            state = network.init(known.rows.shape[-1], seed)
            key = keys.from_int(seed)
            state, _ = fit(state, nest.take(known, rows), apart, key, num_steps[kind])
            learned = network(state, known, known).numpy()
            found[f"{kind}, {objective}"] = self.auc(population, learned)
        return found

    def auc(self, population, learned):
        """Area under the ROC curve over pairs of held-out goals; similar are the exact nearest.

        learned: [G, G] similarities.
        """
        rows = self._rows(population.test)
        apart = self._of_pairs(self.exact, rows).astype(np.float32)
        similar = task_similarity.nearest_share(apart, NEAREST)[0].numpy() > 0
        value = self._of_pairs(learned, rows)
        above = stats.mannwhitneyu(value[similar], value[~similar]).statistic
        return float(above / (similar.sum() * (~similar).sum()))

    def way_correlation(self):
        """Rank correlation of the exact divergence with the shortest way between goals."""
        paths = self.maze.distances()[np.ix_(self.goals, self.goals)]
        every = np.arange(len(self.goals))
        ways, apart = (self._of_pairs(matrix, every) for matrix in (paths, self.exact))
        return float(stats.spearmanr(apart, ways)[0])

    def _of_pairs(self, matrix, rows):
        one, other = divergence.pairs(len(rows))
        return matrix[np.ix_(rows, rows)][one, other]

    def _rows(self, task):
        """Where the goals of tasks are in `goals`."""
        return np.searchsorted(self.goals, self.maze.goal_cells(task))

    def _exact_divergence(self):
        maze, expert = self.maze, self.maze.soft_expert(self.task)
        visits = divergence.state_visits(
            expert, maze.transition(self.task), maze.start_distribution(), maze.horizon
        ).numpy()
        one, other = divergence.pairs(len(self.goals))
        apart = divergence.tabular_divergence(
            expert[one], expert[other], visits[one], visits[other]
        ).normalized
        return divergence.square(apart, len(self.goals)).numpy()
