"""The list of mutations fits the package; `make test-mutations` runs it."""

import pathlib

import pytest

from tests.mutations import run
from tests.mutations.mutations import MUTATIONS, Mutation

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.file}: {m.old}")
def test_the_line_is_there_once_and_the_tests_exist(mutation):
    text = (ROOT / "tfcaml" / mutation.file).read_text()
    changed = run.mutated(text, mutation)
    compile(changed, mutation.file, "exec")
    lines = zip(text.splitlines(), changed.splitlines(), strict=True)
    assert sum(before != after for before, after in lines) == 1
    assert (ROOT / run.test_file(mutation.tests)).is_file()


def test_no_mutation_is_listed_twice():
    assert len({(m.file, m.old, m.new) for m in MUTATIONS}) == len(MUTATIONS) >= 50


def test_a_line_that_is_not_there_once_is_refused():
    for old in ("not there", "return", "a\nb"):
        with pytest.raises(ValueError, match="not once"):
            run.mutated("return a\nb\nreturn c\n", Mutation("x.py", old, "", ""))


def test_the_report_counts_what_was_found():
    one, other = MUTATIONS[:2]
    text = run.report([(one, "noticed", "tests/test_a.py::test"), (other, "missed", "exit code 0")])
    assert "2 mutations: 1 noticed, 1 missed." in text and one.old in text
