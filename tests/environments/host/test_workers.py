"""Threads that make environments, call them and close them."""

import gc
import threading

import numpy as np
import pytest

from tests.environments.conftest import wait_for
from tfcaml.environments.host.calls import Start
from tfcaml.environments.host.workers import Crew

SPECS = [((), np.dtype(np.float32))]


class Recorder:
    """What is made and called, in which thread. An action is called, if it can be."""

    def __init__(self):
        self.log = []
        self.threads = {threading.get_ident()}

    def set_task(self, task):
        self.threads.add(threading.get_ident())

    def reset(self, seed):
        self.log = [seed]
        return 0.5

    def step(self, action):
        self.threads.add(threading.get_ident())
        self.log.append(action)
        return (action() if callable(action) else action), 1.0, False, False

    def close(self):
        self.log.append("closed")
        self.threads.add(threading.get_ident())


@pytest.fixture
def recorders():
    """The `Recorder`s made so far."""
    return []


@pytest.fixture
def crew(recorders):
    def make():
        recorders.append(Recorder())
        return recorders[-1]

    return Crew("thread", 2, make)


def call(seats, actions, seconds=30):
    """The outcomes of a call to environments of one worker."""
    slots, worker = [seat.slot for seat in seats], seats[0].worker
    worker.ask("play", SPECS, slots, [None] * len(slots), actions)
    return worker.answer(seconds)


def test_each_worker_makes_calls_and_closes_its_environments_in_its_thread(crew, recorders):
    seats = [[crew.seat(lane) for _ in range(2)] for lane in range(2)]
    for own in seats:
        assert own[0].worker is own[1].worker
        for number in (1, 2):
            found = call(own, [number, 10 * number])
            np.testing.assert_array_equal(found.leaves, [[number, 10 * number]])
            np.testing.assert_array_equal(found.reward, [1, 1])
            assert found.failures == {}
    assert [recorder.log for recorder in recorders] == [[1, 2], [10, 20]] * 2
    one, also_one, two, also_two = (recorder.threads for recorder in recorders)
    assert one == also_one and two == also_two and len(one | two) == 2
    assert threading.get_ident() not in one | two
    crew.close(30)
    assert all(recorder.log[-1] == "closed" for recorder in recorders)
    assert len(one | two) == 2 and not any(own[0].worker.alive for own in seats)


def test_an_environment_that_raises_is_closed_and_made_again(crew, recorders):
    def leave():
        raise SystemExit(3)

    seats = [crew.seat(0) for _ in range(3)]
    found = call(seats, [1, leave, 3])
    assert list(found.failures) == [1] and isinstance(found.failures[1], SystemExit)
    np.testing.assert_array_equal(found.leaves[0][[0, 2]], [1, 3])
    assert recorders[1].log == [leave, "closed"]
    call(seats, [4, 5, 6])
    assert [recorder.log for recorder in recorders] == [[1, 4], [leave, "closed"], [3, 6], [5]]


def test_episodes_are_brought_to_their_last_call(crew, recorders):
    worker, slot = crew.seat(0)
    for known, failures in (([np.float32(2)], 0), ([np.float32(7)], 1)):
        start = Start({}, 42, [1, 2], known)
        worker.ask("play", SPECS, [slot], [start], [3])
        found = worker.answer(30)
        assert len(found.failures) == failures
        assert recorders[-1].log == ([42, 1, 2, "closed"] if failures else [42, 1, 2, 3])
    assert "it gave other observations" in str(found.failures[0])
    worker.ask("play", SPECS, [slot], [Start({}, 7, [])], None)
    np.testing.assert_array_equal(worker.answer(30).leaves, [[0.5]])


def test_a_worker_that_hangs_is_left_behind(crew, recorders):
    """It says which row it was at. Once it wakes it calls nothing more, and closes all it has."""
    wake = threading.Event()
    hang = lambda: wake.wait(60)
    seats = [crew.seat(0) for _ in range(4)]
    call(seats, [1, 2, 3, 4])
    with pytest.raises(TimeoutError, match=r"^no answer within 0\.3 s$"):
        call(seats, [5, 6, hang, 8], 0.3)
    worker = seats[0].worker
    assert worker.row() == 2 and not worker.alive
    assert crew.seat(0).worker is not worker and crew.seat(0).worker.alive
    assert [recorder.log for recorder in recorders] == [[1, 5], [2, 6], [3, hang], [4]]
    wake.set()
    wait_for(lambda: recorders[3].log[-1] == "closed")
    ends = [[1, 5, "closed"], [2, 6, "closed"], [3, hang, "closed"], [4, "closed"]]
    assert [recorder.log for recorder in recorders] == ends


def test_the_limit_is_for_each_call(crew):
    never = threading.Event()
    slow = lambda: never.wait(0.4)
    found = call([crew.seat(0) for _ in range(4)], [slow] * 4, 1.2)
    assert found.failures == {}


def test_an_environment_that_can_not_be_made_is_tried_at_each_call():
    tries = []

    def make():
        tries.append(threading.get_ident())
        raise OSError("no more licences")

    crew = Crew("thread", 1, make)
    seat = crew.seat(0)
    for _ in range(2):
        assert isinstance(call([seat], [1]).failures[0], OSError)
    seat.worker.ask("look", seat.slot)
    assert isinstance(seat.worker.answer(30), OSError)
    assert len(tries) == 3 and len(set(tries)) == 1


def test_environments_with_a_worker_each(recorders, crew):
    each = Crew("thread", None, crew._make)
    assert each.num_lanes == 1
    seats = [each.seat(0) for _ in range(3)]
    for seat in seats:
        call([seat], [1])
    assert len({seat.worker for seat in seats}) == len({*map(id, recorders)}) == 3
    assert len(set.union(*(recorder.threads for recorder in recorders))) == 3
    each.close(30)
    assert all(recorder.log == [1, "closed"] for recorder in recorders)


def test_what_nothing_refers_to_is_closed_in_its_thread(crew, recorders):
    seat = crew.seat(1)
    call([seat], [1])
    del seat, crew._workers[1]
    gc.collect()
    wait_for(lambda: recorders[0].log == [1, "closed"])
    assert len(recorders[0].threads) == 1


def test_closing_waits_for_no_call_that_hangs(crew, recorders):
    never = threading.Event()
    seat = crew.seat(0)
    seat.worker.ask("play", SPECS, [seat.slot], [None], [lambda: never.wait(60)])
    crew.close(0.2)
    assert not seat.worker.alive and "closed" not in recorders[0].log
    never.set()
    wait_for(lambda: recorders[0].log[-1] == "closed")
