"""A learned loss where moves of a point are turned and scaled; docs/epg.md.

The settings were chosen on training tasks, with seed 100.
"""

import math

from tfcaml.configs.epg import _methods

from tfcaml.errors import check_one_of

# Largest turn of moves to either side, in degrees -> it in radians, and iterations of evolution.
TURNS = {"60": (math.pi / 3, 300), "90": (math.pi / 2, 400)}


def get_config(turn="60"):
    check_one_of("turn", turn, tuple(TURNS))
    max_turn, num_iterations = TURNS[turn]
    return _methods.experiment(
        "turned_point",
        {"max_turn": max_turn},
        life={"episodes_per_update": 4, "minibatches": 4},
        epg={
            "num_iterations": num_iterations,
            "inner_learning_rate": 0.02,
            "buffer_updates": 4,
            "memory": 0,
            "fitness_episodes": 8,
            "outer": {"population": 128, "learning_rate": 0.03},
        },
        ppo={"inner_learning_rate": 0.04, "minibatches": 2},
        variants={"epg_reward_free": {"sees_reward": False}},
        num_updates=8,
        policy={"fc_layer_params": (16,), "activation": "tanh"},
        num_seeds=5,
        evaluation={"num_tasks": 100, "num_updates": 8, "episodes": 20},
        save_interval=50,
    )
