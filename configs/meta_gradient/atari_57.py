"""The protocol of 57 Atari games, for one of them: 200 million frames, IMPALA's deep network."""

from tfcaml.configs.meta_gradient import _atari

_STEPS = 32 * 20  # of an update


def get_config():
    """The game is `--config.environment.game`.

    IMPALA sums its losses over the steps of an update, while they are means here: the bound of the
    gradient's norm and what is added to its second moment are divided accordingly. Its step size
    goes down to 0 with the frames; here it stays.
    """
    return _atari.game(
        "pong",
        {
            # 100 updates of 640 steps of four frames in an iteration, so 256 000 frames
            **{"num_iterations": 782, "inner_updates": 100, "episodes_per_update": 32},
            **{"inner_learning_rate": 6e-4, "max_grad_norm": 40 / _STEPS, "torso": "residual"},
            "rms_epsilon": 0.01 / _STEPS**2,
        },
        episodes=32,
        save_interval=1,
    )
