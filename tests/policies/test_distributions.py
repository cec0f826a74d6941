import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import nest
from tfcaml.policies import distributions


def test_tensors_and_back(gaussian_policy, policy):
    for made in (gaussian_policy, policy):
        size = made.network.input_tensor_spec.shape[0]
        params = nest.stack([made.init(0), made.init(1)])
        first = made(params, tf.ones([2, 3, size]))
        other = made(params, -tf.ones([2, 3, size]))
        again = distributions.rebuild(other, distributions.tensors(first))
        action = first.sample(seed=0)
        np.testing.assert_allclose(again.log_prob(action), first.log_prob(action), rtol=1e-6)
        kl = tfp.distributions.kl_divergence(first, again)
        np.testing.assert_allclose(kl, tf.zeros([2, 3]), atol=1e-6)
        assert (tfp.distributions.kl_divergence(first, other).numpy() > 0).all()
