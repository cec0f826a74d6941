"""A `RunReport` of made-up values, and how a test reads the HTML that becomes of it."""

import html.parser
import io

import numpy as np
from PIL import Image

from tfcaml.reporting import report
from tfcaml.reporting.run_report import RunReport, Setting, TrainedMethod

_WITHOUT_END = ("img", "meta", "col")
_LOADING = ("script", "link", "iframe", "object", "embed", "base", "form", "video", "audio")


class Page(html.parser.HTMLParser):
    """What a document holds; refuses one whose elements are not closed in turn.

    Attributes:
      text: all that is shown.
      tags: [(name, dict of attributes)].
    """

    def __init__(self, document):
        super().__init__()
        self._open, self._texts, self.tags = [], [], []
        self.feed(document)
        self.close()
        assert not self._open, self._open
        self.text = " ".join("".join(self._texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _WITHOUT_END:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, (tag, self._open)
        self._texts.append(" ")

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self._texts.append(data)

    def of(self, name):
        """Attributes of all elements of a name."""
        return [attributes for tag, attributes in self.tags if tag == name]


def read_page(document):
    """The `Page` of a document that loads nothing and runs nothing, or an error."""
    page = Page(document)
    assert not [tag for tag, _ in page.tags if tag in _LOADING]
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "srcset", "data", "action"):
            if name in attributes:
                assert attributes[name].startswith("data:image/" if tag == "img" else "#")
    assert "url(" not in document and "@import" not in document
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.of("a")} <= {f"#{each}" for each in ids}
    return page


def picture(path):
    """Writes a small picture of the kind that the path's suffix says."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, path.suffix[1:])
    path.write_bytes(buffer.getvalue())
    return path


def summary_of(names=("caml", "reptile"), num_seeds=3, sets=(), num_updates=2):
    """Of an evaluation: `report.summarize` with what an experiment adds."""
    rng = np.random.default_rng(0)
    runs = {
        name: [
            {
                "seed": seed,
                "groups": np.array([0, 1]),
                "test_set": np.array(sets),
                "returns": -rng.uniform(10, 300, [num_updates + 1, 2, 4]),
                "trial_episodes": 10 * (name == names[0]),
                "episodes_per_update": 10,
                "bad_updates": np.zeros(2, int),
            }
            for seed in range(num_seeds)
        ]
        for name in names
    }
    counts = {"num_tasks": 2, "num_updates": num_updates, "episodes": 4}
    return counts | report.summarize(runs, names[0])


def run_report(**changes):
    method = lambda name: TrainedMethod(
        name, name.title(), 20, (20, 20, 20), 1000, (60.0,) * 3, True
    )
    settings = [Setting("num_iterations", 20, 10, True), Setting("bandwidth", 0.5, 0.5, True)]
    content = {
        "environment": "particle",
        "notice": "",
        "methods": [method("caml"), method("reptile")],
        "seeds": (0, 1, 2),
        "summary": summary_of(),
        "evaluation_seconds": 12.0,
        "figures": [],
        "incidents": [],
        "failure": "",
        "settings": {"Study": [Setting("num_seeds", 3)], "Method caml": settings},
        "commands": [("Evaluate it again", "tfcaml evaluate --root_dir=runs/a")],
        "begun": {"python": "3.11.7", "commit": "a" * 40, "machine": {"cpu": "Some CPU"}},
        "now": {"python": "3.11.7", "commit": "b" * 40, "machine": {"cpu": "Some CPU"}},
        "written": "2020-01-02 03:04 UTC",
    }
    return RunReport(**content | changes)
