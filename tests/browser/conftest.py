"""A headless Chromium, run directories to look at, and where screenshots go."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from tests.browser.runs import CONFIGS

ROOT = pathlib.Path(__file__).parents[2]
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# What Chromium needs without a display, as root, in a container; and no services of its own.
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--window-size=1800,1400", "--disable-background-networking", "--disable-sync"),
)
# All elements of the page, also those inside of others that keep theirs to themselves.
_ELEMENTS = """
const found = [];
function walk(node) {
  for (const element of node.querySelectorAll("*")) {
    found.push(element);
    if (element.shadowRoot) walk(element.shadowRoot);
  }
}
walk(document);
"""


_SHOTS = pytest.StashKey[pathlib.Path]()


def pytest_terminal_summary(terminalreporter, config):
    if _SHOTS in config.stash:
        terminalreporter.write_line(f"screenshots  {config.stash[_SHOTS]}")


def pytest_collection_modifyitems(items):
    """All tests here need a browser, and are left out unless `-m browser` asks for them."""
    for item in items:
        if pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Browser:
    """A page in Chromium. `driver` is selenium's; `shots` the folder for screenshots."""

    def __init__(self, driver, shots):
        self.driver, self.shots = driver, shots

    def elements(self, expression):
        """What a JavaScript expression makes of `found`, an array of all elements of the page."""
        return self.driver.execute_script(f"{_ELEMENTS} return {expression};")

    def wait(self, expression, seconds=60):
        """The value of an expression of `elements`, as soon as it is neither empty nor false."""
        end = time.monotonic() + seconds
        while True:
            value = self.elements(expression)
            if value or time.monotonic() > end:
                return value
            time.sleep(0.2)

    def shoot(self, name):
        """Saves a screenshot."""
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))


@pytest.fixture(scope="session")
def browser(request):
    """A `Browser`; the tests are skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    driver_program = shutil.which("chromedriver")
    if program is None or driver_program is None:
        pytest.skip("chromium or chromedriver is not installed (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(driver_program))
    shots = pathlib.Path(tempfile.mkdtemp(prefix="tfcaml_screenshots_"))
    request.config.stash[_SHOTS] = shots
    yield Browser(driver, shots)
    driver.quit()


@pytest.fixture(scope="session")
def run(browser, tmp_path_factory):
    """(name in `CONFIGS`) -> the directory of a finished run, trained once by the launcher."""
    folder = tmp_path_factory.mktemp("runs")

    def trained(name):
        root = folder / name
        if not root.exists():
            config = folder / f"{name}.py"
            config.write_text(CONFIGS[name])
            arguments = [f"--config={config}", f"--root_dir={root}", "--nojit_compile"]
            command = [sys.executable, "-m", "launchers.train", *arguments]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        return root

    return trained
