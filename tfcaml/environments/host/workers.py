"""Workers: threads or processes that make environments, make all calls to them and close them.

Some environments work only in the thread that made them: those with an SQLite connection, an OpenGL
context or `threading.local` data. TensorFlow, however, calls Python from whichever of its own
threads is free. So every environment belongs to one worker for as long as it lives. Processes run
at the same time even where Python's interpreter lock keeps threads from it, they can be stopped,
and their environments have the main thread to themselves, which Python's module `signal` asks for.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import multiprocessing
import os
import queue
import signal
import threading
import time
import weakref
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcaml.environments.host.calls import CALLS, LEFT, ROW, Environments
from tfcaml.errors import ConfigError, RunError, check, check_one_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_NO_CALLS_YET = -1  # the count of calls of a process that is still starting
_GRACE = 10  # seconds for a call under way, once the process that wanted it is gone


class Seat(NamedTuple):
    """Where an environment is: with which worker, and which of the worker's it is."""

    worker: _Worker
    slot: int


class Crew:
    """The workers of a family, by lane, started when they are needed.

    Args:
      kind: "thread" or "process".
      size: number of lanes, each of one worker; None: one lane, each of whose environments has a
        worker of its own.
      make: function () -> environment; for processes one that can be pickled.
    """

    def __init__(self, kind: str, size: int | None, make: Callable[[], Any]) -> None:
        check_one_of("worker", kind, tuple(_KINDS))
        check(size is None or size >= 1, "workers", size, "None or >= 1")
        self.num_lanes = size or 1
        self._kind, self._shared, self._make = kind, size is not None, make
        self._workers: dict[int, _Worker] = {}  # lane -> worker, where they are shared
        self._all: weakref.WeakSet[_Worker] = weakref.WeakSet()
        self._slots = itertools.count()

    def seat(self, lane: int) -> Seat:
        """A place for one more environment, which its worker makes when it is first called.

        Raises:
          RunError: the operating system gives no more threads or processes.
        """
        worker = self._workers.get(lane)
        if worker is None or not worker.alive:
            worker = self._start()
        if self._shared:
            self._workers[lane] = worker
        return Seat(worker, next(self._slots))

    def close(self, seconds: float | None) -> None:
        """Closes all workers; new ones are started when they are needed. See `close` of these."""
        for worker in list(self._all):
            worker.close(seconds)

    def _start(self) -> _Worker:
        try:
            worker = _KINDS[self._kind](self._make)
        except (RuntimeError, OSError, EOFError, AssertionError) as error:
            line = f"no {self._kind} for one more environment: {_one_line(error)}"
            raise RunError(line) from None
        self._all.add(worker)
        return worker


class _Worker:
    """What both kinds share. One message is under way at a time: `ask`, then `answer`.

    alive: whether it can be asked
    """

    _send: Callable[[Any], None]
    _is_there: Callable[[float | None], bool]
    _receive: Callable[[], Any]
    _has_ended: Callable[[float | None], bool]
    _stop: Callable[[], None]

    def __init__(self, progress: Any) -> None:
        self.alive = True
        self._progress = progress

    def ask(self, method: str, *arguments: Any) -> None:
        """Has the worker call a method of its `Environments`."""
        self._progress[ROW] = 0
        self._send((method, *arguments))

    def answer(self, seconds: float | None) -> Any:
        """What the method returns or, if it raises, the exception.

        Args:
          seconds: how long each single call to an environment may take; None: as long as it takes.

        Raises:
          TimeoutError: a call took longer. The worker is left behind.
          RunError: the process of the worker ended.
        """
        try:
            self._wait(self._is_there, seconds)
            return self._receive()
        except (TimeoutError, RunError):
            self.leave()
            raise

    def row(self) -> int:
        """Which of the rows that it was given the worker was at."""
        return self._progress[ROW]

    def leave(self) -> None:
        """Gives the worker up, whatever it is doing, and waits for nothing."""
        self.alive = False
        self._progress[LEFT] = 1
        self._stop()

    def close(self, seconds: float | None) -> None:
        """Closes the environments and ends the worker, once a call under way has returned.

        Args:
          seconds: how long each may take before it is given up; None: as long as it takes.
        """
        if self.alive:
            self.alive = False
            with contextlib.suppress(TimeoutError):
                self._send(None)
                self._wait(self._has_ended, seconds)
            self.leave()

    def _wait(self, happened: Callable[[float | None], bool], seconds: float | None) -> None:
        """Waits until `happened(seconds)`, as long as calls to environments keep returning."""
        before = self._progress[CALLS]
        while not happened(seconds):
            calls = self._progress[CALLS]
            if calls == before != _NO_CALLS_YET:
                raise TimeoutError(f"no answer within {seconds:g} s")
            before = calls


class ThreadWorker(_Worker):
    """A thread. One that takes too long can't be stopped: it closes its environments when it wakes.

    Code that keeps Python's interpreter lock while it hangs stops the whole process, for which
    there is no remedy here. The thread ends once nothing refers to this object any more.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__([0, 0, 0])
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # Daemonic, as a thread that hangs must not keep the process alive. It does not refer to
        # this object, which could never be collected otherwise.
        arguments = (make, self._inbox.get, self._outbox.put, self._progress)
        self._thread = threading.Thread(target=_serve, args=arguments, daemon=True)
        self._thread.start()
        weakref.finalize(self, self._inbox.put, None).atexit = False

    def _send(self, message: Any) -> None:
        self._inbox.put(message)

    def _is_there(self, seconds: float | None) -> bool:
        try:
            self._found = self._outbox.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _receive(self) -> Any:
        found, self._found = self._found, None
        return found

    def _has_ended(self, seconds: float | None) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _stop(self) -> None:
        self._inbox.put(None)


class ProcessWorker(_Worker):
    """A process. It is forked from a server process that has only imported tfcaml, so that it
    starts at once and has neither threads nor locks of this one. One that takes too long is killed.

    The process ends once nothing refers to this object any more, or this process has ended.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tfcaml.environments"])
        super().__init__(context.RawArray("q", 3))
        self._progress[CALLS] = _NO_CALLS_YET
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self._progress, dict(os.environ))
        self._process = context.Process(target=_serve_process, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # so that nobody but the process has it: its end is seen here
        weakref.finalize(self, _let_go, self._connection).atexit = False
        self._send(make)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it has ended, as `_receive` finds
            self._connection.send(message)

    def _is_there(self, seconds: float | None) -> bool:
        return self._connection.poll(seconds)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            self._process.join(1)
        line = f"its worker process ended with exit code {self._process.exitcode}"
        if self._progress[CALLS] == _NO_CALLS_YET:
            line += (
                " before it was ready; a program that makes a family with worker='process' "
                "does so below `if __name__ == '__main__':`"
            )
        raise RunError(line)

    def _has_ended(self, seconds: float | None) -> bool:
        self._process.join(seconds)
        return self._process.exitcode is not None

    def _stop(self) -> None:
        self._process.kill()
        self._process.join(1)
        self._connection.close()


_KINDS = {"thread": ThreadWorker, "process": ProcessWorker}


def check_picklable(**named: Any) -> None:
    """Raises `ConfigError` for the first thing that can't be sent to a process."""
    for name, value in named.items():
        try:
            ForkingPickler.dumps(value)
        except Exception as error:  # whatever the thing's own methods raise
            raise ConfigError(
                f"expected {name} to be picklable for worker='process', as functions and classes "
                f"at the top level of a module are; received {_one_line(error)}"
            ) from None


def _serve(
    make: Callable[[], Any],
    receive: Callable[[], Any],
    send: Callable[[Any], object],
    progress: Any,
) -> None:
    """What a worker does until it is told to end."""
    environments = Environments(make, progress)
    while (message := receive()) is not None:
        method, *arguments = message
        try:
            answer = getattr(environments, method)(*arguments)
        except BaseException as error:  # SystemExit as well: somebody waits for the answer
            answer = error
        send(answer)
        del message, arguments, answer  # nothing is kept alive while the worker waits
    environments.close()


def _serve_process(connection: Connection, progress: Any, environ: dict[str, str]) -> None:
    """What the process of a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.environ.update(environ)  # the server process has those of its own start
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def receive() -> Any:
        try:
            return connection.recv()
        except (EOFError, OSError):
            return None

    def received_make() -> Callable[[], Any]:
        """The function that comes first, or one that says why it could not be had."""
        try:
            return receive()
        except Exception as error:
            rule = "expected make and set_task to be of modules that a worker process can import"
            return functools.partial(_refuse, f"{rule}; received {_one_line(error)}")

    def send(answer: Any) -> None:
        if isinstance(answer, BaseException):
            answer = _portable(answer)
        elif hasattr(answer, "failures"):
            failures = {row: _portable(error) for row, error in answer.failures.items()}
            answer = answer._replace(failures=failures)
        with contextlib.suppress(OSError):
            connection.send(answer)

    make = received_make()
    progress[CALLS] = 0
    _serve(make, receive, send, progress)


def _refuse(message: str) -> None:
    raise ConfigError(message)


def _portable(error: BaseException) -> Exception:
    """An exception that any process can read: that of an environment may be of a class of its own,
    or hold what can't be sent.
    """
    return error if type(error) is ConfigError else RunError(_one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _let_go(connection: Connection) -> None:
    """Has a process end by itself when it has done what it is doing."""
    with contextlib.suppress(OSError):
        connection.send(None)
    connection.close()


def _end_with_parent() -> None:
    """Ends this process soon after the one that started it, even if an environment hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    time.sleep(_GRACE)
    os._exit(1)
