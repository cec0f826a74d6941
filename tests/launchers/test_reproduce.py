"""Studies but those of the CAML paper, which have a file of their own to run beside this one."""

import signal

import pytest

from launchers.studies import STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("study", sorted(name for name in STUDIES if not name.startswith("caml")))
def test_study_writes_its_results(study, check_study):
    if study.startswith("atari"):
        pytest.importorskip("ale_py")
    check_study(study)


def test_bad_study_is_one_line(tmp_path, run_all):
    cases = [["--study=figure2", f"--out_dir={tmp_path}"], ["--study=maml_sinusoid", "--seeds=0"]]
    cases[1].append(f"--out_dir={tmp_path}")
    (code, lines), (other, other_lines) = run_all("reproduce", cases)
    assert code == other == 2
    assert len(lines) == 1 and "caml_figure2" in lines[0]
    assert len(other_lines) == 1 and "seeds" in other_lines[0]


@pytest.mark.slow
def test_a_study_of_one_seed_says_that_it_has_no_intervals(tmp_path, run_all):
    arguments = ["--study=maml_sinusoid", f"--out_dir={tmp_path}", "--seeds=1", "--quick"]
    [(code, lines)] = run_all("reproduce", [arguments])
    assert code == 0, lines
    assert "one seed there are no intervals" in (tmp_path / "results.md").read_text()


@pytest.mark.slow
def test_ctrl_c_ends_a_study_wherever_it_is(tmp_path, stop_all):
    """Amid Keras and TensorFlow, too, which would turn an exception into one of their own."""
    times = [0.02, 0.11, 0.148, 0.19, 0.259, 0.4, 0.9, 1.33, 2.146]  # seconds
    cases = [
        {
            "arguments": [
                "--study=maml_navigation",
                f"--out_dir={tmp_path / str(after)}",
                *("--seeds=1", "--quick"),
            ],
            "when": str(tmp_path / str(after) / "study.json"),
            "after": after,
            "signals": [signal.SIGINT],
        }
        for after in times
    ]
    for code, lines in stop_all("reproduce", cases):
        assert code == 3, lines
        assert lines[-1] == "Stopped. The same command goes on with what is unfinished."
        assert not any("Traceback" in line for line in lines), lines


def test_a_directory_is_of_one_study_and_ctrl_c_is_one_line(tmp_path, stop_all, run_all):
    arguments = ["--study=maml_navigation", f"--out_dir={tmp_path}", "--seeds=1", "--quick"]
    when = str(tmp_path / "study.json")
    [(code, lines)] = stop_all(
        "reproduce", [{"arguments": arguments, "when": when, "signals": [signal.SIGINT]}]
    )
    assert code == 3, lines
    assert lines[-1] == "Stopped. The same command goes on with what is unfinished."
    assert not any("Traceback" in line for line in lines)
    others = [arguments[:-1], ["--study=maml_sinusoid", *arguments[1:]]]
    for code, lines in run_all("reproduce", others):
        assert code == 2 and len(lines) == 1
        assert "which holds the study maml_navigation run with --quick" in lines[0]
