"""A TF-Agents script, and the same script changed by a few lines to start from what was learned."""

import contextlib
import difflib
import io
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import keys, nest
from tfcaml.agents.trajectories import from_tf_agents

SCRIPTS = pathlib.Path(__file__).parent / "five_lines"
SMALL = [
    ("UPDATES, EPISODES = 5, 10", "UPDATES, EPISODES = 2, 4"),
    ("CartPole()", "CartPole(tfcaml.environments.CartPoleConfig(horizon=5))"),
]
FEW = (
    "Config(",
    "Config(num_iterations=2, meta_batch_size=2, episodes_per_update=3, "
    "outer={'optimizer': 'adam'}, ",
)


FILES = ("before.py", "after.py")


def run(name, *changes):
    """Runs a script with its sizes replaced: (its variables, mean returns it printed)."""
    code = (SCRIPTS / name).read_text()
    for old, new in [*changes, *SMALL]:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    variables, output = {}, io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, name, "exec"), variables)
    found = re.findall(r"mean return (-?\d+\.\d)", output.getvalue())
    return variables, [float(x) for x in found]


def changed_lines():
    """Lines of `after` that `before` does not have (the docstring aside)."""
    before, after = [(SCRIPTS / name).read_text().split("\n")[1:] for name in FILES]
    return [line for line in difflib.ndiff(before, after) if line.startswith("+ ")]


def test_tfcaml_is_imported_first():
    for name in FILES:
        assert (
            re.findall(r"^(?:import|from) (\w+)", (SCRIPTS / name).read_text(), re.M)[0] == "tfcaml"
        )


def test_few_lines_are_changed():
    assert len(changed_lines()) <= 7


@pytest.mark.slow
def test_the_script_runs():
    steps = int(tf.compat.v1.train.get_or_create_global_step())  # shared by all agents
    variables, returns = run("before.py")
    assert len(returns) == 2 and np.isfinite(returns).all()
    assert int(variables["agent"].train_step_counter) == steps + 2


@pytest.mark.slow
def test_the_changed_script_learns_from_many_and_adapts_to_one():
    script, returns = run("after.py", FEW)
    assert len(returns) == 2 and np.isfinite(returns).all()
    learner, loss, agent = script["learner"], script["loss"], script["agent"]
    assert int(learner.iteration) == 2
    meta, own = learner.meta.read(), loss.policy.functional.variables
    moved = nest.ravel(own)[0] - nest.ravel(meta["params"])[0]
    assert tf.reduce_max(tf.abs(moved)) > 1e-4

    # The script's `agent.train` is the very step that the start was learned for.
    script["driver"].run()
    # But for the row between episodes, which the agent's normalisation of returns counts.
    data = nest.map(lambda x: x[:, :5], script["buffer"].gather_all())
    trajectory = from_tf_agents(nest.map(lambda x: x[None], data), tf.zeros([1, 4, 5]))
    fast = learner.start(meta, 1)
    adapted = learner.adapt(meta, fast, learner.experience(meta, fast, trajectory))
    loss.assign(meta["params"])
    agent.train(data)
    for mine, theirs in zip(adapted.params, own):
        np.testing.assert_allclose(mine[0], theirs, rtol=1e-3, atol=1e-5)

    # tfcaml's own: several entities at a time, each with weights of its own.
    task = nest.map(lambda x: x[:2], script["population"].test)
    adapt = tf.function(learner.adapt_online, autograph=False)
    fast, _ = adapt(meta, learner.start(meta, 2), task, 1, keys.from_int(0))
    assert all(tf.reduce_any(x[0] != x[1]) for x in fast.params)
    evaluation = tfcaml.evaluate(learner, task, num_updates=1, num_episodes=2)
    assert evaluation.returns.shape == (2, 2, 2) and np.isfinite(evaluation.returns).all()
