import csv
import io
import json
import re

import numpy as np
import pytest

from tfcaml.errors import ConfigError
from tfcaml.reporting import report


def _results(num_seeds=3, updates=2, tasks=2, episodes=4):
    rng = np.random.default_rng(0)
    results = {}
    for method, trial_episodes in (("main", 10), ("other", 0)):
        results[method] = [
            {
                "seed": seed,
                "groups": [1, 0],
                "returns": rng.normal(size=[updates + 1, tasks, episodes]),
                "trial_episodes": trial_episodes,
                "episodes_per_update": 10,
            }
            for seed in range(num_seeds)
        ]
    return results


def test_summary_is_json_and_has_every_task():
    results = _results()
    summary = json.loads(json.dumps(report.summarize(results, "main")))
    main = summary["methods"]["main"]
    assert len(main["tasks"]) == 3 * 2
    expected = results["main"][1]["returns"][2, 1].mean()
    assert abs(main["tasks"][3]["returns"][2]["value"] - expected) < 1e-3
    assert set(main["summary"][0]) == {"mean", "median", "iqm"}


def test_equal_episodes_gives_the_others_the_updates_that_choosing_cost():
    results = _results()
    summary = report.summarize(results, "main")["paired"]["main - other"]
    means = {name: report.mean_returns(runs).mean(axis=2) for name, runs in results.items()}
    expected = (means["main"][:, 0] - means["other"][:, 1]).mean()
    assert abs(summary["equal_episodes"][0]["value"] - expected) < 1e-3
    assert summary["equal_episodes"][2] is None
    expected = (means["main"][:, 1] - means["other"][:, 1]).mean()
    assert abs(summary["same_update"][1]["value"] - expected) < 1e-3


def test_equal_episodes_count_what_the_other_spends_on_trials_too():
    methods = report.summarize(_results(), "main")["methods"]
    rows = report.compare(methods, "other")["other - main"]["equal_episodes"]
    assert [row["other_update"] for row in rows] == [0, 0, 1]
    methods["other"]["trial_episodes"] = 10
    assert "equal_episodes" not in report.compare(methods, "main")["main - other"]


@pytest.mark.parametrize("main_batch", [5, 10, 40])
@pytest.mark.parametrize("other_batch", [5, 10, 40])
@pytest.mark.parametrize("main_trials, other_trials", [(0, 0), (10, 0), (0, 10), (7, 0), (10, 4)])
def test_equal_episodes_whatever_the_batches(main_batch, other_batch, main_trials, other_trials):
    """The other is taken at its first update with as many episodes as main has, or more."""
    updates = 8
    # A mean return that tells by which update it was reached.
    returns = np.tile(100.0 * np.arange(updates + 1)[None, :, None], [3, 1, 2])
    row = lambda trials, batch: {
        "returns": returns,
        "trial_episodes": trials,
        "episodes_per_update": batch,
    }
    methods = {"main": row(main_trials, main_batch), "other": row(other_trials, other_batch)}
    found = report.compare(methods, "main")["main - other"]
    if (main_trials, main_batch) == (other_trials, other_batch):
        assert set(found) == {"same_update"}
        return
    played = [other_trials + other_batch * update for update in range(updates + 1)]
    assert len(found["equal_episodes"]) == updates + 1
    for update, row in enumerate(found["equal_episodes"]):
        episodes = main_trials + main_batch * update
        enough = [v for v in range(updates + 1) if played[v] >= episodes]
        if not enough:
            assert row is None
            continue
        assert row["other_update"] == enough[0]
        assert (row["episodes"], row["other_episodes"]) == (episodes, played[enough[0]])
        assert row["value"] == 100 * (update - enough[0])


def test_no_update_with_as_many_episodes_favours_the_other():
    results = _results()
    for run in results["other"]:
        run["episodes_per_update"] = 40
    rows = report.summarize(results, "main")["paired"]["main - other"]["equal_episodes"]
    assert [(row["episodes"], row["other_episodes"]) for row in rows] == [
        (10, 40),
        (20, 40),
        (30, 40),
    ]
    text = report.to_text(report.summarize(results, "main"))
    assert re.search(r"episodes +10 / 40 +20 / 40 +30 / 40$", text, re.M)


def test_text_marks_what_remains_of_many_comparisons():
    results = _results(num_seeds=5)
    for run in results["main"]:
        run["returns"][0] += 50  # before the first update main leads by far
    summary = report.summarize(results, "main")
    text = report.to_text(summary)
    same, equal = (
        next(line for line in text.splitlines() if line.startswith(f"  {kind}"))
        for kind in ("same update", "equal episodes")
    )
    assert [cell.count("*") for cell in same.split("]")[1:]] == [1, 0, 0]
    assert equal.count("*") == 1
    assert "of these 5, 0.2 are expected to miss" in text  # one of six was not measured
    assert "Holm's correction for 5 comparisons" in text
    assert "cover 92 to 98 %" in text
    rows = summary["paired"]["main - other"]["same_update"]
    assert report.surviving([{"p_value": 0.02}, None, {"p_value": 0.03}]) == ["*", "", "*"]
    assert report.surviving([{"p_value": 0.03}, {"p_value": None}, {"p_value": 0.04}]) == 3 * [""]
    assert rows[0]["p_value"] < 0.001
    assert "cover" not in report.to_text(report.summarize(_results(num_seeds=2), "main"))


def test_csv_has_a_row_per_method_seed_task_and_update():
    rows = list(csv.DictReader(io.StringIO(report.to_csv(report.summarize(_results(), "main")))))
    assert len(rows) == 2 * 3 * 2 * 3
    assert rows[0]["group"] == "1"


def test_named_test_sets_are_reported_each_for_itself():
    results = _results()
    for runs in results.values():
        for run in runs:
            run["test_set"] = np.array(["near", "far"])
    summary = report.summarize(results, "main")
    row = summary["methods"]["main"]
    returns = np.array(row["returns"])  # [S, U + 1, Q]
    assert set(row["sets"]) == {"near", "far"}
    for q, name in enumerate(("near", "far")):
        means = [x["mean"]["value"] for x in row["sets"][name]]
        np.testing.assert_allclose(means, returns[:, :, q].mean(axis=0), atol=1e-3)
    assert "test tasks of set 'far'" in report.to_text(summary)
    rows = list(csv.DictReader(io.StringIO(report.to_csv(summary))))
    assert {(row["task"], row["set"]) for row in rows} == {("0", "near"), ("1", "far")}
    assert "sets" not in report.summarize(_results(), "main")["methods"]["main"]


def test_tables_call_only_what_training_has_not_seen_held_out():
    summary = report.summarize(_results(), "main")
    for seen, tasks in report.TASKS.items():
        assert f"Mean return on {tasks} after k" in report.to_text({**summary, "seen": seen})
    assert "Mean return on held-out entities after k" in report.to_text(summary)


def test_a_named_test_set_is_as_large_with_every_seed():
    results = _results()
    for runs in results.values():
        for run in runs:
            run["test_set"] = np.array(["near", "far" if run["seed"] else "near"])
    with pytest.raises(
        ConfigError, match=r"set 'far' to be the same number with every seed; .*\[0, 1, 1\]"
    ):
        report.summarize(results, "main")


def test_text_speaks_of_intervals_only_where_there_are_some():
    for seeds, several in ((1, False), (2, False), (3, True)):
        text = report.to_text(report.summarize(_results(num_seeds=seeds), "main"))
        assert ("interval" in text) == several, seeds


def test_text_names_every_method_and_pair():
    text = report.to_text(report.summarize(_results(), "main"))
    for words in (
        "Mean return",
        "Median return",
        "Interquartile mean of the return",
        "main - other",
        "equal episodes",
    ):
        assert words in text


def test_one_seed_has_null_intervals():
    summary = report.summarize(_results(num_seeds=1), "main")
    assert summary["methods"]["main"]["summary"][0]["mean"]["lower"] is None
    report.to_text(summary)


def test_small_returns_are_read_to_two_digits():
    results = _results()
    text = report.to_text(report.summarize(results, "main"))
    assert re.search(r"^main +-?0\.\d\d \[", text, re.M)
    for runs in results.values():
        for run in runs:
            run["returns"] -= 50
    text = report.to_text(report.summarize(results, "main"))
    assert re.search(r"^main +-\d\d\.\d \[", text, re.M) and not re.search(r"\.\d\d", text)


def _long_names(number=9):
    return [f"a_method_with_a_long_name_of_its_own_{index}" for index in range(number)]


@pytest.mark.parametrize("scale, offset", [(1, 0), (500, -300), (1e5, -1e6)])
def test_tables_fit_the_terminal_and_csv_has_the_rest(scale, offset):
    """Nine methods with long names, named sets and six updates, in returns of any size."""
    rng = np.random.default_rng(0)
    sets = np.array(["near", "far away", "unlike anything that was seen in training"])
    run = lambda seed, trials: {
        "seed": seed,
        "groups": [0, 1, 2],
        "returns": offset + scale * rng.normal(size=[6, 3, 4]),
        "trial_episodes": trials,
        "episodes_per_update": 10,
        "test_set": sets,
    }
    names = _long_names()
    results = {n: [run(seed, 10 * (n == names[0])) for seed in range(10)] for n in names}
    summary = report.summarize(results, names[0])
    text = report.to_text(summary)
    assert max(map(len, text.splitlines())) <= 100
    for head in re.findall(r"^ *k = .*$", text, re.M):  # of each table: the first and the last
        assert head.split()[2] == "0" and head.split()[-1] == "5"
    assert set(names) <= set(text.split()) and "eval/tables.csv" in text
    rows = list(csv.DictReader(io.StringIO(report.tables_to_csv(summary))))
    find = lambda **about: [r for r in rows if about.items() <= r.items()]
    for statistic in ("mean", "median", "iqm"):
        for which in ("", *sets):
            found = find(statistic=statistic, set=which, method=names[3], comparison="")
            assert [row["update"] for row in found] == list("012345")
    [row] = find(comparison="equal_episodes", method=f"{names[0]} - {names[4]}", update="2")
    expected = summary["paired"][f"{names[0]} - {names[4]}"]["equal_episodes"][2]
    assert {name: row[name] for name in expected} == {k: str(v) for k, v in expected.items()}


def test_short_tables_leave_nothing_out():
    text = report.to_text(report.summarize(_results(), "main"))
    assert re.search(r"^ +k = 0 +k = 1 +k = 2$", text, re.M) and "tables.csv" not in text
    assert max(map(len, text.splitlines())) <= 100
