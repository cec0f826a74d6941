"""report.html is complete, loads nothing, and shows text as text whatever is in it."""

import base64
import dataclasses
import re

import pytest

from tests.reporting.run_reports import picture, read_page, run_report, summary_of
from tfcaml.reporting.run_report import Setting, TrainedMethod, to_html


def test_all_is_there(tmp_path):
    figures = [picture(tmp_path / name) for name in ("adaptation.gif", "caml_training.png")]
    run = run_report(
        notice="Research use only.",
        figures=figures,
        incidents=[("Updates skipped", "caml", 1, 1234)],
    )
    page = read_page(to_html(run))
    for text in (
        *("caml on particle", "Research use only.", "2020-01-02 03:04 UTC", "0 to 2"),
        *("k = 0", "k = 2", "caml - reptile", "of 3 seeds", "Medians and interquartile means"),
        *("Differences at equal episodes", "Holm", "95 % interval"),
        *("Updates skipped", "1,234", "1 min 0 s", "num_iterations 20 10", "bandwidth 0.5"),
        *("1 setting at its default", "tfcaml evaluate --root_dir=runs/a", "num_seeds 3"),
        *("a" * 40, "b" * 40, "Some CPU", "figures/adaptation.gif", "figures/caml_training.png"),
    ):
        assert text in page.text, text
    assert [len(page.of(name)) for name in ("h1", "img", "main", "nav")] == [1, 2, 1, 1]
    assert page.of("meta")[-1]["name"] == "viewport" and page.of("html") == [{"lang": "en"}]


def test_numbers_are_those_of_the_summary():
    run = run_report()
    text = read_page(to_html(run)).text.replace("\N{MINUS SIGN}", "-").replace(",", "")
    for values in run.summary["methods"].values():
        for row in values["summary"]:
            for statistic in ("mean", "median", "iqm"):
                cell = row[statistic]
                value, lower, upper = (
                    f"{cell[key]:.{0 if abs(cell['value']) >= 100 else 1}f}"
                    for key in ("value", "lower", "upper")
                )
                assert f"{value} {lower} to {upper}" in text
    for kinds in run.summary["paired"].values():
        for row in kinds["same_update"]:
            assert f"{row['seeds_won']} of 3 seeds" in text


def test_pictures_are_embedded_whole_and_in_a_fixed_order(tmp_path):
    names = ["trajectories.png", "b_policy_map.png", "adaptation.png", "adaptation.gif", "a_x.png"]
    figures = [picture(tmp_path / name) for name in names]
    document = to_html(run_report(figures=figures))
    assert document == to_html(run_report(figures=figures[::-1]))
    page = read_page(document)
    order = ["adaptation.gif", "adaptation.png", "trajectories.png", "a_x.png", "b_policy_map.png"]
    for name, image in zip(order, page.of("img"), strict=True):
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", image["src"]).groups()
        path = tmp_path / name
        assert path.suffix == f".{kind}" and base64.b64decode(data) == path.read_bytes()
        assert image["alt"]


def test_a_huge_picture_is_named_and_not_embedded(tmp_path):
    path = picture(tmp_path / "huge.png")
    with open(path, "ab") as file:
        file.truncate(2**25)
    page = read_page(to_html(run_report(figures=[path])))
    assert not page.of("img") and "figures/huge.png" in page.text and "too large" in page.text


def test_named_sets_have_tables_of_their_own():
    document = to_html(run_report(summary=summary_of(sets=("near", "far"))))
    page = read_page(document)
    for name in ("near", "far"):
        assert f"test tasks of set “{name}”" in page.text
    assert "of set" not in read_page(to_html(run_report())).text


def test_few_seeds_and_methods_and_updates():
    """What is missing is not spoken of."""
    page = read_page(to_html(run_report(summary=summary_of(num_seeds=1))))
    assert "from three seeds on" in page.text and "with 95 % interval" not in page.text
    alone = summary_of(("caml",), num_updates=0)
    page = read_page(to_html(run_report(summary=alone)))
    assert "Differences" not in page.text and "k = 1" not in page.text
    assert "before any update" not in page.text


def test_a_run_without_an_evaluation_says_how_far_it_is():
    method = TrainedMethod("caml", "CAML", 20, (20, 5), 1000, (60.0, None), False)
    run = run_report(
        methods=[method], summary=None, evaluation_seconds=None, failure="It broke <b>"
    )
    page = read_page(to_html(run))
    assert "Stopped after 25 of 40 training iterations" in page.text
    assert "25 of 2 \N{MULTIPLICATION SIGN} 20" in page.text and "It broke <b>" in page.text
    assert "#results" not in {link["href"] for link in page.of("a")}
    done = dataclasses.replace(method, done=(20, 20))
    page = read_page(to_html(dataclasses.replace(run, methods=[done], failure="")))
    assert "Trained, and not evaluated yet." in page.text and "Nothing: every update" in page.text


def test_settings_that_differ_are_marked_and_the_others_folded():
    settings = [
        *(Setting("a", 1, 1, True), Setting("b", (1, 2), (), True), Setting("c", "", "x", True)),
        *(Setting("d", None, None, True), Setting("e", float("inf"), 1.0, True)),
    ]
    page = read_page(to_html(run_report(settings={"One": settings})))
    assert "b 1, 2 (none) c (empty) x e inf 1.0" in page.text
    assert "2 settings at their defaults" in page.text
    assert len([row for row in page.of("tr") if row.get("class") == "changed"]) == 3
    page = read_page(to_html(run_report(settings={"One": settings[:1]})))
    assert "All 1 setting at its default" in page.text


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title></main><base href=//evil.example>",
    "javascript:alert(1)",
    "&lt;b&gt; \x00 \x1b[31m \ud800",
    "{{7*7}} ${7*7} %s {0}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_text(text, tmp_path):
    """In every place where a string of a config, a run directory or a plugin may end up."""
    shown = " ".join(re.sub("[\x00\x1b\ud800]", "\ufffd", text).split())
    method = TrainedMethod(text, text, 20, (20,), 1000, (60.0,), True)
    machine = dict.fromkeys(("system", "cpu", "cores", "memory_bytes", "accelerators"), text)
    threads = {"intra_op_threads": text, "inter_op_threads": text}
    names = ("python", "tfcaml", "commit", "source_sha256", "tensorflow", "numpy")
    run = run_report(
        environment=text,
        notice=text,
        methods=[method],
        summary=summary_of((text, "b"), sets=(text, "far")),
        incidents=[(text, text, text, 1)],
        failure=text,
        settings={
            text: [Setting(text, text, text, True), Setting(text, text), Setting("l", [text])]
        },
        commands=[(text, text)],
        begun=dict.fromkeys(names, text) | {"machine": machine | threads},
        figures=[picture(tmp_path / (re.sub("[\x00/\ud800]", "", text)[:80] + ".png"))],
        written=text,
    )
    plain = read_page(to_html(run_report(figures=[picture(tmp_path / "a.png")])))
    document = to_html(run)
    document.encode()
    page = read_page(document)
    assert page.text.count(shown) > 25
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"div"}


@pytest.mark.parametrize("machine", [None, [], "x", {}, {"cores": {}, "accelerators": 3}])
def test_a_record_of_any_kind_is_shown(machine):
    begun = {"machine": machine, "python": ["3"], "commit": {"a": 1}}
    assert "not recorded" in read_page(to_html(run_report(begun=begun))).text
    assert "not recorded" in read_page(to_html(run_report(begun={}))).text


def test_equal_records_are_one_column():
    now = {"python": "3.11.7", "commit": None, "machine": {"cores": 4, "usable_cores": 2}}
    page = read_page(to_html(run_report(begun=now, now=now)))
    assert "was begun" not in page.text and "installed without git" in page.text
    assert "4, of which 2 could be used" in page.text


def test_it_is_the_same_every_time():
    assert to_html(run_report()) == to_html(run_report())
