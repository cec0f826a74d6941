"""Python environments, each in a thread of its own.

Some environments work only in the thread that made them: those with an SQLite connection, an OpenGL
context or `threading.local` data. TensorFlow, however, calls Python from whichever of its own
threads is free. So every environment gets one thread, which makes it, makes all calls to it and
closes it.
"""

import contextlib
import queue
import threading
import weakref


class EnvironmentThread:
    """An environment and the only thread that ever touches it; see `call_in_turn`.

    The environment is made at the first call. It is closed, and its thread ends, after `close` or
    once nothing refers to this object any more.

    Args:
      make: function () -> environment with a method `close()`.

    Raises:
      RuntimeError: the operating system gives no more threads.
    """

    def __init__(self, make):
        self.inbox = queue.SimpleQueue()
        # Daemonic, as a thread that hangs must not keep the process alive. It does not refer to
        # this object, which could never be collected otherwise.
        self._thread = threading.Thread(target=_serve, args=(make, self.inbox), daemon=True)
        self._thread.start()
        weakref.finalize(self, self.inbox.put, None).atexit = False

    def close(self, seconds=None):
        """Closes the environment and ends its thread, once a call under way has returned.

        Args:
          seconds: how long to wait for that; None: as long as it takes.
        """
        self.inbox.put(None)
        self._thread.join(seconds)


def call_in_turn(calls, seconds):
    """Makes calls to environments, one after the other, each in its environment's thread.

    A thread can't be stopped. One that takes too long is left behind: the caller must not use it
    again, other than to close it. Code that keeps Python's interpreter lock while it hangs stops
    the whole process, for which there is no remedy here.

    Args:
      calls: list of (`EnvironmentThread`, function environment -> result).
      seconds: how long each call may take; None: as long as it takes.

    Returns:
      List of results; in place of a result the exception that the call raised, or a `TimeoutError`
      where it took too long.
    """
    outcomes = []
    while len(outcomes) < len(calls):
        outcomes += _Turns(calls[len(outcomes) :]).wait(seconds)
        if len(outcomes) < len(calls):
            outcomes.append(TimeoutError(f"no answer within {seconds:g} s"))
    return outcomes


class _Turns:
    """Calls in order. Each thread hands on to the next one, which halves the switches of threads
    that it would take if each answered to the caller.
    """

    def __init__(self, calls):
        self._calls = calls
        self._outcomes = []
        self._finished = queue.SimpleQueue()
        self._hand_on()

    def answer(self, outcome):
        """Takes the outcome of the call whose turn it is, and hands on."""
        self._outcomes.append(outcome)
        self._hand_on()

    def wait(self, seconds):
        """The outcomes once all are there, or those there are when none came for so long."""
        before = -1
        while len(self._outcomes) > before:
            before = len(self._outcomes)
            with contextlib.suppress(queue.Empty):
                self._finished.get(timeout=seconds)
                break
        self._calls = []  # a thread that was left behind hands on to nobody if it ever comes back
        return list(self._outcomes)

    def _hand_on(self):
        calls, index = self._calls, len(self._outcomes)
        if index < len(calls):
            thread, function = calls[index]
            thread.inbox.put((self, function))
        else:
            self._finished.put(None)


def _serve(make, inbox):
    """What the thread of an environment does."""
    environment = None
    while (message := inbox.get()) is not None:
        turns, function = message
        try:
            if environment is None:
                environment = make()
            outcome = function(environment)
        except BaseException as error:  # SystemExit as well: somebody waits for the answer
            outcome = error
        turns.answer(outcome)
        del message, turns, function, outcome  # nothing is kept alive while the thread waits
    if environment is not None:
        with contextlib.suppress(Exception):
            environment.close()
