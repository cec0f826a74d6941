"""The option `value_clipping` of PPO agents: values that move far count from a bounded distance."""

import numpy as np
import tensorflow as tf

from tfcaml import agents, keys, nest
from tfcaml.rollouts import sampling


def test_the_loss_with_clipped_values(make_agent, particle, population):
    """max((v - R)^2, (clip(v, old - c, old + c) - R)^2), old being the value at its own step."""
    clip, coefficient = 0.02, 0.01  # the latter is that of `make_agent`
    plain, clipped = (
        agents.agent_loss(make_agent("ppo_clip", particle, value_clipping=c)) for c in (None, clip)
    )
    acted = nest.stack([plain.policy.init(seed) for seed in range(2)])
    acted = nest.map(lambda x: x + 0.2, acted)
    moves = [(*acted[:-2], s * acted[-2], s * acted[-1]) for s in (-1.0, 1.5)]  # of the values
    task = nest.map(lambda x: x[:2], population.train)
    play = tf.function(
        lambda: sampling.sample(plain.policy, particle, acted, task, 3, keys.from_int(0)),
        autograph=False,
    )
    experience = plain.experience(None, acted, play())
    mask, target = experience.trajectory.mask.numpy(), experience.extra["return"].numpy()

    def values(params, i):
        plain.assign(nest.map(lambda x: x[i], params))
        observation = experience.trajectory.observation[i]
        flat = tf.reshape(observation, [-1, observation.shape[-1]])
        return plain.agent._value_net(flat)[0].numpy().reshape(mask[i].shape)

    largest = 0.0
    for moved in moves:
        difference = clipped(moved, experience) - plain(moved, experience)
        for i in range(2):
            old, new = values(acted, i), values(moved, i)
            bounded = np.clip(new, old - clip, old + clip)
            error = (new - target[i]) ** 2
            more = np.maximum(error, (bounded - target[i]) ** 2) - error
            expected = coefficient * (more * mask[i]).sum() / mask[i].sum()
            largest = max(largest, expected)
            np.testing.assert_allclose(difference[i], expected, rtol=1e-3, atol=1e-5)
    assert largest > 1e-3
