"""Uses exports as a machine would that has TensorFlow and nothing of ours: only_tensorflow.py DIR.

DIR/NAME/model is an export, DIR/NAME/inputs.npz what to call it with; writes DIR/NAME/outputs.npz.
"""

import pathlib
import sys

FORBIDDEN = ("tfcaml", "tf_agents", "tensorflow_probability", "tf_keras", "launchers")


class Forbid:
    """An import hook: these packages are not there."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)


sys.meta_path.insert(0, Forbid())
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def use(model, inputs):
    """Two updates, a step each way, and episodes if there are any; name -> array."""
    observation = inputs["observation"]
    rows = len(observation)
    time_step = {
        "step_type": np.zeros(rows, np.int32),
        "reward": np.zeros(rows, np.float32),
        "discount": np.ones(rows, np.float32),
        "observation": observation,
    }
    seed = (inputs["seed"],) if inputs["random_start"] else ()
    state = model.get_initial_state(rows, *seed)
    if "trial_returns" in inputs:
        state = model.choose(inputs["trial_returns"])
    for update in range(2):
        state = model.adapt(nested(inputs, f"trajectory_{update}"), state)
    step = model.action(time_step, state, inputs["seed"])
    found = {
        "action": step["action"],
        "log_probability": step["info"]["log_probability"],
        "greedy": model.greedy_action(time_step, state)["action"],
        **{f"distribution/{k}": v for k, v in model.distribution(time_step, state).items()},
    }
    for part, values in (("state", state), ("state_after_step", step["state"])):
        found.update({f"{part}/{i}": x for i, x in enumerate(tf.nest.flatten(values))})
    if "steps/step_type" in inputs:
        found.update(live_through(model, state, nested(inputs, "steps"), inputs["seed"]))
    return found


def live_through(model, state, steps, seed):
    """Episodes of all rows, time step by time step: [T, B, ...] each."""
    found = {"means": [], "actions": [], "log_probabilities": []}
    for t in range(len(steps["step_type"])):
        time_step = tf.nest.map_structure(lambda x: x[t], steps)
        found["means"].append(model.distribution(time_step, state)["loc"])
        step = model.action(time_step, state, seed + np.array([0, t], np.int32))
        state = step["state"]
        found["actions"].append(step["action"])
        found["log_probabilities"].append(step["info"]["log_probability"])
    return {name: tf.stack(values) for name, values in found.items()}


def nested(arrays, name):
    """The arrays "NAME/A" and "NAME/A/B" as a nested dict of tensors."""
    found = {}
    for path, value in arrays.items():
        first, *keys = path.split("/")
        if first == name:
            place = found
            for key in keys[:-1]:
                place = place.setdefault(key, {})
            place[keys[-1]] = tf.constant(value)
    return found


def main(root):
    for directory in sorted(root.iterdir()):
        model = tf.saved_model.load(str(directory / "model"))
        with np.load(directory / "inputs.npz", allow_pickle=False) as inputs:
            found = use(model, dict(inputs))
        np.savez(directory / "outputs.npz", **{k: np.asarray(v) for k, v in found.items()})
    loaded = sorted({name.split(".")[0] for name in sys.modules} & set(FORBIDDEN))
    print("loaded of the forbidden:", loaded)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
