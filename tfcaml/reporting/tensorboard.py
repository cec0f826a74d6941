"""What TensorBoard shows of a run, beyond plain scalars."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import summary as scalar_summary

from tfcaml import figures, settings
from tfcaml.types import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# TensorBoard shows the groups of tags, up to the first "/", in the order of the alphabet: held-out
# tasks, policies, returns in training, what else is known of it, and what went wrong.
_ADAPTATION = {
    "adaptation/return": "Mean return on this seed's held-out tasks after so many updates (step).",
    "adaptation/return_lower": "Lower bound of the 95 % interval over seeds of return_mean.",
    "adaptation/return_mean": "Mean over seeds of the return on held-out tasks after so many "
    "updates (step).",
    "adaptation/return_upper": "Upper bound of the 95 % interval over seeds of return_mean.",
}
_BEFORE, _AFTER = "held_out/return_before", "held_out/return_after"
_HELD_OUT = {
    _BEFORE: "Mean return on held-out tasks before adaptation.",
    _AFTER: "Mean return on held-out tasks after the last update.",
}
# What tags of training begin with: returns, other metrics, and faults.
TRAINING, DETAILS, FAULTS = "train/", "training_details/", "training_faults/"


def training_tag(name: str) -> str:
    """The tag of a metric of training: returns stand together, before all others."""
    return (TRAINING if name.startswith("return_") else DETAILS) + name


def write_scalars(
    writer: tf.summary.SummaryWriter,
    values: Mapping[str, Any],
    step: int,
    prefix: str = "",
    descriptions: Mapping[str, str] | None = None,
) -> None:
    """Writes a dict of numbers as one event, read like one `tf.summary.scalar` each.

    Args:
      writer: of `tf.summary`.
      values: dict name -> number.
      step: Python int.
      prefix: of all names.
      descriptions: dict name -> text that TensorBoard shows beside the chart. It takes the text of
        the first event of a name, and needs no other.
    """
    summary, known = summary_pb2.Summary(), descriptions or {}
    for name, value in values.items():
        summary.MergeFrom(scalar_summary.scalar_pb(prefix + name, value, known.get(name)))
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


def read_training(
    directories: Sequence[str | os.PathLike[str]],
) -> dict[str, tuple[list[int], np.ndarray]]:
    """What training reported, of several runs, as `read_curves`; names as the learner's."""
    return {**read_curves(directories, TRAINING), **read_curves(directories, DETAILS)}


def write_trial(
    writer: tf.summary.SummaryWriter,
    trial: Mapping[str, str],
    config: Any,
    returns: Sequence[float],
) -> None:
    """A method with a seed as a row of the HParams page, and its return on held-out tasks.

    Args:
      writer: of `tf.summary`, of an event file of this trial alone.
      trial: dict column -> value, of the first columns of `write_trials`.
      config: the learner's, a dataclass as dict; its settings are shown by their dotted names.
      returns: [U + 1], mean return after each number of updates.
    """
    columns = {**_plain(config), **{name.capitalize(): x for name, x in trial.items()}}
    with writer.as_default():
        hparams.hparams(columns, trial_id=f"{trial['method']}, seed {trial['seed']}")
    for update, value in enumerate(returns):
        _write_described(writer, {"adaptation/return": value}, update, _ADAPTATION)
    write_scalars(writer, {_BEFORE: returns[0]}, 0, descriptions=_HELD_OUT)
    write_scalars(writer, {_AFTER: returns[-1]}, len(returns) - 1, descriptions=_HELD_OUT)


def write_trials(
    writer: tf.summary.SummaryWriter, first: Collection[str], configs: Collection[Any]
) -> None:
    """The columns of the HParams page: what tells trials apart first, then all settings.

    Args:
      writer: of `tf.summary`.
      first: columns that stand before the settings.
      configs: the learners' configs, dataclasses as dicts.
    """
    names = dict.fromkeys(name for config in configs for name in _plain(config))
    # TensorBoard sorts columns by name, capitals first, and shows five until told otherwise.
    columns = [hparams.HParam(name.capitalize(), display_name=name) for name in first]
    columns += [hparams.HParam(name) for name in names]
    titles = {_BEFORE: "held-out return before", _AFTER: "held-out return after"}
    metrics = [
        hparams.Metric(tag, display_name=title, description=_HELD_OUT[tag])
        for tag, title in titles.items()
    ]
    summary = hparams.hparams_config_pb(columns, metrics)
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=0)


def _plain(config: Any) -> dict[str, Any]:
    """Settings by their dotted names, those that are one number, word or switch."""
    flat = settings.flat(config)
    return {k: v for k, v in flat.items() if isinstance(v, (bool, int, float, str))}


def _write_described(
    writer: tf.summary.SummaryWriter, values: dict[str, Any], step: int, texts: dict[str, str]
) -> None:
    write_scalars(writer, values, step, descriptions=texts if step == 0 else None)


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


def write_adaptation(
    writer: tf.summary.SummaryWriter, summary: Sequence[dict[str, Any]], bounds: bool
) -> None:
    """Mean return over seeds after k updates at step k.

    Args:
      writer: of `tf.summary`.
      summary: row by update, see `report.summarize`.
      bounds: whether those of its 95 % interval are written too.
    """
    names = {"value": "mean", "lower": "lower", "upper": "upper"}
    tags = {name: f"adaptation/return_{names[name]}" for name in (names if bounds else ["value"])}
    for update, row in enumerate(summary):
        values = {tag: row["mean"][name] for name, tag in tags.items()}
        _write_described(writer, values, update, _ADAPTATION)


def write_layout(
    writer: tf.summary.SummaryWriter,
    metrics: Mapping[str, Metric],
    logged: Collection[str],
    bounds: bool,
) -> None:
    """The custom-scalars page: charts of tags that belong together, of those that are logged.

    Args:
      writer: of `tf.summary`.
      metrics: dict tag -> `Metric`, of all that training may log.
      logged: the tags that it has logged.
      bounds: whether `write_adaptation` has written bounds: a band is drawn then, else each seed.
    """
    charts: dict[str, list[str]] = {}
    for tag, metric in metrics.items():
        if metric.chart and tag in logged:
            charts.setdefault(metric.chart, []).append(tag)
    adaptation = _lines("return after k updates, each seed", ["adaptation/return"])
    if bounds:
        adaptation = layout_pb2.Chart(
            title="return after k updates, mean and 95 % interval over seeds",
            margin=layout_pb2.MarginChartContent(
                series=[
                    layout_pb2.MarginChartContent.Series(
                        value="adaptation/return_mean",
                        lower="adaptation/return_lower",
                        upper="adaptation/return_upper",
                    )
                ]
            ),
        )
    categories = [("adaptation to held-out tasks", [adaptation])]
    categories += [("training", [_lines(title, tags) for title, tags in charts.items()])]
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=content)
            for title, content in categories
            if content
        ]
    )
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(custom_scalar.pb(layout).SerializeToString(), step=0)


def _lines(title: str, tags: Sequence[str]) -> Any:
    """A chart of several scalars."""
    pattern = f"({'|'.join(map(re.escape, tags))})$"
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[pattern]))
