"""Ray, on this machine or on several: what starts, joins and leaves it (the extra `ray`).

    with Cluster(2) as cluster:                      # a Ray of its own on this machine, two CPUs
    with Cluster(8, "10.0.0.1:6379") as cluster:     # one that `ray start` made
        actor = cluster.actor(Class, *arguments)     # an object in a process of its own

Ray is imported when it is used, and not before.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from tfcaml import provenance, quiet
from tfcaml.errors import ConfigError, RunError, check

_TRIES = 3  # of starting Ray on this machine: on a busy one 30 seconds, Ray's limit, are too short
_MOST_PER_CORE = 8  # workers on this machine, each of which takes half a gigabyte
_OBJECT_STORE = 80 * 2**20  # bytes, nearly the least that Ray takes
_HEAD_INTERVAL = 2.0  # seconds between two looks for the head
_HEAD_PATIENCE = 20.0  # seconds that a head may take to answer for the first time
# What begins a connection of HTTP/2, on which gRPC, Ray's protocol, is built: the preface of the
# client and its settings, which are none.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4  # type of the first frame that a server sends
_HEAD_TRIES = 3  # looks in vain, one after the other, from which it has vanished
# What decides numbers beside the numbers of threads.
_HANDED_ON = re.compile(r"TF_\w+|XLA_FLAGS|(MKL|OPENBLAS|OMP)_\w+|TFCAML_\w+")


class Cluster:
    """Ray with so many CPUs at least. For a `with` block, at whose end it is left as it was found.

    Where this process uses Ray already and no address is given, that one is used.

    Args:
      num_cpus: CPUs that are needed, >= 1. A Ray of its own is told that it has as many.
      address: HOST:PORT of the head of a cluster made by `ray start`; None: this machine.
      what: the setting that `num_cpus` comes from, for errors.

    Attributes:
      ray: the module.
      seconds: that starting or joining it took.
      vanished: whether its head was found not to answer, see `check_head`.

    Raises:
      ConfigError: Ray is not installed; there is no cluster at the address, it is of another
        version of Ray or Python, or has fewer CPUs; or without an address more CPUs than 8 for each
        core of this machine.
      RunError: Ray did not start on this machine.
    """

    def __init__(self, num_cpus: int, address: str | None = None, what: str = "workers") -> None:
        if address is not None:
            fits = isinstance(address, str) and re.fullmatch(r"[^\s:/]+:\d{1,5}", address)
            check(fits, "ray_address", address, "HOST:PORT of the head of a Ray cluster")
        self._address = ""
        self._agents: list[Any] = []
        self.vanished = False
        self._looked = time.monotonic()
        self._environment = worker_environment()
        self.ray = _import_ray()
        self._own = address is not None or not self.ray.is_initialized()
        start = time.monotonic()
        if address is not None:
            check(not self.ray.is_initialized(), "ray_address", address, "None, as this process "
                  "uses Ray already")  # fmt: skip
            self._join(address)
        elif self._own:
            most = _MOST_PER_CORE * (provenance.usable_cores() or 1)
            rule = f"at most {most}, {_MOST_PER_CORE} for each core of this machine; a Ray cluster "
            check(num_cpus <= most, what, num_cpus, f"{rule}(ray_address) may have more")
            self._start(num_cpus)
        self._address = self.ray.get_runtime_context().gcs_address  # also of one on this machine
        self.seconds = time.monotonic() - start
        cpus = int(self.ray.cluster_resources().get("CPU", 0))
        if num_cpus > cpus:
            self.close()
            check(False, what, num_cpus, f"at most {cpus}, the CPUs of the Ray cluster")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Leaves it; one that was started here ends."""
        if self._own and self._head_is_there():
            self.ray.shutdown()
            _end(self._agents)
            self._agents = []

    def actor(self, kind: type, *arguments: Any, threads: int = 1) -> Any:
        """The handle of an object of a class in a process of its own, on one CPU.

        The process uses as many TensorFlow threads as this one, so that it makes the same numbers.

        Args:
          kind: the class.
          *arguments: of it.
          threads: calls that it answers at a time.
        """
        options = {
            "num_cpus": 1,
            "max_concurrency": threads,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": self._environment},
        }
        self._require_head()
        return self.ray.remote(**options)(kind).remote(*arguments)

    def kill(self, actor: Any) -> None:
        """Ends the process of an actor at once, if the head is there."""
        if self._head_is_there():
            self.ray.kill(actor)

    def is_lost(self, error: Exception) -> bool:
        """Whether a call failed because the process or the node that should answer is gone."""
        kinds = self.ray.exceptions
        return isinstance(error, kinds.RayActorError | kinds.NodeDiedError | kinds.ObjectLostError)

    def check_head(self) -> None:
        """Raises a `RunError` where the head of the cluster does not answer any more.

        Ray itself waits a minute, and then ends the process.
        """
        if time.monotonic() - self._looked > _HEAD_INTERVAL:
            self._require_head()

    def _require_head(self) -> None:
        if not self._head_is_there():
            raise RunError(
                f"the head of the Ray cluster at {self._address} has vanished; what was saved "
                "before is as it was"
            )

    def _head_is_there(self) -> bool:
        """Whether the head answers, within a few seconds; calls that need it wait for a minute."""
        for tries in range(_HEAD_TRIES):
            if not self.vanished and _answers(self._address):
                self._looked = time.monotonic()
                return True
            if not self.vanished and tries + 1 < _HEAD_TRIES:
                time.sleep(_HEAD_INTERVAL)
        self.vanished = True
        return False

    def _start(self, num_cpus: int) -> None:
        for tries in range(_TRIES):
            try:
                self._init(address="local", num_cpus=num_cpus, object_store_memory=_OBJECT_STORE,
                           include_dashboard=False)  # fmt: skip
                self._agents = _agents()
                return
            except Exception as error:  # Ray raises no kind of its own
                with contextlib.suppress(Exception):
                    self.ray.shutdown()
                if tries + 1 == _TRIES:
                    raise RunError(
                        f"Ray did not start on this machine in {_TRIES} tries: {one_line(error)}"
                    ) from None

    def _join(self, address: str) -> None:
        wanted = "expected ray_address to be that of a running Ray cluster, of Ray "
        wanted += f"{self.ray.__version__} and Python {platform.python_version()}; received "
        wanted += f"ray_address={address!r}"
        if not _answers(address):
            raise ConfigError(f"{wanted}, where nothing answers")
        if not _is_head(address):  # Ray would wait for ever, and no signal reach Python
            raise ConfigError(f"{wanted}, where something else than Ray listens, or Ray hangs")
        try:
            with _deadline(60):
                self._init(address=address)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            with contextlib.suppress(Exception):
                self.ray.shutdown()
            line = one_line(error)
            raise ConfigError(
                f"{wanted}: {line}. Where Ray asks for a token, RAY_AUTH_TOKEN has to be that of "
                "the cluster"
            ) from None

    def _init(self, **options: Any) -> None:
        """`ray.init`, without a word, and with the signal handlers as they were."""
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGINT) if main else ()
        handlers = {number: signal.getsignal(number) for number in numbers}
        try:
            with quiet.silent_stderr():
                self.ray.init(
                    runtime_env={"env_vars": self._environment},
                    log_to_driver=False,
                    logging_level="CRITICAL",
                    **options,
                )
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        _silence()


def threads() -> dict[str, int]:
    """Threads of TensorFlow in this process: dict(intra, inter)."""
    cores = provenance.usable_cores() or 1
    told = provenance.threads()
    return {kind: number or cores for kind, number in told.items()}


def worker_environment() -> dict[str, str]:
    """Environment variables with which a worker makes the same numbers as this process."""
    handed_on = {k: v for k, v in os.environ.items() if _HANDED_ON.fullmatch(k)}
    now = threads()
    # Ray would give OMP_NUM_THREADS a value of its own.
    return {
        "OMP_NUM_THREADS": str(provenance.usable_cores() or 1),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **handed_on,
        "TF_NUM_INTRAOP_THREADS": str(now["intra"]),
        "TF_NUM_INTEROP_THREADS": str(now["inter"]),
        "PYTHONWARNINGS": "ignore",
    }


def about_worker() -> dict[str, Any]:
    """What a worker tells of itself: where it is, and which code it runs."""
    return {
        "where": f"node {socket.gethostname()}, process {os.getpid()}",
        "source": provenance.source_hash(),
        "versions": provenance.versions(),
    }


def check_worker(about: dict[str, Any]) -> None:
    """Raises a `ConfigError` if a worker, see `about_worker`, runs other code than this process."""
    own = about_worker()
    # Ray itself compares the versions of Python; those of tfcaml are told by its source.
    names = [name for name in own["versions"] if name not in ("python", "tfcaml")]
    wanted, found = (
        {**{name: each["versions"].get(name) for name in names}, "source of tfcaml": each["source"]}
        for each in (own, about)
    )
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ConfigError(
                f"expected all nodes of the Ray cluster to have the same {name}; received "
                f"{found.get(name)} on {about['where']}, and {value} here"
            )


def see_modules(path: list[str]) -> None:
    """Lets a worker import what the process that started it can, where its node has that too."""
    for folder in path:
        if folder not in sys.path and os.path.isdir(folder):
            sys.path.append(folder)


def one_line(error: BaseException) -> str:
    """What an error of Ray's says, in a line: the cause at the end of a traceback, or all of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    text = causes[-1] if causes else " ".join(lines) or type(error).__name__
    return text[:500].rstrip(".")


def _import_ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "Ray is not installed, which trains in several processes: pip install 'tfcaml[ray]'"
        )
    # Before Ray reads them.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else workers give way to all else
    import ray

    return ray


def _answers(address: str) -> bool:
    """Whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_HEAD_INTERVAL).close()
    except (OSError, OverflowError):
        return False
    return True


def _is_head(address: str) -> bool:
    """Whether what listens at HOST:PORT answers as the head of a Ray cluster does."""
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return True  # it would not answer in the clear
    host, _, port = address.rpartition(":")
    found = b""
    try:
        with socket.create_connection((host, int(port)), timeout=_HEAD_PATIENCE) as connection:
            connection.sendall(_PREFACE)
            while len(found) < 4 and (more := connection.recv(4 - len(found))):
                found += more
    except OSError:
        return False
    return found[3:] == bytes([_SETTINGS])


def _agents() -> list[Any]:
    """The processes that a Ray of this process started to look after its node."""
    children = importlib.import_module("psutil").Process().children()  # psutil comes with Ray
    raylets = [child for child in children if child.name() == "raylet"]
    return [agent for raylet in raylets for agent in raylet.children()]


def _end(agents: list[Any]) -> None:
    """Ends agents that are still there.

    Ray gives a raylet a second to end them, too short on a busy machine; alone they stay a minute.
    """
    gone = importlib.import_module("psutil").NoSuchProcess
    for agent in agents:
        with contextlib.suppress(gone):
            agent.kill()


@contextlib.contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Raises a `RunError` in a block that takes longer, where signals can: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: Any) -> None:
        raise RunError(f"no answer within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    left = signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(max(left - seconds, 1) if left else 0)
        signal.signal(signal.SIGALRM, before)


def _silence() -> None:
    """Lets Ray not print pages on a worker or node that died: that is told in a line of ours."""
    worker = importlib.import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):  # by other names in versions that are not tested
        worker.print_to_stdstream = lambda *_, **__: None  # type: ignore[attr-defined]
