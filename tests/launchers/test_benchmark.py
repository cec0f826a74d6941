"""The benchmark program at tiny sizes: what it writes and how it refuses, never how fast it is."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from launchers.workloads import WORKLOADS

ROOT = pathlib.Path(__file__).parents[2]


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "launchers.benchmark", "--quick", "--repeats=1", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_workload_writes_its_figures(workload, tmp_path):
    out = tmp_path / "new" / "figures.json"
    done = _run(f"--workload={workload}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["workload"] == workload and result["quick"]
    assert result["machine"]["cores"] >= 1 and "tensorflow" in result["versions"]
    for figures in result["figures"].values():
        assert figures["median_seconds"] > 0 and figures["first_run_seconds"] > 0
    for ratio in result["ratios"]:
        assert {ratio["fast"], ratio["slow"]} <= set(result["figures"])
        assert f"{ratio['fast']} / {ratio['slow']}" in done.stdout
    for row in result.get("bars", []):
        assert f"{row['name']}: " in done.stdout
    if workload == "maml_navigation":
        for details in result["details"].values():
            assert details["traces at the end"] == details["traces after 2 iterations"]
            assert details["outer, CPU s"] > 0 and details["peak memory, MiB"] > 0
    if workload == "glucose":
        assert result["checks"]["largest difference between tfcaml and SciPy, mg/dL"] < 0.1
    if workload == "divergence":
        assert result["checks"]["largest difference between tfcaml and SciPy"] < 1e-4


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("--workload=sorting", "--out=x.json"), f"one of {', '.join(WORKLOADS)}"),
        (("--workload=divergence", f"--out={__file__}/x.json"), "expected out to be writable"),
        (("--workload=divergence", f"--out={ROOT}"), "expected --out to be a file"),
    ],
)
def test_bad_input_is_one_line(arguments, line):
    done = _run(*arguments)
    assert done.returncode == 2
    assert line in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
