"""Sub-policies for goals in a room of four; docs/mlsh.md.

They are learned with the four goals of the paper's code, and a new task has one of these, too. With
"others" they are learned with ten goals of the room, and new tasks have its other ten. The settings
were chosen on seeds from 100 on, for "same".
"""

from tfcaml.configs.mlsh import _methods

from tfcaml.errors import check_one_of

# The cells of the room below the start, in reading order.
_ROOM = (*range(68, 73), *range(78, 83), *range(89, 94), *range(99, 104))
_SAME = (68, 80, 90, 103)
# Which goals are new -> options of the family, and of MLSH.
GOALS = {
    "same": ({"test_goals": _SAME}, {"num_options": 4, "period": 25}),
    "others": (
        {"train_goals": _ROOM[::2], "test_goals": _ROOM[1::2]},
        {"num_options": 6, "period": 10},
    ),
}


def get_config(goals="same"):
    check_one_of("goals", goals, tuple(GOALS))
    options, hierarchy = GOALS[goals]
    return _methods.experiment(
        "four_rooms",
        options,
        life={"episodes_per_update": 20, "test_episodes_per_update": 5},
        chosen={
            **hierarchy,
            "num_iterations": 80,
            "meta_batch_size": 16,
            "inner_updates": 10,
            "warm_up": 9,
            "inner_learning_rate": 0.03,
            "master_steps": 8,
            "sub_learning_rate": 2e-3,
            "sub_steps": 10,
            "master_clip_ratio": 0.4,
            "sub_clip_ratio": 0.4,
        },
        others={"ppo": ("ppo", {"inner_learning_rate": 0.02, "minibatches": 4})},
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=5,
        evaluation={
            "num_tasks": len(options["test_goals"]),
            "num_updates": 20,
            "episodes": 20,
        },
        save_interval=20,
    )
