"""report.html: all that a run found and how it was made, in one file that needs no network."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfcaml.reporting import report
from tfcaml.reporting.markup import Markup, element, joined
from tfcaml.reporting.style_sheet import STYLE_SHEET

_MOST_BYTES = 2**24  # of a picture that is embedded
_TYPES = {".gif": "image/gif", ".png": "image/png"}
# What pictures show that any run may have: suffix of the file's name -> caption.
_CAPTIONS = {
    "adaptation.gif": (
        "Episodes on one test task, before the first update and after each: a panel for each of at "
        "most four methods, in all of which steps follow each other equally fast."
    ),
    "adaptation.png": "Mean return on test tasks after each update.",
    "trajectories.png": "Episodes on that test task, before the first update and after the last.",
    "_training.png": "What was measured at each iteration of training, such as returns.",
    "_film.gif": (
        "The first episode on one test task, before the first update and after the last, in real "
        "time or faster."
    ),
    "_film.png": "Pictures of that film at the same times, from left to right.",
    "_divergence_matrix.png": "How far policies have diverged from each other, sorted by cluster.",
    "_policy_map.png": "Policies as points; neighbours on the map are alike (t-SNE).",
    "_adapted_curves.png": "Policies after adaptation, followed over training.",
    "_adapted_matrix.png": "How far policies have diverged after adaptation.",
    "_adapted_map.png": "Adapted policies as points; neighbours on the map are alike (t-SNE).",
}


@dataclasses.dataclass(frozen=True)
class TrainedMethod:
    """How one method was trained.

    name: of the method
    learner: its class's name
    num_iterations: of each seed
    done: iterations of each seed so far
    environment_steps: of training with one seed, at most
    seconds: wall time of training so far, of each seed, None where it is not known
    jit_compile: whether iterations are compiled with XLA
    """

    name: str
    learner: str
    num_iterations: int
    done: Sequence[int]
    environment_steps: int
    seconds: Sequence[float | None]
    jit_compile: bool


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, its value, and its default; `has_default` if there is one."""

    name: str
    value: Any
    default: Any = None
    has_default: bool = False

    @property
    def changed(self) -> bool:
        """Whether the value is another than the default."""
        return self.has_default and self.value != self.default


@dataclasses.dataclass(frozen=True)
class RunReport:
    """All that is told of a run.

    environment: name of the task family
    notice: what everybody has to be told of it, or ""
    methods: list of `TrainedMethod`, the main one first
    seeds: Python ints
    summary: see `report.summarize`, with num_tasks, num_updates and episodes; None where the run
      has not been evaluated
    evaluation_seconds: wall time of the evaluation, None without
    figures: paths of PNG and GIF
    incidents: (what was skipped or failed, method, seed or "", how often), see `incidents`
    failure: what ended training early, or ""
    settings: title -> list of `Setting`
    commands: (what it does, the command)
    begun: what the run was begun with, see `provenance.record`; of a file that anyone may have
      written
    now: the same of the process that writes the report
    written: when, as text
    """

    environment: str
    notice: str
    methods: Sequence[TrainedMethod]
    seeds: Sequence[int]
    summary: dict[str, Any] | None
    evaluation_seconds: float | None
    figures: Sequence[pathlib.Path]
    incidents: Sequence[tuple[str, str, Any, int]]
    failure: str
    settings: Mapping[str, Sequence[Setting]]
    commands: Sequence[tuple[str, str]]
    begun: dict[str, Any]
    now: dict[str, Any]
    written: str


def to_html(run: RunReport) -> str:
    """The report as a whole HTML document, which loads nothing and runs nothing."""
    main = run.methods[0].name
    title = f"{main} on {run.environment}"
    sections = [
        ("Results", _results(run)),
        ("Pictures", _pictures(run)),
        ("What was skipped or failed", _incidents(run)),
        ("Training", _training(run)),
        ("Settings", _settings(run)),
        ("Commands", _commands(run)),
        ("Software and machine", _made_with(run)),
    ]
    sections = [(name, content) for name, content in sections if content]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - tfcaml"),
        element("style", Markup(STYLE_SHEET)),
    )
    links = [element("a", name, href=f"#{_anchor(name)}") for name, _ in sections]
    body = element(
        "body",
        element(
            "header",
            element("p", f"Run report of tfcaml, written {run.written}", class_="kicker"),
            element("h1", title),
            _lead(run),
            element("div", run.notice, class_="callout", role="note") if run.notice else None,
            _facts(run),
            element("nav", links),
        ),
        element(
            "main",
            [
                element("section", element("h2", name, id=_anchor(name)), content)
                for name, content in sections
            ],
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _lead(run: RunReport) -> Markup:
    """What was found in a sentence or, where there is nothing yet, how far the run is."""
    main = run.methods[0].name
    if run.summary is not None:
        rows = [row["mean"] for row in run.summary["methods"][main]["summary"]]
        digits = _digits(rows)
        tasks = _count(run.summary["num_tasks"], "test task")
        first, last = (_number(row, "value", digits) for row in (rows[0], rows[-1]))
        text = f"On {tasks} with each seed, {main} has a mean return of {first}"
        if len(rows) > 1:
            text += f" before any update and of {last} after {_count(len(rows) - 1, 'update')}"
        return element("p", f"{text}.", class_="lead")
    done = sum(sum(method.done) for method in run.methods)
    total = sum(method.num_iterations * len(method.done) for method in run.methods)
    if done >= total:
        return element("p", "Trained, and not evaluated yet.", class_="lead")
    text = f"Stopped after {done:,} of {total:,} training iterations, and not evaluated yet."
    return element("p", text, class_="lead")


def _facts(run: RunReport) -> Markup:
    seeds = list(run.seeds)
    facts = {
        "Task family": run.environment,
        "Methods": ", ".join(method.name for method in run.methods),
        "Seeds": str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}",
    }
    if run.summary is not None:
        facts["Test tasks with each seed"] = str(run.summary["num_tasks"])
        facts["Updates on each"] = str(run.summary["num_updates"])
        facts["Episodes per measurement"] = str(run.summary["episodes"])
    known = [x for method in run.methods for x in method.seconds if x is not None]
    facts["Time of training, all seeds"] = _duration(sum(known)) if known else "not known"
    if run.evaluation_seconds is not None:
        facts["Time of evaluation"] = _duration(run.evaluation_seconds)
    return element(
        "dl",
        [element("div", element("dt", key), element("dd", value)) for key, value in facts.items()],
        class_="facts",
    )


def _results(run: RunReport) -> Markup | None:
    """Tables of returns, of all test tasks and of named sets, and of paired differences."""
    if run.summary is None:
        return None
    methods = run.summary["methods"]
    first = next(iter(methods.values()))
    several = any(row["mean"]["lower"] is not None for row in first["summary"])
    over = ", with 95 % interval over seeds" if several else ""
    rows = lambda statistic: {
        name: [row[statistic] for row in values["summary"]] for name, values in methods.items()
    }
    title = f"Mean return on test tasks after k updates{over}"
    parts = [_returns_table(rows("mean"), title)]
    for which in first.get("sets", ()):
        found = {
            name: [row["mean"] for row in values["sets"][which]] for name, values in methods.items()
        }
        parts += [_returns_table(found, f"Mean return on the test tasks of set “{which}”{over}")]
    others = [
        _returns_table(rows(statistic), f"{name} return over test tasks after k updates{over}")
        for statistic, name in (("median", "Median"), ("iqm", "Interquartile mean"))
    ]
    parts += [_details("Medians and interquartile means", others)]
    parts += _paired(run.summary["paired"])
    if several:
        parts += [element("p", " ".join(report.COVERAGE), class_="note")]
    else:
        note = (
            "Intervals over seeds are given from three seeds on; config.num_seeds is their number."
        )
        parts += [element("p", note, class_="note")]
    text = "Every number of each seed and task is in eval/evaluation.json and eval/evaluation.csv."
    return joined([*parts, element("p", text, class_="note")])


def _returns_table(rows: dict[str, list[dict[str, Any]]], caption: str) -> Markup:
    digits = _digits([cell for cells in rows.values() for cell in cells])
    updates = range(len(next(iter(rows.values()))))
    heading = ["", *(f"k = {update}" for update in updates)]
    body = [(name, [_interval(cell, digits) for cell in cells]) for name, cells in rows.items()]
    return _table(caption, heading, body, "value")


def _paired(paired: dict[str, Any]) -> list[Markup]:
    """Tables of differences, one per kind of comparison, marked as in the printed report."""
    every = [row for kinds in paired.values() for rows in kinds.values() for row in rows]
    interval = any(row and row["lower"] is not None for row in every)
    marks = dict(zip(map(id, every), report.surviving(every)))
    titles = {
        "same_update": "Differences at the same update",
        "equal_episodes": "Differences at equal episodes with the task",
    }
    parts = []
    for kind, title in titles.items():
        found = {name: kinds[kind] for name, kinds in paired.items() if kind in kinds}
        if not found:
            continue
        digits = _digits([row for rows in found.values() for row in rows if row])
        heading = ["", *(f"k = {update}" for update in range(len(next(iter(found.values())))))]
        body = [
            (name, [_difference(row, digits, marks[id(row)]) for row in rows])
            for name, rows in found.items()
        ]
        interval_and = "95 % interval and " if interval else ""
        caption = f"{title}, paired over seeds, with {interval_and}the seeds that were won"
        if kind == "equal_episodes":
            caption += "; below them the episodes that the one and the other have played"
        parts.append(_table(caption, heading, body, "value"))
    note = report.many_comparisons(every)
    return [*parts, *([element("p", note, class_="note")] if note else [])]


def _difference(row: dict[str, Any] | None, digits: int, mark: str) -> Any:
    if row is None:
        return element("span", "not measured", class_="unit")
    won = f"{row['seeds_won']} of {row['num_seeds']} seeds"
    parts: list[Any] = [_interval(row, digits, mark), " ", element("span", won, class_="interval")]
    if "episodes" in row:
        played = f"{row['episodes']} / {row['other_episodes']} episodes"
        parts += [" ", element("span", played, class_="interval")]
    return parts


def _interval(row: dict[str, Any], digits: int, mark: str = "") -> list[Any]:
    value: list[Any] = [f"{_number(row, 'value', digits)}{mark}"]
    if row["lower"] is not None:
        bounds = f"{_number(row, 'lower', digits)} to {_number(row, 'upper', digits)}"
        value += [" ", element("span", bounds, class_="interval")]
    return value


def _pictures(run: RunReport) -> Markup | None:
    """The run's pictures: those of all methods, and of each method in turn."""
    methods, kinds = [method.name for method in run.methods], list(_CAPTIONS)

    def rank(path: pathlib.Path) -> tuple[int, int, str]:
        method, kind = _method_of(path, methods), _kind_of(path)
        own = methods.index(method) if method else -1
        return own, kinds.index(kind) if kind else len(kinds), path.name

    pictures = [_picture(path, _method_of(path, methods)) for path in sorted(run.figures, key=rank)]
    return element("div", pictures, class_="pictures") if pictures else None


def _method_of(path: pathlib.Path, methods: Sequence[str]) -> str:
    """The method that a picture is of, whose name its own begins with; "" of one of all methods."""
    fitting = [method for method in methods if path.name.startswith(f"{method}_")]
    return max(fitting, key=len, default="")


def _kind_of(path: pathlib.Path) -> str:
    """The key of `_CAPTIONS` for a picture, "" of one that only some runs have."""
    return next((end for end in _CAPTIONS if path.name.endswith(end)), "")


def _picture(path: pathlib.Path, method: str) -> Markup:
    where = element("span", f"figures/{path.name}", class_="unit")
    if path.stat().st_size > _MOST_BYTES:
        text = "This picture is too large to be shown here: "
        return element("figure", element("figcaption", text, where))
    content = path.read_bytes()
    caption = _CAPTIONS.get(_kind_of(path), "")
    label = method if caption else path.stem.replace("_", " ")
    source = f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(content).decode()}"
    image = element("img", src=source, alt=f"{label} {caption}".strip())
    name = element("strong", f"{label}: " if caption else f"{label}. ") if label else None
    return element(
        "figure",
        element("div", image, class_="scroll"),
        element("figcaption", name, caption, " ", where),
        class_="wide" if _is_wide(content) else None,
    )


def _is_wide(content: bytes) -> bool:
    """Whether a PNG or GIF is of several panels side by side, by the size that it begins with."""
    if content.startswith(b"GIF"):
        width, height = struct.unpack("<HH", content[6:10].ljust(4, b"\0"))
    else:
        width, height = struct.unpack(">II", content[16:24].ljust(8, b"\0"))
    return width > 1.9 * height


def _incidents(run: RunReport) -> Markup:
    parts = []
    if run.failure:
        parts.append(element("div", run.failure, class_="callout bad", role="alert"))
    if run.incidents:
        heading = ["What", "Method", "Seed", "How often"]
        body = [(what, [method, seed, f"{n:,}"]) for what, method, seed, n in run.incidents]
        parts.append(_table(None, heading, body, None, class_="words"))
    if not parts:
        parts.append(element("p", "Nothing: every update of every seed was finite and was made."))
    return joined(parts)


def _training(run: RunReport) -> Markup:
    heading = [
        *("", "Learner", "Iterations", "Steps in the environment", "Time", "XLA"),
    ]
    body = []
    for method in run.methods:
        known = [seconds for seconds in method.seconds if seconds is not None]
        time = _duration(sum(known) / len(known)) if known else "not known"
        done = f"{method.num_iterations:,}"
        if min(method.done) < method.num_iterations:
            done = f"{sum(method.done):,} of {len(method.done)} \N{MULTIPLICATION SIGN} {done}"
        cells = [method.learner, done, f"{method.environment_steps:,}", time]
        if method.num_iterations:
            body.append((method.name, [*cells, "yes" if method.jit_compile else "no"]))
        else:
            body.append((method.name, [method.learner, "not trained", "", "", ""]))
    caption = "With each seed; steps are at most so many, and time is the mean over seeds"
    return _table(caption, heading, body, "value")


def _settings(run: RunReport) -> list[Markup]:
    return [part for title, settings in run.settings.items() for part in _group(title, settings)]


def _group(title: str, settings: Sequence[Setting]) -> list[Markup]:
    """Settings that differ from their defaults, and the others where they don't get in the way."""
    plain = [each for each in settings if not each.has_default]
    changed = [each for each in settings if each.changed]
    kept = [each for each in settings if each.has_default and not each.changed]
    parts = [element("h3", title)]
    if plain:
        rows = [(each.name, [_shown(each.value)]) for each in plain]
        parts.append(_table(None, ["Setting", "Value"], rows, None, class_="words settings"))
    if changed:
        rows = [(each.name, [_shown(each.value), _shown(each.default)]) for each in changed]
        heading = ["Setting that differs", "Value", "Default"]
        classes = "words settings"
        parts.append(_table(None, heading, rows, None, class_=classes, row_class="changed"))
    if kept:
        rows = [(each.name, [_shown(each.value)]) for each in kept]
        table = _table(None, ["Setting", "Default"], rows, None, class_="words settings")
        number = _count(len(kept), "setting")
        few = f"{number} at {'its default' if len(kept) == 1 else 'their defaults'}"
        parts.append(_details(few if changed or plain else f"All {few}", table))
    return parts


def _commands(run: RunReport) -> list[Markup]:
    return [
        part
        for what, command in run.commands
        for part in (element("h3", what), element("pre", element("code", command)))
    ]


def _made_with(run: RunReport) -> Markup:
    """What the run was begun with, and where that differs, what the report was written with."""
    begun, now = _readable(run.begun), _readable(run.now)
    names = list(now)
    same = all(begun.get(name) == now[name] for name in names)
    if same:
        return _table(
            None, ["", ""], [(name, [now[name]]) for name in names], None, class_="words settings"
        )
    heading = ["", "When the run was begun", "When this report was written"]
    rows = [(name, [begun.get(name, "not recorded"), now[name]]) for name in names]
    return _table(None, heading, rows, None, class_="words settings")


def _readable(record: dict[str, Any]) -> dict[str, str]:
    """A record of `provenance` in words; what is not as it should be is shown as it is."""
    machine = record.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    found = {}
    plain = {
        "Python": record.get("python"),
        "tfcaml": record.get("tfcaml"),
        "Commit of its code": record.get("commit", "") or "installed without git",
        "SHA-256 of its code": record.get("source_sha256"),
        "TensorFlow": record.get("tensorflow"),
        "tf-keras": record.get("tf-keras"),
        "TF-Agents": record.get("tf-agents"),
        "TensorFlow Probability": record.get("tensorflow-probability"),
        "NumPy": record.get("numpy"),
        "System": machine.get("system"),
        "CPU": machine.get("cpu"),
        "Cores": _cores(machine),
        "Memory": _memory(machine.get("memory_bytes")),
        "Accelerators": _accelerators(machine.get("accelerators")),
        "TensorFlow threads": _threads(machine),
    }
    for name, value in plain.items():
        found[name] = "not recorded" if value is None else str(value)[:300]
    return found


def _cores(machine: dict[str, Any]) -> str | None:
    cores, usable = machine.get("cores"), machine.get("usable_cores")
    if cores is None or cores == usable:
        return cores
    return f"{cores}, of which {usable} could be used"


def _memory(size: Any) -> str | None:
    return f"{size / 2**30:.1f} GiB" if isinstance(size, int) else size


def _accelerators(names: Any) -> str | None:
    if not isinstance(names, list):
        return names
    return ", ".join(map(str, names)) or "none"


def _threads(machine: dict[str, Any]) -> str | None:
    """Within an operation, and of operations at once."""
    told = machine.get("intra_op_threads"), machine.get("inter_op_threads")
    if None in told:
        return None
    if told == (0, 0):
        return "as many as TensorFlow chose"
    within, across = (each or "as many as TensorFlow chose" for each in told)
    return f"{within} within an operation, {across} for operations at once"


def _table(
    caption: str | None,
    heading: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Any]]],
    cell_class: str | None,
    class_: str | None = None,
    row_class: str | None = None,
) -> Markup:
    """A table that scrolls sideways within itself where it is wider than the page.

    Args:
      caption: what it is of, or None.
      heading: of each column.
      rows: the heading of each row, and its cells.
      cell_class, class_, row_class: for the style sheet.
    """
    head = None
    if any(heading):
        head = element("thead", element("tr", [element("th", x, scope="col") for x in heading]))
    body = [
        element(
            "tr",
            element("th", name, scope="row"),
            [element("td", cell, class_=cell_class) for cell in cells],
            class_=row_class,
        )
        for name, cells in rows
    ]
    table = element("table", head, element("tbody", body), class_=class_, aria_label=caption)
    title = element("p", caption, class_="caption") if caption else None
    return joined([title, element("div", table, class_="scroll")])


def _details(title: str, content: Any) -> Markup:
    """What is shown once its title is chosen."""
    return element("details", element("summary", title), content)


def _digits(rows: Iterable[dict[str, Any]]) -> int:
    """Digits after the point that tell something in a table of rows(value)."""
    return 2 if max((abs(row["value"]) for row in rows), default=0) < 10 else 1


def _number(row: dict[str, Any], key: str, digits: int) -> str:
    """A number of a row; bounds have as many digits as the value."""
    places = digits if abs(row["value"]) < 100 else 0
    return f"{row[key]:,.{places}f}".replace("-", "\N{MINUS SIGN}")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value or "(empty)"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "(none)"
    return str(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """3725.2 -> "1 h 2 min"."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours:,} h {minutes} min"
    if minutes:
        return f"{minutes} min {whole % 60} s"
    return f"{seconds:.1f} s"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
