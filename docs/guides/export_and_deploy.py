"""A learner that is trained here and adapts where only TensorFlow is installed."""

import itertools
import json
import pathlib
import sys

import numpy as np


def train_and_export(directory, iterations=30):
    """Trains MAML on 2D navigation and saves it: what the machine with tfcaml does."""
    import tfcaml
    from tfcaml import agents, environments, learners

    family = environments.Navigation()
    policy = learners.MAML.make_policy(family, None, (64, 64), "relu")
    config = learners.MAML.Config(
        num_iterations=iterations, meta_batch_size=10, inner_learning_rate=0.5
    )
    learner = learners.MAML(family, policy, config)
    tfcaml.train(learner, family.population(seed=0), seed=0)
    card = agents.export(learner, directory, shots=20)
    print("functions", ", ".join(sorted(card["functions"])))


def play(model, state, goal, shots, horizon, seed):
    """Episodes towards a goal in plain NumPy, as `adapt` takes them: dict of [1, E, T, ...]."""
    per_step = ("reward", "mask", "log_prob", "terminated")
    rows = {name: np.zeros([1, shots, horizon], np.float32) for name in per_step}
    for name in ("observation", "action"):
        rows[name] = np.zeros([1, shots, horizon, 2], np.float32)
    rows["final_observation"] = np.zeros([1, shots, 2], np.float32)
    for e in range(shots):
        position = np.zeros(2, np.float32)
        for t in range(horizon):
            time_step = {
                "step_type": np.array([0 if t == 0 else 1], np.int32),
                "reward": np.zeros(1, np.float32),
                "discount": np.ones(1, np.float32),
                "observation": position[None],
            }
            key = np.array([seed, e * horizon + t], np.int32)  # another one for every step
            step = model.action(time_step, state, key)
            action = step["action"].numpy()[0]
            rows["observation"][0, e, t], rows["action"][0, e, t] = position, action
            rows["log_prob"][0, e, t] = step["info"]["log_probability"][0]
            position = position + np.clip(0.1 * action, -0.1, 0.1)
            rows["reward"][0, e, t] = -np.linalg.norm(position - goal)
            rows["mask"][0, e, t] = 1
        rows["final_observation"][0, e] = position
    return rows


def personalise(directory, goal=(0.3, -0.4), updates=2):
    """Adapts the saved model to one goal: what the machine with TensorFlow only does."""
    import tensorflow as tf

    model = tf.saved_model.load(str(directory))
    card = json.loads((pathlib.Path(directory) / "card.json").read_text())
    shots, horizon = card["shots"], card["environment"]["horizon"]
    state, means = model.get_initial_state(1), []
    for update in range(updates + 1):
        episodes = play(model, state, np.array(goal, np.float32), shots, horizon, update)
        means.append(episodes["reward"].sum(axis=2).mean())
        print(f"after {update} updates: mean return {means[-1]:.1f}")
        state = model.adapt({k: tf.constant(x) for k, x in episodes.items()}, state)
    print("tfcaml loaded:", "tfcaml" in sys.modules)
    return means


def main(iterations=30, directory="models/navigation"):
    """Both, one after the other in processes of their own."""
    import subprocess

    train_and_export(directory, iterations)
    code = f"import export_and_deploy; export_and_deploy.personalise({directory!r})"
    here = str(pathlib.Path(__file__).parent)
    program = f"import sys; sys.path.insert(0, {here!r}); {code}"
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    print(output.stdout.decode(), end="")
    words = output.stdout.decode().split()
    return {"returns": [float(b) for a, b in itertools.pairwise(words) if a == "return"]}


if __name__ == "__main__":
    main()
