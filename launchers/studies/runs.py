"""Running a shipped config as part of a study."""

import dataclasses
import json

from tfcaml.errors import ConfigError
from tfcaml.experiments.experiment import Experiment
from tfcaml.experiments.run_directory import first_difference, read_json, write_json
from tfcaml.learners import LEARNERS
from tfcaml.reporting import report
from tfcaml.settings import as_json, flat


def run_config(content, study_seeds, root, jit_compile=None, train=Experiment.train, **options):
    """Trains and evaluates a config in a run directory, going on where it stopped.

    Args:
      content: the config as dict.
      study_seeds: consecutive Python ints.
      root: path of the run directory.
      jit_compile: as of `MetaLearner`.
      train: function of an `Experiment`, which trains it.
      **options: of `Experiment`.

    Returns:
      (`Experiment`, summary of its evaluation, see `tfcaml.report.summarize`).
    """
    content = content | {"num_seeds": len(study_seeds)}
    experiment = Experiment.create(root, content, study_seeds[0], jit_compile, **options)
    train(experiment)
    return experiment, experiment.evaluate()[0]


def run_parts(parts, study_seeds, out_dir, quick, train):
    """All parts of a study, or the first one if it is to be quick, as one study.

    Args:
      parts: functions (study_seeds, out_dir, quick, train) -> (dict of results, lines of Markdown,
        dict name -> figure).
      study_seeds, out_dir, quick, train: as a study has them.

    Returns:
      (results, text, figures), see `launchers.reproduce`.
    """
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    for part in parts[: 1 if quick else None]:
        found, text, drawn = part(study_seeds, out_dir, quick, train)
        results |= found
        lines += text
        pictures |= drawn
    return results, "\n".join(lines), pictures


def config_name(module):
    """The name of a config's module as `--config` takes it, such as "caml/figure3"."""
    return module.__name__.partition("configs.")[2].replace(".", "/")


def kept(path, settings, compute):
    """`compute()`, a JSON value, or what an earlier run of the study kept of it in a file.

    Both are as JSON has them: lists for tuples, None for numbers that are not finite.

    Args:
      path: of the JSON file.
      settings: dict of all that decides the value.
      compute: () -> JSON-serialisable value.

    Raises:
      ConfigError: the file was made with other settings.
    """
    settings = as_json(settings)
    if path.exists():
        found = read_json(path)
        difference = first_difference(found.get("settings"), settings)
        if difference:
            name, was, now = difference
            raise ConfigError(
                f"{path} was made with other settings: {name} is {was!r} there and {now!r} here; "
                "choose another out_dir"
            )
        if "value" not in found:
            raise ConfigError(f"{path} is damaged: it has no value")
        return found["value"]
    value = as_json(compute())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"settings": settings, "value": value})
    return value


def rounded(value, digits=4):
    """A JSON value with its floats rounded, for results that are kept in a repository."""
    return json.loads(json.dumps(value), parse_float=lambda x: round(float(x), digits))


def shrink(content, compared=()):
    """Changes a config so that it takes seconds, for `--quick`. compared: names that stay."""
    content["compared"] = {name: content["compared"][name] for name in compared}
    if "horizon" in content["environment"]:
        content["environment"]["horizon"] = 5
    content["policy"]["fc_layer_params"] = (4,)
    content["evaluation"] |= {"num_tasks": 2, "episodes": 2}
    for section in (content["learner"], *content["compared"].values()):
        section.update(LEARNERS[section["name"]].Config.smallest(section))


def paired_rows(paired, kind="same_update", digits=1, updates=None):
    """Table of `tfcaml.report.compare`'s paired differences, and what is to be said below it.

    Args:
      paired: dict name -> dict kind -> rows; pairs without `kind` are left out.
      kind: "same_update" or "equal_episodes"; of these the episodes of both are printed.
      digits: after the point.
      updates: those that are shown; all unless given.

    Returns:
      lines of Markdown.
    """
    paired = {name: rows[kind] for name, rows in paired.items() if kind in rows}
    if updates is None:
        updates = range(len(next(iter(paired.values())))) if paired else ()
    paired = {name: [rows[update] for update in updates] for name, rows in paired.items()}
    every = [row for rows in paired.values() for row in rows]
    marks = iter(report.surviving(every))
    lines = [
        "| | " + " | ".join(f"k = {k}" for k in updates) + " |",
        "|---" * (len(updates) + 1) + "|",
    ]
    for name, rows in paired.items():
        cells = [_paired_cell(row, digits) + mark for row, mark in zip(rows, marks)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    notes = [report.many_comparisons(every)]
    if any(row and "episodes" in row for row in every):
        notes.append(
            "After the semicolon: episodes played with the entity by the first / by the other, at "
            "its first update with at least as many."
        )
    return [*lines, *(line for note in notes if note for line in ("", note))]


def adaptation_rows(methods, updates):
    """Rows of a table: a method's mean return after so many updates.

    Args:
      methods: dict name -> what `report.summarize` has of a method.
      updates: those that are shown, as a sequence; or their number, from 0 on. A method that was
        not measured for so long has empty cells.
    """
    updates = range(updates) if isinstance(updates, int) else updates
    rows = []
    for name, values in methods.items():
        found = values["summary"]
        cells = [interval(found[k]["mean"]) if k < len(found) else "" for k in updates]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


_GRADIENT_FIELDS = (
    "num_iterations",
    "meta_batch_size",
    "episodes_per_update",
    "inner_learning_rate",
    "inner_estimator",
    "outer.optimizer",
    "outer.fisher_subsample",
)


def gradient_settings(experiment, method):
    """Settings, environment steps and training time (of this machine) of a method, per seed."""
    given = flat(dataclasses.asdict(experiment.config.learners[method][1]))
    return {
        **{field: given.get(field) for field in _GRADIENT_FIELDS},
        "environment_steps": experiment.environment_steps(method),
        "seconds": experiment.training_seconds(method),
    }


def settings_rows(settings):
    """Table of dict name -> `gradient_settings`: lines of Markdown."""
    lines = [
        "| method | " + " | ".join(_GRADIENT_FIELDS) + " | environment steps | seconds per seed |",
        "|---" * (len(_GRADIENT_FIELDS) + 3) + "|",
    ]
    for name, row in settings.items():
        fields = " | ".join(str(row[field]) for field in _GRADIENT_FIELDS)
        lines.append(
            f"| {name} | {fields} | {row['environment_steps'] / 1e6:.1f} M | {row['seconds']:.0f} |"
        )
    return lines


def _paired_cell(row, digits):
    if row is None:
        return ""
    episodes = f"; {row['episodes']} / {row['other_episodes']}" if "episodes" in row else ""
    return f"{interval(row, digits)} ({row['seeds_won']}/{row['num_seeds']}{episodes})"


def interval(row, digits=1):
    """A value with its interval, as text.

    Args:
      row: dict(value, lower, upper); and `censored`, a dict of those of them that are only known to
        be less ("<") or more (">") than the number that stands there, or not even that ("?").
      digits: after the point.
    """
    signs = {name: f"{sign} " for name, sign in row.get("censored", {}).items()}
    number = lambda name: f"{signs.get(name, '')}{row[name]:.{digits}f}"
    if row["lower"] is None:
        return number("value")
    return f"{number('value')} [{number('lower')}, {number('upper')}]"
