"""The benchmark program at tiny sizes: what it writes and how it refuses, never how fast it is."""

import json
import pathlib

import pytest

from launchers.benchmarks import BENCHMARKS

ROOT = pathlib.Path(__file__).parents[2]
QUICK = "--quick", "--repeats=1"


@pytest.mark.slow
@pytest.mark.parametrize("workload", sorted(BENCHMARKS))
def test_workload_writes_its_figures(workload, tmp_path, run_all):
    out = tmp_path / "new" / "figures.json"
    [(code, lines)] = run_all("benchmark", [[f"--workload={workload}", f"--out={out}", *QUICK]])
    assert code == 0, lines
    printed = "\n".join(lines)
    result = json.loads(out.read_text())
    assert result["workload"] == workload and result["quick"]
    assert "These sizes only check the program: the numbers above mean nothing." in lines
    assert result["machine"]["cores"] >= 1 and "tensorflow" in result["versions"]
    for figures in result["figures"].values():
        assert figures["median_seconds"] > 0 and figures["first_run_seconds"] > 0
    for ratio in result["ratios"]:
        assert {ratio["fast"], ratio["slow"]} <= set(result["figures"])
        assert f"{ratio['fast']} / {ratio['slow']}" in printed
    for row in result.get("bars", []):
        assert f"{row['name']}: " in printed
    if workload == "maml_navigation":
        for details in result["details"].values():
            assert details["traces at the end"] == details["traces after 2 iterations"]
            assert details["outer, CPU s"] > 0 and details["peak memory, MiB"] > 0
    if workload == "glucose":
        assert result["checks"]["largest difference between tfcaml and SciPy, mg/dL"] < 0.1
    if workload == "divergence":
        assert result["checks"]["largest difference between tfcaml and SciPy"] < 1e-4


def test_bad_input_is_one_line(run_all):
    cases = {
        f"one of {', '.join(BENCHMARKS)}": ("--workload=sorting", "--out=x.json"),
        "expected out to be writable": ("--workload=divergence", f"--out={__file__}/x.json"),
        "expected --out to be a file": ("--workload=divergence", f"--out={ROOT}"),
    }
    for message, arguments in cases.items():
        [(code, lines)] = run_all("benchmark", [[*arguments, *QUICK]])
        assert code == 2 and len(lines) == 1, lines
        assert message in lines[0]
