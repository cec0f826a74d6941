"""Meta-gradient RL on Pong for 204 800 frames, with a small network: minutes to an hour."""

from tfcaml.configs.meta_gradient import _atari


def get_config():
    return _atari.game(
        "pong",
        {
            # 32 x 10 updates of 8 x 20 steps of four frames
            **{"num_iterations": 32, "inner_updates": 10, "episodes_per_update": 8},
            # A2C's settings of Atari, whose losses are means too
            **{"inner_learning_rate": 7e-4, "max_grad_norm": 0.5, "torso": "convolutional"},
        },
        episodes=4,
        save_interval=1,
    )
