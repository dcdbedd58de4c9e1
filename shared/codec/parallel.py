"""Work on chunks by several processes, in order and in bounded memory."""

import mmap
import multiprocessing
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shared.codec.container import Stored
from shared.codec.errors import CodecError
from shared.codec.workspace import WORKSPACE


@dataclass(frozen=True)
class Slots:
    """Memory shared with worker processes, by which they hand over what they coded.

    A pipe would carry it 64 kB at a time, each needing both sides to be scheduled.
    """

    memory: mmap.mmap
    size: int
    count: int

    def put(self, number: int, stored: Stored) -> Stored | tuple[Stored, int]:
        """Leave the bytes of a chunk in its slot, if they fit."""
        if stored.size > self.size:
            return stored
        start = number % self.count * self.size
        for piece in stored.pieces:
            self.memory[start : start + len(piece)] = piece
            start += len(piece)
        return replace(stored, pieces=()), stored.size

    def get(self, number: int, result: Any) -> Any:
        """Return a result with its bytes, which hold until the slot is used again."""
        if not isinstance(result, tuple):
            return result
        stored, length = result
        start = number % self.count * self.size
        return replace(stored, pieces=(memoryview(self.memory)[start : start + length],))


class Job(Protocol):
    """Makes any of the results of a piece of work; the same in whatever process it runs."""

    def __call__(self, number: int, shared: Any, /) -> Any:
        """Return one result, given what its run shares."""
        ...

    def lead(self, number: int) -> Any:
        """Return what the results share whose numbers are in the run that starts here."""
        ...


#: Results in a run.
RUN = 16

# A job is handed to worker processes once, when they start: by inheritance where processes fork.
_JOB: Job | None = None
_SLOTS: Slots | None = None


def _start_worker(job: Job, slots: Slots | None) -> None:
    global _JOB, _SLOTS
    _JOB, _SLOTS = job, slots
    WORKSPACE.arrays.clear()  # a parent's pages would be copied one by one when written to


def _job() -> Job:
    if _JOB is None:
        raise CodecError("the worker was not started properly")
    return _JOB


def _work(number: int, shared: Any) -> Any:
    result = _job()(number, shared)
    return _SLOTS.put(number, result) if _SLOTS and isinstance(result, Stored) else result


def _lead(number: int) -> Any:
    return _job().lead(number)


def _can_fork() -> bool:
    """Tell whether worker processes may start as copies of this one, in a hundredth of the time.

    A copy has no other threads, but what they had locked stays locked. Daemon threads (progress
    bars, a notebook's heartbeat) do not matter: a worker waits for nothing of theirs.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    return sys.platform == "linux" and all(each.daemon for each in others)


def run_jobs(job: Job, count: int, workers: int, shareable: bool, room: int = 0) -> Iterator[Any]:
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
    room : int
        Bytes a result of type `Stored` takes at most, as a rule.

    Yields
    ------
    object
        Must be used up before the next one is asked for. At most two results per worker wait at
        any time, so memory stays bounded.
    """
    shared: Any = None
    if workers <= 1 or count < 2:
        for number in range(count):
            shared = job.lead(number) if number % RUN == 0 else shared
            yield job(number, shared)
        return
    forks = _can_fork()
    window = 2 * workers + 1
    slots: Slots | None = None
    pool: Executor
    work, lead = job.__call__, job.lead
    if forks or shareable:
        if forks and room:
            slots = Slots(mmap.mmap(-1, room * (window + 1)), room, window + 1)
        context = multiprocessing.get_context("fork" if forks else "spawn")
        pool = ProcessPoolExecutor(workers, context, _start_worker, (job, slots))
        work, lead = _work, _lead
    else:
        pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[int, Future[Any]]] = deque()

    def oldest() -> Any:
        number, future = waiting.popleft()
        result = future.result()
        return slots.get(number, result) if slots else result

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # see _can_fork
            leading = deque(pool.submit(lead, first) for first in range(0, count, RUN)[:2])
        for number in range(count):
            if number % RUN == 0:
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
