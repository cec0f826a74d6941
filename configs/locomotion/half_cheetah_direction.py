from tfcaml.configs import base

from tfcaml import environments, learners


def get_config():
    method = lambda name, **changes: base.section(
        name, learners.LEARNERS[name].Config(num_iterations=1000, inner_estimator="likelihood_ratio", **changes)
    )
    return base.experiment(
        environment=base.section("half_cheetah_direction", environments.ENVIRONMENTS["half_cheetah_direction"][1]()),
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        learner=method("maml"),
        compared={},
        num_seeds=1,
        evaluation={"num_tasks": 2, "num_updates": 3, "episodes": 20},
        save_interval=10,
    )
