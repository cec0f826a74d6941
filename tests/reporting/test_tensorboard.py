"""Events that are written in fewer pieces are read as those of `tf.summary` are."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2

from tfcaml import figures
from tfcaml.reporting import tensorboard


def _read(directory):
    """tag -> (metadata as bytes, {step: array})."""
    found = event_accumulator.EventAccumulator(
        str(directory), size_guidance={"tensors": 0}
    ).Reload()
    arrays = lambda tag: {e.step: tf.make_ndarray(e.tensor_proto) for e in found.Tensors(tag)}
    tags = found.Tags()["tensors"]
    return {tag: (found.SummaryMetadata(tag).SerializeToString(), arrays(tag)) for tag in tags}


def _events(directory):
    [path] = directory.glob("events.out.tfevents.*")
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [event_pb2.Event.FromString(record) for record in records]


def test_numbers_of_a_step_are_one_event(tmp_path):
    values = {"a": 0.1, "b": 3, "c": float("nan"), "d": np.float64(1) / 3, "e": tf.constant(2.5)}
    writer = tf.summary.create_file_writer(str(tmp_path / "ours"))
    theirs = tf.summary.create_file_writer(str(tmp_path / "theirs"))
    for step in (0, 7):
        tensorboard.write_scalars(writer, values, step, prefix="train/")
        with theirs.as_default():
            for name, value in values.items():
                tf.summary.scalar(f"train/{name}", value, step=step)
    writer.close()
    theirs.close()
    ours, theirs = _read(tmp_path / "ours"), _read(tmp_path / "theirs")
    assert ours.keys() == theirs.keys() == {f"train/{name}" for name in values}
    for (metadata, arrays), (their_metadata, their_arrays) in zip(ours.values(), theirs.values()):
        assert metadata == their_metadata and arrays.keys() == their_arrays.keys() == {0, 7}
        for step, array in arrays.items():
            np.testing.assert_array_equal(array, their_arrays[step], strict=True)
    written = [event for event in _events(tmp_path / "ours") if event.summary.value]
    assert [(event.step, len(event.summary.value)) for event in written] == [(0, 5), (7, 5)]


def test_a_picture_is_the_png_itself(tmp_path):
    matrix = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    figure = figures.divergence_matrix(matrix, np.arange(6) % 2)
    writer = tf.summary.create_file_writer(str(tmp_path / "ours"))
    png = figures.save(figure, tmp_path / "figure.png")
    tensorboard.write_png(writer, "matrix", png, 3)
    writer.close()
    pixels = tf.image.decode_png(png, channels=4)
    theirs = tf.summary.create_file_writer(str(tmp_path / "theirs"))
    with theirs.as_default():
        tf.summary.image("matrix", pixels[None], step=3)
    theirs.close()
    metadata, arrays = _read(tmp_path / "ours")["matrix"]
    their_metadata, their_arrays = _read(tmp_path / "theirs")["matrix"]
    assert metadata == their_metadata and arrays.keys() == their_arrays.keys() == {3}
    assert arrays[3].dtype == their_arrays[3].dtype and arrays[3][2] == png
    assert arrays[3][:2].tolist() == their_arrays[3][:2].tolist()
    np.testing.assert_array_equal(tf.image.decode_png(their_arrays[3][2], channels=4), pixels)
