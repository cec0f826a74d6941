"""Which job a free worker does."""

import collections

from tfcaml.experiments.jobs import JobQueue


class Stub(collections.namedtuple("Stub", ("method", "seed", "length", "episodes"))):
    """What `JobQueue` knows of a job."""

    @property
    def experiment(self):
        return self

    directory = type("", (), {"root": "run"})


def queue(**lengths):
    """Three seeds of each method."""
    jobs = [Stub(name, seed, length, 2) for name, length in lengths.items() for seed in range(3)]
    return JobQueue(jobs)


def group(method):
    return "run", method


def test_workers_begin_with_the_longest_methods_and_stay_with_them():
    jobs = queue(short=1, long=10, middle=5)
    first = jobs.take([], [])
    second = jobs.take([], [group("long")])
    assert (first.method, second.method) == ("long", "middle")
    assert [jobs.take([group("middle"), group("long")], [group("middle")]).seed for _ in "ab"] == [
        1,
        2,
    ]
    assert jobs.take([group("short"), group("long")], [group("middle")]).method == "short"
    assert jobs.take([group("long")], [group("middle")]).method == "short"  # nobody is at it
    assert len(jobs) == 9 - 6


def test_a_worker_helps_another_where_that_is_quicker_than_compiling():
    jobs = queue(only=10)
    first = jobs.take([], [])
    assert jobs.take([], [group("only")]).seed == 1  # nothing is known of times yet
    jobs.took(first, 30.0, compiled=True)
    jobs.took(first, 2.0, compiled=False)
    assert jobs.take([], [group("only")]) is None  # one job of two seconds waits
    jobs.took(first, 40.0, compiled=False)
    assert jobs.take([], [group("only")]).seed == 2
    assert jobs.take([], [group("only")]) is None and not len(jobs)


def test_a_job_that_was_lost_is_the_next_of_its_method():
    jobs = queue(only=10)
    first = jobs.take([], [])
    jobs.put_back(first)
    assert jobs.take([group("only")], []) == first
    jobs.took(first, 30.0, compiled=True)
    jobs.took(first, 1.0, compiled=False)
    assert jobs.take([group("another")], []).method == "only"  # nobody else is at it
