import pytest

from tfcaml import agents, policies


@pytest.mark.parametrize("name", agents.AGENTS)
def test_agents_by_name_give_a_loss_of_the_network(name, particle):
    network = policies.mlp_policy(particle.observation_spec, particle.action_spec, (8,)).network
    loss = agents.AGENTS[name](particle, network, (8,), discount=0.9)
    assert loss.policy.network is network
    value_weights = len(loss.policy.init(0)) - len(network.trainable_variables)
    assert value_weights == (4 if name == "ppo_clip" else 0)
