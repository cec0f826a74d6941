import numpy as np
import pytest

from tfcaml import keys
from tfcaml.environments import Sinusoid, SinusoidConfig
from tfcaml.errors import ConfigError


def test_examples_lie_on_the_curve():
    environment = Sinusoid()
    task = environment.population(0, 200).test
    x, y = environment.examples(task, 50, keys.from_int(1))
    amplitude, phase = task["amplitude"].numpy(), task["phase"].numpy()
    assert x.shape == y.shape == [200, 50, 1]
    assert amplitude.min() >= 0.1 and amplitude.max() <= 5 and amplitude.std() > 1
    assert phase.min() >= 0 and phase.max() <= np.pi and phase.std() > 0.7
    assert np.abs(x).max() <= 5 and np.abs(x).max() > 4.9
    expected = amplitude[:, None] * np.sin(x[..., 0] - phase[:, None])
    np.testing.assert_allclose(y[..., 0], expected, rtol=1e-4, atol=1e-5)


def test_curves_to_learn_from_are_fresh_and_held_out_ones_fixed():
    environment = Sinusoid()
    population = environment.population(0, 20)
    first, second = (population.sample(20, keys.from_int(i))[0]["phase"] for i in range(2))
    query = population.test["phase"]
    assert not np.isin(first, second).any() and not np.isin(query, first).any()
    np.testing.assert_array_equal(query, environment.population(0, 20).test["phase"])


def test_a_step_pays_minus_the_squared_error():
    environment = Sinusoid()
    task = environment.population(0, 2).test
    state, observation = environment.reset(task, keys.per_episode(keys.from_int(0), 2, 3))
    target = environment.target(task, observation)
    _, _, reward, terminated = environment.step(task, state, target + 2.0, None)
    np.testing.assert_allclose(reward, np.full([2, 3], -4.0), rtol=1e-5)
    assert terminated.numpy().all()


def test_bad_options_are_refused():
    for options in ({"min_amplitude": 6.0}, {"max_phase": 0.0}, {"max_x": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            SinusoidConfig(**options)
