"""What the experiments with RL^2 share; numbers of its own code are those of its authors."""

from tfcaml.configs import base

from tfcaml import environments, learners

_PPO = {"optimizer": "ppo", "learning_rate": 1e-3, "clip_ratio": 0.2}
# A hundred pulls: without a discount, as what is found out late pays too; see docs/rl2.md.
BANDITS_OF_100 = {
    "meta_batch_size": 1000,
    "trials_per_task": 1,
    "units": 64,
    "entropy_weight": 0.02,
    "advantage": {"baseline": "recurrent", "gae_lambda": 0.8, "discount": 1.0},
    "critic_learning_rate": 3e-3,
    "critic_steps": 24,
    "outer": {**_PPO, "learning_rate": 3e-3, "steps": 16, "minibatches": 4},
}
BANDITS_OF_10 = {
    "units": 64,
    "outer": {**_PPO, "learning_rate": 2e-3, "steps": 20, "minibatches": 4},
}
# What is to be remembered is what each action paid in each state: see docs/rl2.md.
MDPS = {
    "trials_per_task": 1,
    "cell": "lstm",
    "units": 128,
    "memory_steps": 100,
    "entropy_weight": 0.05,
    "advantage": {"baseline": "recurrent", "gae_lambda": 0.3, "discount": 1.0},
    "critic_learning_rate": 3e-2,
    "critic_steps": 12,
    "outer": {
        **_PPO,
        "learning_rate": 3e-2,
        "annealing": "linear",
        "max_grad_norm": 0.5,
        "steps": 24,
        "minibatches": 12,
    },
}


def trials(family, options, episodes, learner, num_iterations, fc_layer_params=()):
    """RL^2 alone, on tasks that are drawn anew in each iteration.

    Args:
      family: its name.
      options: dict, of the family.
      episodes: of a trial.
      learner: dict of settings that differ from those here.
      num_iterations: of training.
      fc_layer_params: units of the layers behind the cell, rectified linear.
    """
    settings = {
        "num_iterations": num_iterations,
        "meta_batch_size": 100,
        "trials_per_task": 10,
        "episodes_per_update": episodes,
        "outer": {**_PPO, "steps": 20, "minibatches": 4},
        **learner,
    }
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy={
            "fc_layer_params": fc_layer_params,
            "activation": "relu" if fc_layer_params else "tanh",
        },
        learner=base.section("rl2", learners.RL2.Config(**settings)),
        num_seeds=3,
        # A fresh episode after each of the trial: all together are what a trial earns.
        evaluation={"num_tasks": 1000, "num_updates": episodes - 1, "episodes": 1},
        save_interval=20,
    )


def beside_maml(family, options, maml, policy, num_updates, num_tasks=40, **settings):
    """RL^2 and MAML with as many environment steps, on the same tasks.

    Args:
      family: its name.
      options: dict, of the family.
      maml: dict of MAML's settings.
      policy: dict, of MAML's network; RL^2 has these layers behind its cell.
      num_updates: on a new task. RL^2 plays one episode for each.
      num_tasks: new tasks.
      **settings: of the experiment.
    """
    maml = learners.MAML.Config(**maml)
    played = 2 * maml.meta_batch_size * maml.episodes_per_update
    episodes, per_task = num_updates + 1, 5
    tasks = max(1, played // (episodes * per_task))
    rl2 = learners.RL2.Config(
        num_iterations=maml.num_iterations,
        meta_batch_size=tasks,
        trials_per_task=per_task,
        episodes_per_update=episodes,
        outer={**_PPO, "steps": 10},
    )
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy=policy,
        learner=base.section("rl2", rl2),
        compared={"maml": base.section("maml", maml)},
        evaluation={"num_tasks": num_tasks, "num_updates": num_updates, "episodes": 20},
        save_interval=20,
        **settings,
    )
