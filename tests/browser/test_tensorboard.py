"""What a user of TensorBoard sees of a run."""

import contextlib
import re
import subprocess
import sys
import threading

import pytest

from tests.browser.runs import CONFIGS

_CHARTS = """found.filter(e => e.localName.match(/^tf-custom-scalar-.*-card$/)).map(e => ({
  title: e.shadowRoot.querySelector("tf-card-heading").displayName || e.title || "",
  series: [...e.shadowRoot.querySelectorAll(".match-list-entry")].length,
  errors: e.shadowRoot.querySelectorAll(".error-content").length,
  drawn: [...e.shadowRoot.querySelector("tf-line-chart-data-loader").shadowRoot
    .querySelector("vz-line-chart2").shadowRoot.querySelectorAll("path.line")]
    .filter(path => path.getTotalLength() > 0).length,
}))"""
_CELLS = """found.filter(e => e.localName == "vaadin-grid-cell-content" && e.textContent.trim())
  .map(e => e.textContent.trim())"""


class TensorBoard:
    """A server of a directory. `url`: where; `errors`: lines of its error stream so far."""

    def __init__(self, directory):
        command = [sys.executable, "-m", "tensorboard.main", f"--logdir={directory}", "--port=0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.errors, self.url, started = [], None, threading.Event()

        def read():
            for line in self._process.stderr:
                self.errors.append(line.rstrip())
                if found := re.search(r"http://localhost:\d+/", line):
                    self.url = found[0]
                    started.set()
            started.set()

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        assert started.wait(120) and self.url, self.errors

    def close(self):
        self._process.terminate()
        self._process.wait()
        self._reader.join()


@contextlib.contextmanager
def serving(directory):
    server = TensorBoard(directory)
    try:
        yield server
    finally:
        server.close()


def kinds(lines):
    """Lines without what differs from start to start: times, process ids, ports."""
    return {re.sub(r"\d+", "0", line) for line in lines}


@pytest.fixture(scope="module")
def usual(browser, tmp_path_factory):
    """The lines that TensorBoard and TensorFlow print of any directory, such as an empty one."""
    with serving(tmp_path_factory.mktemp("empty")) as server:
        browser.driver.get(f"{server.url}#scalars")
        browser.wait('found.some(e => e.textContent.includes("No scalar data"))')
    return kinds(server.errors)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_pages_of_a_run(name, run, browser, usual):
    """Nothing odd on the error stream; charts with data; readable trials."""
    with serving(run(name)) as server:
        show = lambda page: browser.driver.get(f"{server.url}#{page}") or browser.driver.refresh()
        show("custom_scalars")
        assert browser.wait(f"{_CHARTS}.length > 0 && {_CHARTS}.every(chart => chart.drawn)")
        browser.shoot(f"{name}_custom_scalars")
        charts = browser.elements(_CHARTS)
        assert all(chart["series"] and not chart["errors"] for chart in charts), charts
        show("hparams")
        browser.wait(f"{_CELLS}.length > 7")
        browser.shoot(f"{name}_hparams")
        cells = browser.elements(_CELLS)
        columns = ["environment", "method", "seed"]
        columns += ["held-out return before", "held-out return after"]
        assert [cell for cell in cells if cell in columns] == columns
        trials = [cell for cell in cells if re.fullmatch(r"\w+, seed \d+", cell)]
        assert len(trials) == len(set(trials)) > 0
        for page in ("timeseries", "scalars", "images"):
            show(page)
            browser.wait("found.some(e => e.localName.match(/chart|tf-image-loader/))")
            browser.shoot(f"{name}_{page}")
    odd = {line for line in kinds(server.errors) - usual if "SIGTERM" not in line}
    assert not odd
