"""Work on chunks by several processes, in order and in bounded memory."""

import functools
import mmap
import multiprocessing
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import replace
from typing import Any, BinaryIO, Protocol

import numpy as np

from shared.codec.container import Stored
from shared.codec.errors import CodecError
from shared.codec.files import write_at
from shared.codec.workspace import WORKSPACE

#: Seconds between two looks at whether a worker's turn has come.
PATIENCE = 0.0002
UNKNOWN, FAILED = -1, -2


class Places:
    """Where results go in a file: each behind the one before, whichever worker made it.

    Workers write what they made themselves, so that nothing is handed from process to process.

    Parameters
    ----------
    handle : int
        Of the file, open for writing; nothing may be left in a buffer of it.
    start : int
        Where the first result goes, in bytes.
    count : int
        Number of results.
    """

    def __init__(self, handle: int, start: int, count: int) -> None:
        self.handle = handle
        memory = mmap.mmap(-1, 8 * (count + 1))  # which processes forked from this one share
        self._ends = np.frombuffer(memory, np.int64)
        self._ends[:] = UNKNOWN
        self._ends[0] = start

    def write(self, number: int, stored: Stored) -> Stored:
        """Write a result when the sizes of all before it are known, and return its facts."""
        while self._ends[number] == UNKNOWN:
            time.sleep(PATIENCE)
        position = int(self._ends[number])
        if position == FAILED:
            self.give_up(number)
            raise CodecError("a chunk before this one failed")
        self._ends[number + 1] = position + stored.size
        write_at(self.handle, position, stored.pieces)
        return replace(stored, pieces=())

    def give_up(self, number: int) -> None:
        """Tell those that wait for a result that it will not come."""
        self._ends[number + 1] = FAILED


class Job(Protocol):
    """Makes any of the results of a piece of work; the same in whatever process it runs."""

    def __call__(self, number: int, shared: Any, /) -> Any:
        """Return one result, given what its run shares."""
        ...

    def lead(self, number: int) -> Any:
        """Return what the results share whose numbers are in the run that starts here."""
        ...


#: Results in a run.
RUN = 32


def starts_run(number: int) -> bool:
    """Tell whether a result is the first of its run, from which the others get what they share."""
    return number % RUN == 0


# A job is handed to worker processes once, when they start: by inheritance where processes fork.
_JOB: Job | None = None
_PLACES: Places | None = None


def _start_worker(job: Job, places: Places | None) -> None:
    global _JOB, _PLACES
    _JOB, _PLACES = job, places
    WORKSPACE.arrays.clear()  # a parent's pages would be copied one by one when written to


def _job() -> Job:
    if _JOB is None:
        raise CodecError("the worker was not started properly")
    return _JOB


def _work(number: int, shared: Any) -> Any:
    return _make(_job(), _PLACES, number, shared)


def _make(job: Job, places: Places | None, number: int, shared: Any) -> Any:
    """Make a result, and write it if it has a place."""
    if places is None:
        return job(number, shared)
    try:
        result = job(number, shared)
    except BaseException:
        places.give_up(number)
        raise
    return places.write(number, result)


def _lead(number: int) -> Any:
    return _job().lead(number)


def _can_fork() -> bool:
    """Tell whether worker processes may start as copies of this one, in a hundredth of the time.

    A copy has no other threads, but what they had locked stays locked. Daemon threads (progress
    bars, a notebook's heartbeat) do not matter: a worker waits for nothing of theirs.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    return sys.platform == "linux" and all(each.daemon for each in others)


def run_jobs(
    job: Job, count: int, workers: int, shareable: bool, target: tuple[BinaryIO, int] | None = None
) -> Iterator[Any]:
    """Run a job for 0 … count - 1, and yield the results in order.

    Parameters
    ----------
    job : Job
        Can be pickled if `shareable`.
    count : int
    workers : int
    shareable : bool
        Whether a fresh process can be given the job cheaply; if not, and processes cannot be
        forked safely, threads do the work.
    target : (file, int), optional
        Where results, of type `Stored`, are written one behind the other, and from which byte on.
        Those yielded are without their pieces.

    Yields
    ------
    object
        At most two results per worker wait at any time, so memory stays bounded.
    """
    places = None
    if target is not None:
        file, start = target
        file.flush()
        places = Places(file.fileno(), start, count)
    if workers <= 1 or count < 2:
        shared: Any = None
        for number in range(count):
            shared = job.lead(number) if starts_run(number) else shared
            yield _make(job, places, number, shared)
        return
    forks = _can_fork()
    window = 2 * workers + 1
    pool: Executor
    work: Callable[[int, Any], Any] = functools.partial(_make, job, places)
    lead: Callable[[int], Any] = job.lead
    if forks or shareable:
        context = multiprocessing.get_context("fork" if forks else "spawn")
        inherited = places if forks else None
        pool = ProcessPoolExecutor(workers, context, _start_worker, (job, inherited))
        work, lead = _work, _lead
    else:
        pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[int, Future[Any]]] = deque()

    def oldest() -> Any:
        number, future = waiting.popleft()
        result = future.result()
        if places is not None and result.pieces:  # made in a process that does not share places
            result = places.write(number, result)
        return result

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # see _can_fork
            leading = deque(pool.submit(lead, first) for first in range(0, count, RUN)[:2])
        for number in range(count):
            if starts_run(number):
                shared = leading.popleft().result()
                if number + 2 * RUN < count:  # in time: nobody waits for it
                    leading.append(pool.submit(lead, number + 2 * RUN))
            waiting.append((number, pool.submit(work, number, shared)))
            if len(waiting) == window:
                yield oldest()
        while waiting:
            yield oldest()
    except BrokenExecutor as error:
        raise CodecError("a worker process died; nothing was written") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
