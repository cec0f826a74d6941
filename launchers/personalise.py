"""Personalises an exported policy to one entity: a gymnasium environment with its own attributes.

Needs tensorflow and gymnasium only, so this file can be taken along to a machine without tfcaml:

python launchers/personalise.py --model=models/cartpole --env=CartPole-v1 \
    --set force_mag=6 --set length=1 --set polemass_length=0.1
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf  # reads the setting above

BAD_INPUT = 2  # exit code
MOST = 100_000  # of a card's whole numbers, and of what is asked for
MOST_LETTERS = 2000  # of an error
MOST_NUMBERS = 10**8  # in an array of episodes
MAY_BE_NESTS = ("info", "episode_noise")  # of what `adapt` takes; only some policies have them
SHOW = "{:<16} {:>15} {:>12} {:>9} {:>9}"


class InputError(Exception):
    """Something the user gave does not fit; the message is one line."""


class Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message):
        raise InputError(message)


class Player:
    """Plays episodes of an exported policy and keeps them in the form that `adapt` takes.

    Args:
      model: the loaded SavedModel.
      card: content of its card.json.
      environment: a `gymnasium.Env`.
      seed: int; decides all random numbers.
    """

    def __init__(self, model, card, environment, seed):
        self.model = model
        self.environment = environment
        self.seed = seed
        self.steps = 0  # in all, which makes the seed of each action
        self.episodes = 0
        self._horizon = card["environment"]["horizon"]
        functions = card["functions"]
        self._specs = functions["adapt"]["takes"]["trajectories"]
        self._starts_at_random = "seed" in functions["get_initial_state"]["takes"]

    def start(self):
        """The state before any episode, of a model that has one policy to start from."""
        seed = ([self.seed, 0],) if self._starts_at_random else ()
        return self.model.get_initial_state(1, *seed)

    def play(self, state, num_episodes):
        """Episodes of the policy in `state`: (dict of [1, E, T, ...], returns [E])."""
        empty = lambda spec: np.zeros([1, num_episodes, *spec["shape"][2:]], spec["dtype"])
        episodes = _mapped(empty, self._specs)
        for episode in range(num_episodes):
            row = lambda x, episode=episode: x[0, episode, ...]
            self._play_one(state, tf.nest.map_structure(row, episodes))
        return episodes, episodes["reward"][0].sum(axis=-1)

    def _play_one(self, state, rows):
        observation, _ = self.environment.reset(seed=None if self.episodes else self.seed)
        self.episodes += 1
        for t in range(self._horizon):
            rows["observation"][t] = observation
            reward = rows["reward"][t - 1] if t else 0  # of the action before
            time_step = _time_step(rows["observation"][t], t > 0, reward)
            step = self.model.action(time_step, state, [self.seed, self.steps])
            state = step["state"]  # with what the policy remembers of the episode
            self.steps += 1
            rows["action"][t] = step["action"][0]
            rows["log_prob"][t] = step["info"]["log_probability"][0]
            if "info" in rows:  # what the policy says of each step
                _write(rows["info"], t, step["info"]["info"])
            if "episode_noise" in rows:  # what it has drawn for the episode
                _write(rows["episode_noise"], ..., step["info"]["episode_noise"])
            action = _as_taken(rows["action"][t], self.environment.action_space)
            observation, rows["reward"][t], terminated, truncated, _ = self.environment.step(action)
            rows["terminated"][t], rows["mask"][t] = terminated, 1
            if terminated or truncated:
                break
        rows["final_observation"][:] = observation


def personalise(player, shots, num_episodes, num_updates, trials=None):
    """Yields (name of the policy, episodes played before it, returns [E] of its episodes).

    Args:
      player: a `Player`.
      shots: episodes that an update learns from, the first of those played.
      num_episodes: E, played with every policy.
      num_updates: updates.
      trials: the card's entry on trials, for a model that has several policies to start from.
    """
    state = _best_start(player, trials) if trials else player.start()
    for update in range(num_updates + 1):
        before = player.episodes
        episodes, returns = player.play(state, num_episodes)
        yield f"after update {update}" if update else "at the start", before, returns
        if update < num_updates:
            support = tf.nest.map_structure(lambda x: tf.constant(x[:, :shots]), episodes)
            state = player.model.adapt(support, state)


def _best_start(player, trials):
    """The state to start from, after the episodes of trial that the model asks for."""
    returns = np.full([1, trials["arms"], trials["episodes"]], np.nan, np.float32)
    pulls = np.zeros(trials["arms"], int)
    while True:
        arm = int(player.model.next_trial(returns, [player.seed, 0])[0])
        if arm < 0:
            break
        played = player.play(player.model.trial_state([arm]), 1)[1]
        returns[0, arm, pulls[arm]] = played[0]
        pulls[arm] += 1
    return player.model.choose(returns)


def _time_step(observation, started, reward):
    """TF-Agents' `TimeStep` of one row as a dict; step_type is 0 (FIRST), then 1 (MID)."""
    return {
        "step_type": tf.constant([int(started)], tf.int32),
        "reward": tf.constant([reward], tf.float32),
        "discount": tf.ones([1]),
        "observation": tf.constant(observation[None]),
    }


def _write(rows, place, values):
    """Writes a nest of values [1, ...] into one of arrays, each at the place."""
    for array, value in zip(tf.nest.flatten(rows), tf.nest.flatten(values), strict=True):
        array[place] = value[0]


def _is_nest(card):
    """Whether a place of a card has names of its own below it, where a spec could be."""
    return isinstance(card, dict) and bool(card) and not {"shape", "dtype"} & set(card)


def _mapped(function, specs):
    """`function` of each spec of a card's nested dicts."""
    if not _is_nest(specs):
        return function(specs)
    return {name: _mapped(function, each) for name, each in specs.items()}


def _as_taken(action, space):
    """The action as the environment takes it, within its bounds."""
    return int(action) if action.ndim == 0 else np.clip(action, space.low, space.high)


def _load(load, path):
    """`load(path)`, a part of an export."""
    try:
        return load(path)
    except (OSError, ValueError, RecursionError, tf.errors.OpError) as error:
        raise InputError(f"expected --model to be an export; received {path!r}: {error}") from None


def _load_card(path):
    """The card of an export, all that is used of it here checked."""
    file = pathlib.Path(path) / "card.json"
    if file.exists() and not file.is_file():
        raise ValueError("card.json is not a file")
    card = json.loads(file.read_text())
    horizon, shots = _number(card, 1, "environment", "horizon"), _number(card, 1, "shots")
    _number(card, 0, "updates")
    if _field(card, "trials", missing=None) is not None:
        _number(card, 1, "trials", "arms")
        _number(card, 1, "trials", "episodes")
    _spec(card, "environment", "action_spec")
    if not isinstance(_field(card, "environment", "observation_spec"), dict):
        raise ValueError("observation_spec of its card is not a dict")
    fields = _field(card, "functions", "adapt", "takes", "trajectories")
    for name in ("observation", "final_observation", "action", "reward", "mask"):
        _field(fields, name)
    nested = [name for name in fields if "observation" in name and "shape" not in fields[name]]
    for name in set(fields).difference(nested):  # nested ones are refused with the environment
        once = name in ("final_observation", "episode_noise")
        axes = [None, shots] if once else [None, shots, horizon]
        for path in _paths(fields, name):
            shape = _spec(fields, *path)["shape"]
            if shape[: len(axes)] != axes or np.prod([1.0, *shape[1:]]) > MOST_NUMBERS:
                raise ValueError(f"{'.'.join(path)} of its card has the shape {shape}")
    if not isinstance(_field(card, "functions", "get_initial_state", "takes"), dict):
        raise ValueError("what get_initial_state takes in its card is not a dict")
    return card


def _paths(card, *names):
    """Where the specs at a place of a card are, or below it: sequences of names."""
    found = _field(card, *names)
    if names[0] in MAY_BE_NESTS and _is_nest(found):
        return [path for name in found for path in _paths(card, *names, name)]
    return [names]


def _field(card, *names, missing=...):
    """What a card, nested dicts, has at a place."""
    for name in names:
        if isinstance(card, dict) and name not in card and missing is not ...:
            return missing
        if not isinstance(card, dict) or name not in card:
            raise ValueError(f"its card has no {'.'.join(names)}")
        card = card[name]
    return card


def _number(card, least, *names):
    """A whole number of a card."""
    value = _field(card, *names)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise ValueError(f"{'.'.join(names)} of its card is {value!r}")
    return value


def _spec(card, *names):
    """A spec of a card, {"shape", "dtype"} of numbers."""
    spec = _field(card, *names)
    shape, dtype = _field(spec, "shape"), _field(spec, "dtype")
    sizes = shape[1:] if isinstance(shape, list) and shape[:1] == [None] else shape
    whole = isinstance(sizes, list) and all(type(n) is int and n >= 0 for n in sizes)
    if not whole or dtype not in ("float32", "float64", "int32", "int64", "bool", "uint8"):
        raise ValueError(f"{'.'.join(names)} of its card is {spec!r}")
    return spec


def _make(name, attributes):
    """The environment of this name with the entity's attributes."""
    try:
        import gymnasium
    except ImportError:
        raise InputError("this program needs gymnasium: pip install gymnasium") from None
    try:
        environment = gymnasium.make(name)
    except Exception as error:  # whatever the environment's own code raises
        raise InputError(f"cannot make --env={name}: {error}") from None
    for pair in attributes:
        attribute, _, value = pair.partition("=")
        old = getattr(environment.unwrapped, attribute, None)
        if not isinstance(old, int | float):
            raise InputError(f"expected --set to name a number of {name}; received {pair!r}")
        try:
            setattr(environment.unwrapped, attribute, type(old)(value))
        except ValueError:
            raise InputError(
                f"expected {attribute} to be like {old!r}; received {value!r}"
            ) from None
    return environment


def _check_spaces(environment, card):
    """The model was made for observations and actions like these."""
    observation, action = (card["environment"][f"{x}_spec"] for x in ("observation", "action"))
    space = environment.observation_space
    if space.shape is None or observation.get("shape") != list(space.shape):
        raise InputError(f"the model expects observations like {observation}; received {space}")
    space = environment.action_space
    if action["dtype"].startswith("int"):
        fits = action.get("maximum") == getattr(space, "n", 0) - 1 and space.start == 0
    else:
        fits = hasattr(space, "low") and action["shape"] == list(space.shape)
    if not fits:
        raise InputError(f"the model expects actions like {action}; received {space}")


def _parse(argv):
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", required=True, help="directory that tfcaml export made")
    add("--env", required=True, help="name of a gymnasium environment, such as CartPole-v1")
    add(
        "--set",
        action="append",
        default=[],
        metavar="ATTRIBUTE=VALUE",
        help="what makes the entity: an attribute of the environment, as often as needed; those "
        "that the environment derives from others are not worked out again",
    )
    add("--episodes", type=int, help="played with each policy; the export's shots if unset")
    add("--updates", type=int, help="as many as the model was trained for if unset")
    add("--seed", type=int, default=0)
    found = parser.parse_args(argv)
    values = {**vars(found), "set": None}.values()
    if [] in (*values, *found.set):  # what argparse makes of a lone "--"
        parser.error("expected a value; received '--'")
    return found


def _run(arguments):
    card = _load(_load_card, arguments.model)
    adapts_to = card.get("adapts_to", "episodes")
    if adapts_to != "episodes":
        raise InputError(
            f"expected a model that adapts to episodes that it plays; received one that adapts to "
            f"{str(adapts_to)[:80]}, which its function adapt takes"
        )
    environment = _make(arguments.env, arguments.set)
    _check_spaces(environment, card)
    shots = card["shots"]
    episodes = shots if arguments.episodes is None else arguments.episodes
    updates = card["updates"] if arguments.updates is None else arguments.updates
    for name, value, least in (("episodes", episodes, shots), ("updates", updates, 0)):
        if value < least:
            raise InputError(f"expected --{name} to be >= {least}; received {value}")
        if value > MOST:
            raise InputError(f"expected --{name} to be at most {MOST}; received {value}")
    if not 0 <= arguments.seed < 2**31:
        raise InputError(f"expected --seed to be >= 0, below 2**31; received {arguments.seed}")
    model = _load(tf.saved_model.load, arguments.model)
    player = Player(model, card, environment, arguments.seed)
    print(SHOW.format("policy", "episodes before", "mean return", "lowest", "highest"))
    try:
        rows = personalise(player, shots, episodes, updates, card.get("trials"))
        for name, before, returns in rows:
            numbers = (f"{x:.1f}" for x in (returns.mean(), returns.min(), returns.max()))
            print(SHOW.format(name, before, *numbers), flush=True)
    except Exception as error:  # of the environment's own code, or of a model that fits no card
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"an episode of {arguments.env} could not be played: {what}") from None
    environment.close()


def main(argv=None):
    """Runs the program; returns the exit code."""
    try:
        _run(_parse(argv))
    except InputError as error:
        print("error:", " ".join(str(error).split())[:MOST_LETTERS], file=sys.stderr)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
