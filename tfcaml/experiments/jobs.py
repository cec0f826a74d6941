"""The jobs that experiments are made of: training one method with one seed.

    finished = train([experiment])                     one job after the other, in this process
    finished = train([experiment], workers=workers)    by `RayWorkers`, several at a time

Both end with the same numbers, since a job depends on nothing but its config and its seed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO

from tfcaml.errors import RunError, writing
from tfcaml.progress import Progress

if TYPE_CHECKING:
    from tfcaml.experiments.experiment import Experiment


class Job(NamedTuple):
    """Training one method of an experiment with one seed."""

    experiment: Experiment
    method: str
    seed: int

    @property
    def length(self) -> int:
        """Iterations that it has in all."""
        return self.experiment.config.learners[self.method][1].num_iterations

    @property
    def saved(self) -> int:
        """Iterations that its newest checkpoint has."""
        return self.experiment.trainer.saved_iteration(self.method, self.seed)

    @property
    def episodes(self) -> int:
        """Episodes of each iteration, which take the time; 1 where none is played."""
        return max(self.experiment.trainer.made(self.method).episodes_per_iteration, 1)

    def __str__(self) -> str:
        where = f"{self.experiment.name}: " if self.experiment.name else ""
        return f"{where}{self.method} seed {self.seed}"


Group = tuple[str, str]  # (run directory, method): jobs that share what is compiled


def group_of(job: Job) -> Group:
    """The `Group` of a job."""
    return str(job.experiment.directory.root), job.method


class Ended(NamedTuple):
    """How a job ended.

    finished:    whether it got to its last iteration
    seconds:     of training, in all
    bad_updates: that were skipped in all of it
    error:       what ended it early, or None
    """

    finished: bool
    seconds: float
    bad_updates: int
    error: RunError | None = None


class Workers(Protocol):
    """What does jobs elsewhere, such as `RayWorkers`."""

    def train(
        self,
        jobs: Sequence[Job],
        reached: Callable[[Job, int, str], object],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[Job, Ended]]:
        """Does jobs and yields each as it ends; after a failure, or told to stop, not all."""


class JobProgress:
    """Tells how far jobs are, in one line or bar. For a `with` block.

    Args:
      jobs: list of `Job`.
      stream: where to write; stderr unless given.
    """

    def __init__(self, jobs: Iterable[Job], stream: TextIO | None = None) -> None:
        self._counted = {job: job.saved for job in jobs}  # iterations, in what is told
        done = sum(job.episodes * saved for job, saved in self._counted.items())
        total = sum(job.episodes * job.length for job in self._counted)
        self._told = Progress(total, done, stream)

    def __enter__(self) -> JobProgress:
        self._told.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._told.__exit__(*error)

    def reached(self, job: Job, iteration: int, note: str) -> None:
        """A job has done so many iterations; fewer than before where some were lost."""
        more = iteration - self._counted[job]
        self._counted[job] = iteration
        if more < 0:
            self._told.redo(-more * job.episodes)
        elif more > 0:
            self._told.advance(
                f"{job} iteration {iteration}/{job.length}", note, more * job.episodes
            )


class JobQueue:
    """Jobs that wait, and which of them a free worker had best do.

    A worker has compiled what trains the methods that it has trained, so that other seeds of them
    cost it no compilation. So each worker stays with a method as long as that has jobs, then takes
    the one with the most work that nobody is at, and only at last helps another worker: where, by
    the times measured so far, that one would otherwise take longer than compiling does.

    Args:
      jobs: list of `Job`.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting: dict[Group, collections.deque[Job]] = {}
        for job in jobs:
            self._waiting.setdefault(group_of(job), collections.deque()).append(job)
        self._first: dict[Group, float] = {}  # seconds of a job that compiled
        self._later: dict[Group, float] = {}  # seconds of one that did not, the latest

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put_back(self, job: Job) -> None:
        """A job that was taken waits again, before all others of its method."""
        self._waiting[group_of(job)].appendleft(job)

    def took(self, job: Job, seconds: float, compiled: bool) -> None:
        """How long a job took a worker that had to compile for it, or had not."""
        (self._first if compiled else self._later)[group_of(job)] = seconds

    def take(self, known: Sequence[Group], others: Iterable[Group]) -> Job | None:
        """The job that a free worker should do, or None.

        Args:
          known: what the worker has compiled, the latest last.
          others: what the other workers are training, one entry each.
        """
        for group in reversed(known):
            if self._waiting.get(group):
                return self._waiting[group].popleft()
        at_it = collections.Counter(others)
        open_to_all = {
            group: waiting
            for group, waiting in self._waiting.items()
            if waiting and (not at_it[group] or self._pays(group, len(waiting) / at_it[group]))
        }
        if not open_to_all:
            return None
        work = {
            group: sum(job.episodes * job.length for job in waiting) / (1 + at_it[group])
            for group, waiting in open_to_all.items()
        }
        alone = [group for group in work if not at_it[group]]
        return self._waiting[max(alone or work, key=work.__getitem__)].popleft()

    def _pays(self, group: Group, each: float) -> bool:
        """Whether compiling is quicker than what waits, so many jobs for each worker at it."""
        first = self._first.get(group, max(self._first.values(), default=0.0))
        return group not in self._later or first < each * self._later[group]


@writing()
def train(
    experiments: Sequence[Experiment],
    stream: TextIO | None = None,
    workers: Workers | None = None,
) -> bool:
    """Trains every method of every experiment with every seed to the end.

    Writes the report.html of each experiment in which something was trained.

    Args:
      experiments: list of `Experiment`, each with a directory of its own.
      stream: where progress is told; stderr unless given.
      workers: what does the jobs; None: this process, one after the other.

    Returns:
      whether it got there.

    Raises:
      RunError: a job failed; it names the checkpoint to go on from.
    """
    jobs = [
        Job(experiment, method, seed)
        for experiment in experiments
        for method in experiment.config.learners
        for seed in experiment.config.seeds
    ]
    trained = {job.experiment.directory.root for job in jobs if job.saved < job.length}
    failures: list[RunError] = []
    finished = set()
    do = _train_here if workers is None else workers.train
    with JobProgress(jobs, stream) as progress:
        for job, ended in do(jobs, progress.reached, experiments[0].should_stop):
            job.experiment.note_training(job.method, job.seed, ended)
            if ended.error is not None:
                trainer = job.experiment.trainer
                failures.append(trainer.failure(job.method, job.seed, ended.error))
                job.experiment.write_failure(failures[-1])
            elif ended.finished:
                finished.add(job)
    if failures:
        raise failures[0]
    for experiment in experiments:
        if experiment.directory.root in trained:
            experiment.write_progress()
    return len(finished) == len(jobs)


def _train_here(
    jobs: Sequence[Job],
    reached: Callable[[Job, int, str], object],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[Job, Ended]]:
    """Does jobs one after the other, until one fails or training is told to stop."""
    for job in jobs:
        told = lambda iteration, note, job=job: reached(job, iteration, note)
        ended = do(job.experiment.trainer, job.method, job.seed, told, should_stop)
        yield job, ended
        if not ended.finished:
            return


def do(
    trainer: Any,
    method: str,
    seed: int,
    reached: Callable[[int, str], object],
    should_stop: Callable[[], bool],
) -> Ended:
    """Does a job; see `Trainer.train` for the arguments."""
    finished, error = False, None
    try:
        finished = trainer.train(method, seed, reached, should_stop)
    except RunError as failure:
        error = failure
    learner = trainer.made(method)
    return Ended(finished, float(trainer.seconds), int(learner.bad_updates), error)
