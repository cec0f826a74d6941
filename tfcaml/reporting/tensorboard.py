"""What TensorBoard shows of a run, beyond plain scalars."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import summary as scalar_summary

from tfcaml import figures, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RETURN = "adaptation/return"


def write_scalars(
    writer: tf.summary.SummaryWriter, values: dict[str, Any], step: int, prefix: str = ""
) -> None:
    """Writes a dict of numbers as one event, read like one `tf.summary.scalar` each."""
    summary = summary_pb2.Summary()
    for name, value in values.items():
        summary.MergeFrom(scalar_summary.scalar_pb(prefix + name, value))
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)


def flush(writer: tf.summary.SummaryWriter, directory: str | os.PathLike[str]) -> None:
    """Has all events written so far on the disk, not on their way there."""
    writer.flush()
    for path in pathlib.Path(directory).glob("events.out.tfevents.*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def drop_from(directory: str | os.PathLike[str], step: int) -> None:
    """Cuts a directory's event files off before the first event of `step` or a later one.

    So a run that goes on from `step` writes nothing a second time. Half a record at the end, left
    by a process that was killed, goes too. Each file is cut in one piece.

    Args:
      directory: of files whose steps never fall.
      step: Python int; at 0 the files go altogether.
    """
    for path in pathlib.Path(directory).glob("events.out.tfevents.*"):
        size = _size_before(path, step) if step else 0
        if size:
            os.truncate(path, size)
        else:
            path.unlink()


def _size_before(path: str | os.PathLike[str], step: int) -> int:
    """How many bytes of an event file come before `step` and are whole."""
    size = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            if event_pb2.Event.FromString(record).step >= step:
                break
            size += len(record) + 16  # its length and two checksums
    except (tf.errors.DataLossError, message.DecodeError):
        pass
    return size


def read_scalars(
    directory: str | os.PathLike[str], prefix: str = ""
) -> dict[str, dict[int, float]]:
    """The scalars of a directory's event files: name without `prefix` -> {step: number}."""
    events = event_accumulator.EventAccumulator(
        str(directory), size_guidance={"tensors": 0, "images": 1}
    ).Reload()
    values = {}
    for tag in events.Tags()["tensors"]:
        if tag.startswith(prefix):
            rows = [(row.step, tf.make_ndarray(row.tensor_proto)) for row in events.Tensors(tag)]
            if all(value.dtype == "float32" and value.ndim == 0 for _, value in rows):
                values[tag.removeprefix(prefix)] = {step: float(value) for step, value in rows}
    return values


def read_curves(
    directories: Sequence[str | os.PathLike[str]], prefix: str = ""
) -> dict[str, tuple[list[int], np.ndarray]]:
    """The scalars of several runs: name -> (steps that all have [I], values [S, I])."""
    runs = [read_scalars(directory, prefix) for directory in directories]
    curves = {}
    for name in sorted(set.intersection(*map(set, runs))):
        histories = [run[name] for run in runs]
        steps = sorted(set.intersection(*map(set, histories)))
        values = [[history[step] for step in steps] for history in histories]
        curves[name] = steps, np.array(values)
    return curves


def write_hparams(writer: tf.summary.SummaryWriter, config: Any) -> None:
    """A learner's settings by their dotted names, for the HParams page.

    config: a dataclass as dict.
    """
    flat = settings.flat(config)
    plain = {k: v for k, v in flat.items() if isinstance(v, (bool, int, float, str))}
    with writer.as_default():
        hparams.hparams(plain)


def write_figure(writer: tf.summary.SummaryWriter, name: str, figure: Figure, step: int) -> None:
    """A matplotlib figure as an image."""
    write_png(writer, name, figures.png(figure), step)


def write_png(writer: tf.summary.SummaryWriter, name: str, png: bytes, step: int) -> None:
    """An image that is PNG already (bytes), as `tf.summary.image` would write its pixels."""
    width, height = np.frombuffer(png[16:24], ">u4")  # of the first chunk, IHDR
    _write_image(writer, name, png, step, width, height)


def write_gif(writer: tf.summary.SummaryWriter, name: str, gif: bytes, step: int) -> None:
    """An image that is GIF already (bytes); TensorBoard shows it as it moves."""
    width, height = np.frombuffer(gif[6:10], "<u2")  # of the logical screen
    _write_image(writer, name, gif, step, width, height)


def _write_image(
    writer: tf.summary.SummaryWriter, name: str, image: bytes, step: int, width: int, height: int
) -> None:
    metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
    with writer.as_default():
        tf.summary.write(name, [str(width), str(height), image], step=step, metadata=metadata)


def write_adaptation(writer: tf.summary.SummaryWriter, summary: Sequence[dict[str, Any]]) -> None:
    """Mean return after k updates at step k, with the bounds of its interval."""
    for update, row in enumerate(summary):
        known = {bound: value for bound, value in row["mean"].items() if value is not None}
        write_scalars(writer, known, update, prefix=f"{_RETURN}_")


def write_layout(writer: tf.summary.SummaryWriter) -> None:
    """The custom-scalars page: return after k updates as a band; what belongs together in one."""
    margin = layout_pb2.MarginChartContent.Series(
        value=f"{_RETURN}_value", lower=f"{_RETURN}_lower", upper=f"{_RETURN}_upper"
    )
    adaptation = layout_pb2.Chart(
        title="return after k updates", margin=layout_pb2.MarginChartContent(series=[margin])
    )
    training = _charts(
        (
            "return on training entities, by inner step",
            r"train/return_(before|last_update|after|\d+)$",
        ),
        ("KL of the outer step, nats", "train/kl$"),
        ("line search", "train/(line_search_tries|refused_by_.*|step_rejected)$"),
    )
    followed = _charts(
        ("divergence between adapted policies, nats", "divergence/(mean|max)$"),
        (
            "silhouette of their clusters, agreement with known groups",
            "divergence/(silhouette|group_silhouette|ari|nearest_neighbour)$",
        ),
    )
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="adaptation to new entities", chart=[adaptation]),
            layout_pb2.Category(title="training", chart=training),
            layout_pb2.Category(title="divergence", chart=followed),
        ]
    )
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(custom_scalar.pb(layout).SerializeToString(), step=0)


def _charts(*rows: tuple[str, str]) -> list[Any]:
    """Charts of several scalars each: (title, pattern of the tags) -> `Chart`."""
    return [
        layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag]))
        for title, tag in rows
    ]
