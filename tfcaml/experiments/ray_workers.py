"""Workers that train on this machine or on a cluster, by Ray (the extra `ray`).

    with RayWorkers(2) as workers:                            # a Ray of its own, on this machine
        experiment.train(workers=workers)
    with RayWorkers(16, "10.0.0.1:6379") as workers:          # a cluster made by `ray start`
        experiment.train(workers=workers)

A worker is a process that does one job at a time, see `jobs.Job`. Checkpoints, events and pictures
go to the run directory as they do without workers, so that all nodes have to see that under the
same path. Numbers are the same to the last bit, as workers use as many TensorFlow threads as this
process does.

A worker that dies, or that does no iteration for `timeout` seconds, is replaced, and its job goes
on from its last checkpoint on whichever worker is free first.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfcaml import cluster
from tfcaml.errors import (
    ConfigError,
    RunError,
    WriteError,
    check_positive,
    check_whole,
    checked_call,
)
from tfcaml.experiments import jobs, run_directory
from tfcaml.experiments.config import ExperimentConfig, plugins_of
from tfcaml.experiments.jobs import Ended, Job, JobQueue
from tfcaml.experiments.trainer import Trainer, TrainingOptions

_log = logging.getLogger(__name__)
_TICK = 0.25  # seconds between two looks at the workers
_START = 300.0  # seconds in which a worker has to start
_ORPHAN = 120.0  # seconds after which a worker that nobody asks stops at a checkpoint
_MOST_LOST = 3  # workers that a job may lose between two checkpoints
_MOST_STARTS = 10  # workers, one after the other, that may die while they start
_ERRORS = {error.__name__: error for error in (ConfigError, RunError, WriteError)}


@dataclasses.dataclass
class _Slot:
    """The place of a worker, as this process sees it.

    number: from 1 on
    actor: the worker that has it
    call: reference of what that one is doing, starting or a job; None: nothing
    where: its node and process, once it has started
    job: that it does
    known: the `jobs.Group`s that it has compiled, of one experiment, the latest last
    begun: when it began to do what it does, seconds of the monotonic clock
    moved: when it was last heard to have got on
    iteration: of its job, as last heard
    poll: reference of the last question how far it is, while there is no answer
    compiles: whether its job is one that it has to compile for
    """

    number: int
    actor: Any
    call: Any
    where: str = ""
    job: Job | None = None
    known: list[jobs.Group] = dataclasses.field(default_factory=list)
    begun: float = 0.0
    moved: float = 0.0
    iteration: int = -1
    poll: Any = None
    compiles: bool = False


class RayWorkers:
    """A number of workers, for `Experiment.train` and `jobs.train`. For a `with` block.

    Args:
      number: of workers, each a process on one of Ray's CPUs, >= 1.
      address: HOST:PORT of the head of a cluster made by `ray start`; None: a Ray on this machine,
        which ends with the block.
      timeout: seconds without an iteration, compilation included, after which a worker counts as
        hung and is replaced, > 0.

    Attributes:
      lost: workers that died so far.
      hung: workers that were replaced because they hung.

    Raises:
      ConfigError: Ray is not installed, or there is no such cluster; see `cluster.Cluster`.
      RunError: Ray did not start on this machine.
    """

    @checked_call
    def __init__(self, number: int, address: str | None = None, *, timeout: float = 900.0) -> None:
        number = check_whole("workers", number, 1, 10_000)
        check_positive(worker_timeout=timeout)
        self._timeout = timeout
        self._cluster = cluster.Cluster(number, address)
        self._begun = time.monotonic()
        self._until_first: float | None = None  # seconds until the first worker was there
        self._seconds = self._seconds_of_jobs = 0.0  # of wall time in `train`; of all workers
        self._ended = 0  # jobs
        self._failed_starts = 0  # one after the other
        self.lost = self.hung = 0
        self._slots = [_Slot(i + 1, *self._started()) for i in range(number)]

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers, and a Ray of their own."""
        for slot in self._slots:
            self._cluster.kill(slot.actor)
        self._slots = []
        self._cluster.close()

    @property
    def seconds_to_start(self) -> float:
        """Seconds from when Ray was asked to start until the first worker was there; 0 before."""
        return self._cluster.seconds + self._until_first if self._until_first else 0.0

    def summary(self) -> str:
        """What was done and what it cost, in a line."""
        used = self._seconds * len(self._slots)
        share = f" ({100 * self._seconds_of_jobs / used:.0f} % of their time)" if used else ""
        return (
            f"{len(self._slots)} Ray workers did {self._ended} jobs in {self._seconds:.1f} s and "
            f"worked for {self._seconds_of_jobs:.1f} s{share}; Ray took {self._cluster.seconds:.1f}"
            f" s to start, the first worker {self._until_first or 0.0:.1f} s; workers lost: "
            f"{self.lost}, hung: {self.hung}"
        )

    def train(
        self,
        jobs: Sequence[Job],
        reached: Callable[[Job, int, str], object],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[Job, Ended]]:
        """Does jobs and yields each as it ends, with its `Ended`.

        Args:
          jobs: list of `Job`.
          reached: called with a job, the iterations that it has done and its latest figure.
          should_stop: when it says so, workers stop at checkpoints. So they do after a failure.

        Raises:
          ConfigError: a node has another version of something, or does not see the run directory.
          RunError: no worker started, the head of the cluster vanished, or a job lost worker after
            worker.
          WriteError: by a worker, where the disk is full or can't be written.
        """
        start = time.monotonic()
        try:
            yield from self._trained(JobQueue(jobs), reached, should_stop)
        finally:
            self._seconds += time.monotonic() - start
            for slot in self._slots:
                if slot.job is not None and not self._cluster.vanished:  # after an error
                    self._replace(slot)

    def _trained(
        self,
        queue: JobQueue,
        reached: Callable[[Job, int, str], object],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[Job, Ended]]:
        losses, failed = _Losses(), False
        error: Exception | None = None
        while True:
            stop = failed or error is not None or should_stop()
            if not stop:
                self._assign(queue)
            if not any(slot.job for slot in self._slots) and (stop or not queue):
                break
            self._cluster.check_head()
            self._check_starts()
            for slot, job, ended in self._answers(self._hung(stop, reached), reached):
                if ended is None:
                    queue.put_back(job)
                    reached(job, job.saved, "")
                    error = error or losses.count(job)
                elif isinstance(ended, Exception):
                    error = error or ended
                elif ended.finished or ended.error is not None or stop:
                    failed |= ended.error is not None
                    queue.took(job, time.monotonic() - slot.begun, slot.compiles)
                    self._ended += ended.finished
                    yield job, ended
                else:  # nobody had asked it for so long that it stopped
                    queue.put_back(job)
        if error is not None:
            raise error

    def _started(self) -> tuple[Any, Any]:
        """(a new worker, reference of its start)."""
        actor = self._cluster.actor(_Worker, sys.path, threads=2)
        return actor, actor.about.remote()

    def _replace(self, slot: _Slot) -> None:
        self._cluster.kill(slot.actor)
        slot.actor, slot.call = self._started()
        slot.job = slot.poll = None
        slot.known, slot.where = [], ""

    def _assign(self, queue: JobQueue) -> None:
        """Gives jobs to the workers that are free."""
        for slot in self._slots:
            if slot.call is not None:
                continue
            others = [other.job for other in self._slots if other.job is not None]
            job = queue.take(slot.known, map(jobs.group_of, others))
            if job is None:
                continue
            group = jobs.group_of(job)
            slot.job, slot.compiles = job, group not in slot.known
            of_the_run = [known for known in slot.known if known[0] == group[0] and known != group]
            slot.known = [*of_the_run, group]
            slot.begun = slot.moved = time.monotonic()
            slot.iteration = -1
            slot.call = slot.actor.train.remote(_described(job), job.method, job.seed)

    def _hung(
        self, stop: bool, reached: Callable[[Job, int, str], object]
    ) -> list[tuple[_Slot, Job]]:
        """Asks the workers how far they are; gives those that have not got on for too long."""
        ray, now, hung = self._cluster.ray, time.monotonic(), []
        for slot in self._slots:
            job = slot.job
            if job is None:
                continue
            if slot.poll is not None and ray.wait([slot.poll], timeout=0)[0]:
                answer, slot.poll = self._get(slot.poll), None
                if isinstance(answer, tuple) and answer[:2] == (job.method, job.seed):
                    iteration, note = answer[2:]
                    if iteration != slot.iteration:
                        slot.iteration, slot.moved = iteration, now
                        reached(job, iteration, note)
            if slot.poll is None:
                slot.poll = slot.actor.poll.remote(stop)
            if now - slot.moved > self._timeout:
                hung.append((slot, job))
        return hung

    def _answers(
        self, hung: list[tuple[_Slot, Job]], reached: Callable[[Job, int, str], object]
    ) -> Iterator[tuple[_Slot, Job, Ended | Exception | None]]:
        """Waits a moment for workers that have done what they were at, and replaces who is gone.

        Yields:
          (slot, job, `Ended`); or an error, which a worker met; or None, where it is gone.
        """
        for slot, job in hung:
            self.hung += 1
            self._tell(slot, job, f"did no iteration for {self._timeout:.0f} seconds")
            self._replace(slot)
            yield slot, job, None
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not calls:
            time.sleep(_TICK)
            return
        for call in self._cluster.ray.wait(list(calls), num_returns=1, timeout=_TICK)[0]:
            slot, answer = calls[call], self._get(call)
            was, slot.call = slot.job, None
            if isinstance(answer, Exception):
                self.lost += 1
                if was is None and "creation task" in str(answer):
                    line = cluster.one_line(answer)
                    raise ConfigError(f"a Ray worker can't start on its node: {line}")
                self._failed_starts += was is None
                self._tell(slot, was, "was lost")
                self._replace(slot)
                if was is not None:
                    yield slot, was, None
            elif was is None:
                cluster.check_worker(answer)
                slot.where = answer["where"]
                self._failed_starts = 0
                if self._until_first is None:
                    self._until_first = time.monotonic() - self._begun
            else:
                self._seconds_of_jobs += time.monotonic() - slot.begun
                slot.job = slot.poll = None
                iteration, note = answer["reached"]
                if iteration >= 0:
                    reached(was, iteration, note)
                yield slot, was, _ended(answer)

    def _get(self, call: Any) -> Any:
        """The answer to a call, or the error that says that its worker is gone."""
        try:
            return self._cluster.ray.get(call)
        except Exception as error:
            if self._cluster.is_lost(error):
                return error
            raise

    def _tell(self, slot: _Slot, job: Job | None, what: str) -> None:
        where = f" ({slot.where})" if slot.where else ""
        then = "a new one starts"
        if job is not None:
            then += f", and {job} goes on from iteration {job.saved}"
        _log.warning("Ray worker %d%s %s; %s", slot.number, where, what, then)

    def _check_starts(self) -> None:
        """Raises a `RunError` where no worker has been there for long, or none survives."""
        if self._failed_starts > _MOST_STARTS:
            raise RunError(
                f"{self._failed_starts} Ray workers died, one after the other, while they started; "
                "do the nodes have memory enough for TensorFlow?"
            )
        now = time.monotonic()
        if any(slot.where for slot in self._slots):
            self._begun = now
        if now - self._begun > _START:
            raise RunError(
                f"no Ray worker has started for {_START:.0f} seconds: the cluster has no free CPU, "
                "or its nodes are gone; the same command goes on"
            )


class _Losses:
    """Counts how often a job lost its worker between two checkpoints."""

    def __init__(self) -> None:
        self._lost: collections.Counter[tuple[Job, int]] = collections.Counter()

    def count(self, job: Job) -> RunError | None:
        """One more; the error that ends the run where these are too many."""
        self._lost[job, job.saved] += 1
        if self._lost[job, job.saved] < _MOST_LOST:
            return None
        return RunError(
            f"{job} lost {_MOST_LOST} workers, one after the other, without getting from iteration "
            f"{job.saved} to the next checkpoint; does it need more memory than a node has?"
        )


class _Worker:
    """Does jobs, one at a time, while it answers `poll`. Lives in a process of Ray's."""

    def __init__(self, path: list[str]) -> None:
        cluster.see_modules(path)
        self._trainers: dict[str, Trainer] = {}  # the latest alone: root -> `Trainer`
        self._told: tuple[str, int, int, str] = ("", -1, -1, "")
        self._stop, self._asked = False, time.monotonic()

    def about(self) -> dict[str, Any]:
        return cluster.about_worker()

    def poll(self, stop: bool) -> tuple[str, int, int, str]:
        """(method, seed, iterations done, latest figure); `stop`: it is to stop at a checkpoint."""
        self._asked = time.monotonic()
        self._stop = self._stop or stop
        return self._told

    def train(self, run: dict[str, Any], method: str, seed: int) -> dict[str, Any]:
        """Does a job; errors that people read are among what it returns."""
        self._stop, self._asked = False, time.monotonic()
        self._told = method, seed, -1, ""

        def reached(iteration: int, note: str) -> None:
            self._told = method, seed, iteration, note

        should_stop = lambda: self._stop or time.monotonic() - self._asked > _ORPHAN
        try:
            trainer = self._trainer(run)
            with run_directory.alone_in(trainer.directory.train(method, seed), should_stop):
                ended = jobs.do(trainer, method, seed, reached, should_stop)
        except (ConfigError, RunError, WriteError) as error:
            return {"raised": _plain(error), "reached": self._told[2:]}
        failed = None if ended.error is None else str(ended.error)
        return {**ended._asdict(), "error": failed, "raised": None, "reached": self._told[2:]}

    def _trainer(self, run: dict[str, Any]) -> Trainer:
        root = run["root"]
        if root not in self._trainers:
            content = run["content"]
            config = ExperimentConfig.from_run(content, plugins_of(content["config"]))
            try:
                directory = run_directory.RunDirectory(root, content, read_only=True)
            except ConfigError as error:
                where = cluster.about_worker()["where"]
                raise ConfigError(
                    f"{error}; every node has to see it, and {where} is one"
                ) from None
            options = TrainingOptions(**run["options"])
            self._trainers = {root: Trainer(config, directory, options)}
        return self._trainers[root]


def _described(job: Job) -> dict[str, Any]:
    """What a worker has to know of a job's experiment."""
    directory, trainer = job.experiment.directory, job.experiment.trainer
    return {
        "root": str(directory.root.absolute()),
        "content": directory.config,
        "options": dataclasses.asdict(trainer.options),
    }


def _plain(error: Exception) -> tuple[str, str]:
    return type(error).__name__, str(error)


def _ended(answer: dict[str, Any]) -> Ended | Exception:
    """What `_Worker.train` returned."""
    if answer["raised"]:
        kind, message = answer["raised"]
        return _ERRORS[kind](message)
    error = None if answer["error"] is None else RunError(answer["error"])
    return Ended(answer["finished"], answer["seconds"], answer["bad_updates"], error)
