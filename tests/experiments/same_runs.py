"""Whether two run directories hold the same, to the last bit."""

import numpy as np
import tensorflow as tf

from tests.launchers.test_resume import events


def check_same(root, other, evaluated=True):
    """Equal variables in the last checkpoints, events without timings, and evaluation."""
    jobs = sorted(path.relative_to(root) for path in root.glob("train/*/seed_*"))
    assert jobs == sorted(path.relative_to(other) for path in other.glob("train/*/seed_*"))
    assert jobs
    for job in jobs:
        left, right = (_variables(each / job) for each in (root, other))
        assert left.keys() == right.keys() and len(left) > 4
        for name, value in left.items():
            np.testing.assert_array_equal(value, right[name], err_msg=f"{job} {name}")
        assert events(root / job) == events(other / job), job
    if evaluated:
        left, right = (each / "eval" / "evaluation.json" for each in (root, other))
        assert left.read_bytes() == right.read_bytes()


def _variables(folder):
    """What the last checkpoint holds but the time that it took: name -> array."""
    number = lambda path: int(path.name.partition("-")[2])
    last = max((folder / "checkpoints").glob("iteration-*"), key=number)
    reader = tf.train.load_checkpoint(str(last / "variables"))
    names = [key for key in reader.get_variable_to_shape_map() if key.endswith("VALUE")]
    found = {key: reader.get_tensor(key) for key in names if not key.startswith("seconds/")}
    return {**found, "iteration": np.int64(number(last))}
