"""The studies at tiny sizes: what they write, never what they find."""

import json

import pytest

from launchers.studies import STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("study", sorted(STUDIES))
def test_study_writes_its_results(study, tmp_path, run_all):
    arguments = [f"--study={study}", f"--out_dir={tmp_path}", "--seeds=2", "--quick"]
    [(code, lines)] = run_all("reproduce", [arguments])
    assert code == 0, lines
    results = json.loads((tmp_path / "results.json").read_text())
    first, second = results["seeds"]
    assert results["study"] == study and second == first + 1
    assert "--quick" in results["command"]
    text = (tmp_path / "results.md").read_text()
    assert "|---" in text and results["command"] in text
    assert list(tmp_path.glob("*.png"))


def test_bad_study_is_one_line(tmp_path, run_all):
    cases = [["--study=figure2", f"--out_dir={tmp_path}"], ["--study=maml_sinusoid", "--seeds=0"]]
    cases[1].append(f"--out_dir={tmp_path}")
    (code, lines), (other, other_lines) = run_all("reproduce", cases)
    assert code == other == 2
    assert len(lines) == 1 and "caml_figure2" in lines[0]
    assert len(other_lines) == 1 and "seeds" in other_lines[0]
