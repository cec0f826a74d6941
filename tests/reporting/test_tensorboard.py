"""Events that are written in fewer pieces are read as those of `tf.summary` are."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.custom_scalar import layout_pb2

from tfcaml import figures
from tfcaml.reporting import tensorboard
from tfcaml.types import Metric


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


def _layout(tmp_path, metrics, logged, bounds):
    writer = tf.summary.create_file_writer(str(tmp_path))
    tensorboard.write_layout(writer, metrics, logged, bounds)
    writer.close()
    content = _read(tmp_path)["custom_scalars__config__"][1][0].item()
    return {c.title: list(c.chart) for c in layout_pb2.Layout.FromString(content).category}


def test_charts_are_of_what_was_logged_alone(tmp_path):
    metrics = {f"train/{x}": Metric("Text.", title) for x, title in zip("abcde", "XXYZ")}
    metrics["train/e"] = Metric("Text.")
    pages = _layout(tmp_path, metrics, {"train/b", "train/a", "train/d", "train/e"}, False)
    patterns = {chart.title: list(chart.multiline.tag) for chart in pages["training"]}
    assert patterns == {"X": ["(train/a|train/b)$"], "Z": ["(train/d)$"]}
    [chart] = pages["adaptation to held-out tasks"]
    assert re.match(chart.multiline.tag[0], "adaptation/return")
    assert not re.match(chart.multiline.tag[0], "adaptation/return_mean")


def test_a_run_that_trained_nothing_has_no_page_of_training(tmp_path):
    pages = _layout(tmp_path, {"train/a": Metric("Text.", "X")}, set(), True)
    assert list(pages) == ["adaptation to held-out tasks"]


@pytest.mark.parametrize("bounds", [False, True])
def test_a_band_is_drawn_where_there_are_bounds(tmp_path, bounds):
    interval = lambda value: {"mean": {"value": value, "lower": value - 1, "upper": value + 1}}
    writer = tf.summary.create_file_writer(str(tmp_path / "caml"))
    tensorboard.write_adaptation(writer, [interval(-5.0), interval(-3.0)], bounds)
    writer.close()
    written = tensorboard.read_scalars(tmp_path / "caml")
    assert written["adaptation/return_mean"] == {0: -5, 1: -3}
    [[chart]] = _layout(tmp_path / "eval", {}, set(), bounds).values()
    if bounds:
        [series] = chart.margin.series
        assert {series.value, series.lower, series.upper} == set(written)
        assert written[series.upper] == {0: -4, 1: -2}
    else:
        assert set(written) == {"adaptation/return_mean"} and not chart.margin.series


def test_a_description_is_written_once_and_kept(tmp_path):
    """TensorBoard takes the first text; what goes on with a run writes it a second time."""
    for step, text in ((0, {"a": "What a is."}), (1, None), (2, {"a": "What a is."})):
        writer = tf.summary.create_file_writer(str(tmp_path), filename_suffix=f".{step}")
        tensorboard.write_scalars(writer, {"a": step, "b": 0}, step, descriptions=text)
        writer.close()
    found = event_accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    found.Reload()
    assert found.SummaryMetadata("a").summary_description == "What a is."
    assert found.SummaryMetadata("b").summary_description == ""
    assert [row.step for row in found.Tensors("a")] == [0, 1, 2]
