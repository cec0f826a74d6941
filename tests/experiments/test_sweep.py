"""Sweeps: their points, and the table of what they found."""

import csv
import io

import pytest

from tfcaml.errors import ConfigError
from tfcaml.experiments import sweep

CONTENT = {
    "seeds": 2,
    "name": "one",
    "learner": {"rate": 0.5, "steps": 3, "on": False, "layers": (8,), "free": None},
}


def of(*texts):
    return sweep.points(CONTENT, sweep.parsed(texts))


def test_points_are_all_combinations():
    points = of("learner.rate=0.1,1", "learner.layers=(4,),(4,8)")
    assert [point.name for point in points] == [
        "rate=0.1,layers=4",
        "rate=0.1,layers=4-8",
        "rate=1.0,layers=4",
        "rate=1.0,layers=4-8",
    ]
    assert points[1].content["learner"] == {**CONTENT["learner"], "rate": 0.1, "layers": (4, 8)}
    assert CONTENT["learner"]["rate"] == 0.5  # as it was


def test_values_have_the_types_of_their_fields():
    values = lambda text: [next(iter(point.values.values())) for point in of(text)]
    assert values("learner.steps=1,2") == [1, 2]
    assert values("learner.on=true,False") == [True, False]
    assert values("name=1,b") == ["1", "b"]
    assert values("learner.free=3,'a'") == [3, "a"]
    assert type(values("learner.rate=1")[0]) is float


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["learner.rate"], "expected sweep to be FIELD=VALUE,VALUE"),
        (["learner.rate="], "expected sweep to be FIELD=VALUE,VALUE"),
        (["learner.rate=1,,2"], "without empty values"),
        (["learner.rate=1,1"], "of values that differ"),
        (["learner.rate=1,1.0"], "of values that differ"),
        (["learner.rate=1", "learner.rate=2"], "given once for each field"),
        (
            ["learner.rat=1"],
            r"'learner\.rat'; did you mean learner\.rate\? allowed are learner\.free",
        ),
        (["learner.rate.x=1"], r"'learner\.rate\.x'; allowed are learner\.rate$"),
        (["learner=maml"], r"expected a field of learner, such as learner\.rate"),
        (["learner.rate=fast"], r"learner\.rate to be a number, such as 0\.5; received 'fast'"),
        (["learner.steps=1.5"], "to be a whole number, such as 3; received '1.5'"),
        (["learner.on=2"], "to be true or false, such as False; received '2'"),
        (["learner.layers=(4"], r"to be a list in brackets, such as \(8,\); received '\(4'"),
        (["learner.layers=4"], r"to be a list in brackets, such as \(8,\); received '4'"),
        (["seeds=" + ",".join(map(str, range(1001)))], "points to be <= 1000"),
    ],
)
def test_bad_sweeps_are_refused_in_a_line(texts, message):
    with pytest.raises(ConfigError, match=message) as found:
        of(*texts)
    assert "\n" not in str(found.value)


def test_a_directory_is_of_one_kind_of_sweep(tmp_path):
    root = tmp_path / "new" / "sweep"
    sweep.begin(root, {"a": ["1"], "b": ["2"]})
    sweep.begin(root, {"b": ["3"], "a": ["1"]})  # other values of the same fields
    with pytest.raises(
        ConfigError, match=r"expected root_dir to be that of a sweep of a; received"
    ):
        sweep.begin(root, {"a": ["1"]})
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected root_dir to be new, empty or that of a sweep"):
        sweep.begin(tmp_path, {"a": ["1"]})


def _summary(value, spread):
    mean = lambda x: {"mean": {"value": x, "lower": x - spread, "upper": x + spread}}
    return {"methods": {name: {"summary": [mean(value), mean(2 * value)]} for name in ("m", "n")}}


def test_tables_have_each_point_and_method():
    points = of("learner.rate=0.1,1")
    table = sweep.Table(points, [_summary(3.0, 1.0), _summary(40.0, 2.0)])
    lines = table.to_text().splitlines()
    title = "Mean return on held-out entities after k updates [95 % interval over seeds]"
    assert lines[0] == title
    assert lines[1].split() == ["rate", "method", "k", "=", "0", "k", "=", "1"]
    assert lines[2].split(maxsplit=2)[:2] == ["0.1", "m"] and "6.0 [5.0, 7.0]" in lines[2]
    seen = sweep.Table(points, [{**_summary(3.0, 1.0), "seen": "all"}] * 2)
    assert seen.to_text().startswith("Mean return on test tasks (all trained on) after k updates")
    markdown = table.to_markdown().splitlines()
    assert markdown[0] == f"{title}."
    assert markdown[2] == "| rate | method | k = 0 | k = 1 |"
    assert markdown[-1] == "| 1.0 | n | 40.0 [38.0, 42.0] | 80.0 [78.0, 82.0] |"
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(rows) == 2 * 2 * 2
    assert rows[1] == {
        **{"learner.rate": "0.1", "method": "m", "update": "1"},
        **{"mean": "6.0", "lower": "5.0", "upper": "7.0"},
    }
    axes = table.picture().axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "1.0"]
    assert axes.get_xlabel() == "rate"
