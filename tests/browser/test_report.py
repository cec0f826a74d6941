"""The report of a run in a browser that has no network."""

import json

import pytest

from tests.browser.runs import CONFIGS

_BROKEN = """found.filter(e => e.localName == "img" && !(e.complete && e.naturalWidth > 0))
  .map(e => e.src.slice(0, 80))"""


@pytest.mark.parametrize("name", list(CONFIGS))
def test_a_report_needs_nothing_but_itself(name, run, browser):
    """No broken image, nothing that is fetched from elsewhere, nothing on the console."""
    page = run(name) / "report.html"
    browser.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        for log in ("browser", "performance"):
            browser.driver.get_log(log)  # of the pages before
        browser.driver.get(page.resolve().as_uri())
        assert browser.wait('document.readyState == "complete"')
        assert browser.elements(_BROKEN) == []
        assert browser.elements('found.filter(e => e.localName == "img").length') > 0
        browser.shoot(f"{name}_report")
        height = browser.elements("document.documentElement.scrollHeight")
        browser.driver.set_window_size(1800, min(height + 200, 12_000))
        browser.shoot(f"{name}_report_whole")
        browser.driver.set_window_size(1800, 1400)
        fetched = [url for url in _requests(browser.driver) if not url.startswith("data:")]
        assert fetched == [page.resolve().as_uri()]
        assert browser.driver.get_log("browser") == []
    finally:
        online = offline | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)


def _requests(driver):
    """The addresses of all that the page has asked for."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]
