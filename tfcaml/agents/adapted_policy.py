"""Differently adapted policies as one TF-Agents policy.

The weights are data that travel in `policy_state`, a set per row of the batch, so they can't be
captured by a compiled driver: whoever calls with other weights gets other actions.
"""

import numbers

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step

from tfcaml import keys, nest
from tfcaml.errors import check
from tfcaml.policies import distributions


class AdaptedPolicy(tf_policy.TFPolicy):
    """A tfcaml policy as a `TFPolicy`, each row of the batch [B] with weights of its own.

    policy_state = {"params": nest of [B, ...], "seed": [B, 2]}

    The seed, the same in all rows, is a hash and a count of steps. What row b draws follows from it
    and b, whatever else is in the batch; a later call goes on where the returned state is fed back.
    State is never reset at an episode's start: weights outlive episodes.

    Actions are those of `policy.sample`, not clipped to the spec, as in training. Don't wrap it in
    TF-Agents' `GreedyPolicy` and the like: they set policy_state to 0 where episodes start.

    Args:
      time_step_spec: TF-Agents' `TimeStep` of specs.
      policy: a `Policy`.
      params: weights without task axis that `get_initial_state` gives every row; nest of tensors,
        or of variables, which are read at each call.
      emit_log_probability: put log pi(a | s) into the `info` of each step, TF-Agents' way.
      greedy: take the mode of the distribution.
    """

    def __init__(self, time_step_spec, policy, params, emit_log_probability=False, greedy=False):
        self._policy = policy
        self._params = params
        self._greedy = greedy
        state_spec = {
            "params": nest.map(lambda x: tf.TensorSpec(x.shape, x.dtype), params),
            "seed": tf.TensorSpec([2], tf.int32),
        }
        super().__init__(
            time_step_spec,
            policy.action_spec,
            policy_state_spec=state_spec,
            emit_log_probability=emit_log_probability,
            clip=False,
            automatic_state_reset=False,
        )

    def state_of(self, params, seed=0):
        """The `policy_state` of adapted weights.

        Args:
          params: weights, each [B, ...], such as `FastState.params`.
          seed: an integer >= 0, Python's or NumPy's, or [2]; with equal weights, equal seeds give
            equal actions, so each collection of data needs another one, or the state that the last
            one returned.

        Raises:
          ConfigError: a seed that is neither.
        """
        start = keys.fold(_as_seed(seed), 0)  # the number folded in is counted on
        return {"params": params, "seed": nest.repeat(start, _num_rows(params))}

    def _get_initial_state(self, batch_size):
        return self.state_of(nest.repeat(self._params, batch_size))

    def _distribution(self, time_step, policy_state):
        wide = act_distribution(self._policy, policy_state["params"], time_step.observation)
        narrow = nest.map(lambda x: x[:, 0], distributions.tensors(wide))
        return policy_step.PolicyStep(distributions.rebuild(wide, narrow), policy_state, ())

    def _action(self, time_step, policy_state, seed=None):
        params = policy_state["params"]
        seed = policy_state["seed"][0] if seed is None else _as_seed(seed)
        seed = None if self._greedy else seed
        action, log_prob = act(self._policy, params, time_step.observation, seed)
        state = {"params": params, "seed": policy_state["seed"] + [0, 1]}
        info = ()
        if self.emit_log_probability:
            info = policy_step.set_log_probability(info, log_prob)
        return policy_step.PolicyStep(action, state, info)


def act_distribution(policy, params, observation):
    """The distributions of one action per row, of batch shape [B, 1].

    Args:
      policy: a `Policy`.
      params: weights, each [B, ...].
      observation: nest of [B, ...].
    """
    return policy(params, nest.map(lambda x: x[:, None], observation))


def act(policy, params, observation, seed):
    """One action per row.

    Args:
      policy, params, observation: see `act_distribution`.
      seed: [2], or None for the mode of the distribution.

    Returns:
      (action [B, ...], its log-probability [B]).
    """
    distribution = act_distribution(policy, params, observation)
    if seed is None:
        action = distribution.mode()
    else:
        # The rows draw as the steps of one episode do: one after the other from one seed.
        noise = policy.noise(seed[None, None], _num_rows(params))[0, 0]
        action = policy.sample(distribution, noise[:, None])
    return action[:, 0], distribution.log_prob(action)[:, 0]


def _num_rows(params):
    """B, as a number where it is known."""
    first = tf.nest.flatten(params)[0]
    return first.shape[0] or tf.shape(first)[0]


def _as_seed(seed):
    """[2], of an integer or of such a pair."""
    rule = "an integer >= 0, or two int32"
    if isinstance(seed, numbers.Integral):
        check(seed >= 0, "seed", int(seed), rule)
        return keys.from_int(int(seed))
    pair = tf.convert_to_tensor(seed)
    check(pair.dtype.is_integer and pair.shape == [2], "seed", seed, rule)
    return tf.cast(pair, tf.int32)
