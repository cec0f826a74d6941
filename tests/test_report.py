import csv
import io
import json
import re

import numpy as np

from tfcaml import report


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
    assert "equal_episodes" not in report.compare(methods, "other")["other - main"]
    methods["other"]["trial_episodes"] = 10
    assert "equal_episodes" not in report.compare(methods, "main")["main - other"]


def test_csv_has_a_row_per_method_seed_task_and_update():
    rows = list(csv.DictReader(io.StringIO(report.to_csv(report.summarize(_results(), "main")))))
    assert len(rows) == 2 * 3 * 2 * 3
    assert rows[0]["group"] == "1"


def test_text_names_every_method_and_pair():
    text = report.to_text(report.summarize(_results(), "main"))
    for words in ("Mean return", "Median return", "IQM return", "main - other", "equal episodes"):
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
