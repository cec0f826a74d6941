"""Calls to environments, each in the thread that made it."""

import gc
import threading

from tests.environments.conftest import wait_for
from tfcaml.environments.host.threads import EnvironmentThread, call_in_turn


class Recorder:
    """What is made and called, in which thread."""

    def __init__(self):
        self.log = []
        self.threads = {threading.get_ident()}

    def close(self):
        self.log.append("closed")
        self.threads.add(threading.get_ident())


def made():
    """(list of the `Recorder`s made so far, function that makes them)."""
    recorders = []

    def make():
        recorders.append(Recorder())
        return recorders[-1]

    return recorders, make


def call(number):
    """A function that leaves a number in an environment, and returns ten times as much."""

    def function(environment):
        environment.log.append(number)
        environment.threads.add(threading.get_ident())
        return 10 * number

    return function


def test_calls_come_one_after_the_other_in_the_threads_of_their_environments():
    recorders, make = made()
    threads = [EnvironmentThread(make) for _ in range(3)]
    for _ in range(2):
        order = [0, 2, 1, 0]
        found = call_in_turn([(threads[i], call(i)) for i in order], 30)
        assert found == [0, 20, 10, 0]
    assert sorted(recorder.log for recorder in recorders) == [[0] * 4, [1] * 2, [2] * 2]
    own = [recorder.threads for recorder in recorders]
    assert all(len(x) == 1 for x in own) and len(set.union(*own)) == 3
    assert threading.get_ident() not in set.union(*own)
    assert call_in_turn([], 1) == [] and call_in_turn([(threads[0], call(7))], None) == [70]
    for thread in threads:
        thread.close()
    assert all(recorder.log[-1] == "closed" for recorder in recorders)
    assert all(len(recorder.threads) == 1 for recorder in recorders)


def test_a_call_that_hangs_or_raises_costs_nothing_but_its_own_result():
    recorders, make = made()
    threads = [EnvironmentThread(make) for _ in range(6)]
    wake = threading.Event()

    def hang(environment):
        wake.wait(60)
        return call(2)(environment)

    def fail(environment):
        raise KeyError("four")

    def leave(environment):
        raise SystemExit(3)

    functions = [call(1), hang, call(3), fail, leave, call(6)]
    found = call_in_turn(list(zip(threads, functions)), 0.6)
    assert found[0] == 10 and found[2] == 30 and found[5] == 60
    assert isinstance(found[1], TimeoutError) and str(found[1]) == "no answer within 0.6 s"
    assert isinstance(found[3], KeyError) and isinstance(found[4], SystemExit)
    logs = lambda: sorted(recorder.log for recorder in recorders)
    assert logs() == [[], [], [], [1], [3], [6]]
    threads[1].close(0)
    assert call_in_turn([(threads[3], call(4)), (threads[4], call(5))], 30) == [40, 50]
    wake.set()  # it finishes its call, is closed, and has no other thread go on
    wait_for(lambda: [2, "closed"] in logs())
    assert logs() == [[1], [2, "closed"], [3], [4], [5], [6]]


def test_the_limit_is_for_each_call():
    _, make = made()
    threads = [EnvironmentThread(make) for _ in range(4)]
    never = threading.Event()
    slow = lambda environment: never.wait(0.4)
    assert call_in_turn([(thread, slow) for thread in threads], 1.2) == [False] * 4


def test_an_environment_that_can_not_be_made_is_tried_at_each_call():
    tries = []

    def make():
        tries.append(threading.get_ident())
        raise OSError("no more licences")

    thread = EnvironmentThread(make)
    for _ in range(2):
        (found,) = call_in_turn([(thread, call(1))], 30)
        assert isinstance(found, OSError)
    assert len(tries) == 2
    thread.close()


def test_what_nothing_refers_to_is_closed_in_its_thread():
    recorders, make = made()
    thread = EnvironmentThread(make)
    call_in_turn([(thread, call(1))], 30)
    del thread
    gc.collect()
    wait_for(lambda: recorders[0].log == [1, "closed"])
    assert len(recorders[0].threads) == 1
