"""Trains a trial learner at length and prints what it has learned: minutes.

python -m tests.trials.learn rl2 --seed=0
"""

import argparse
import ast
import sys

import numpy as np

import tfcaml
from tests.trials.bandit import Bandit
from tests.trials.rl2 import RL2

TRIALS = {"rl2": (RL2, Bandit, {})}
SETTINGS = {"rl2": {"num_iterations": 125, "meta_batch_size": 50}}
SETTINGS["rl2"] |= {"outer": {"learning_rate": 3e-3, "steps": 5, "clip_ratio": 0.2}}


def main(arguments):
    """Learns, then prints the return of every fifth iteration and those on new tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("settings", nargs="*", help="name=value of the learner's config")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_intermixed_args(arguments)
    learner_class, family_class, of_policy = TRIALS[options.trial]
    given = dict(setting.split("=") for setting in options.settings)
    given = {name: ast.literal_eval(value) for name, value in given.items()}
    config = learner_class.Config(**{**SETTINGS[options.trial], **given})
    family = family_class()
    population = family.population(options.seed, 100)
    policy = learner_class.make_policy(family, config, **of_policy)
    learner = learner_class(family, policy, config, seed=options.seed)
    history = tfcaml.train(learner, population, seed=options.seed)
    for i, row in list(enumerate(history))[:: max(1, len(history) // 20)]:
        print(i, {name: round(x, 3) for name, x in row.items() if name.startswith("return")})
    updates = config.inner_updates
    found = tfcaml.evaluate(learner, population.test, num_updates=updates, num_episodes=20)
    print("on new tasks, after each update:", np.round(found.returns.mean(axis=(1, 2)), 2))


if __name__ == "__main__":
    main(sys.argv[1:])
