"""Work on chunks by several processes, in order and in bounded memory."""

import mmap
import multiprocessing
import sys
import threading
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
from dataclasses import dataclass, replace
from typing import Any

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
        if len(stored.data) > self.size:
            return stored
        start = number % self.count * self.size
        self.memory[start : start + len(stored.data)] = stored.data
        return replace(stored, data=b""), len(stored.data)

    def get(self, number: int, result: Any) -> Any:
        """Return a result with its bytes, which hold until the slot is used again."""
        if not isinstance(result, tuple):
            return result
        stored, length = result
        start = number % self.count * self.size
        return replace(stored, data=memoryview(self.memory)[start : start + length])


# A job is handed to worker processes once, when they start: by inheritance where processes fork.
_JOB: Callable[[int], Any] | None = None
_SLOTS: Slots | None = None


def _start_worker(job: Callable[[int], Any], slots: Slots | None) -> None:
    global _JOB, _SLOTS
    _JOB, _SLOTS = job, slots
    WORKSPACE.arrays.clear()  # a parent's pages would be copied one by one when written to


def _work(number: int) -> Any:
    if _JOB is None:
        raise CodecError("the worker was not started properly")
    result = _JOB(number)
    return _SLOTS.put(number, result) if _SLOTS and isinstance(result, Stored) else result


def _can_fork() -> bool:
    """Tell whether worker processes may start as copies of this one, in a hundredth of the time.

    A copy has no other threads, but what they had locked stays locked. Daemon threads (progress
    bars, a notebook's heartbeat) do not matter: a worker waits for nothing of theirs.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    return sys.platform == "linux" and all(each.daemon for each in others)


def run_jobs(
    job: Callable[[int], Any], count: int, workers: int, shareable: bool, room: int = 0
) -> Iterator[Any]:
    """Run a job for 0 … count - 1, and yield the results in order.

    Parameters
    ----------
    job : callable
        Takes a number; can be pickled if `shareable`.
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
    if workers <= 1 or count < 2:
        yield from map(job, range(count))
        return
    forks = _can_fork()
    window = 2 * workers + 1
    slots: Slots | None = None
    pool: Executor
    if forks or shareable:
        if forks and room:
            slots = Slots(mmap.mmap(-1, room * (window + 1)), room, window + 1)
        context = multiprocessing.get_context("fork" if forks else "spawn")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # see _can_fork
            pool = ProcessPoolExecutor(workers, context, _start_worker, (job, slots))
            pool.submit(int)  # the processes start with the first task
        run: Callable[[int], Any] = _work
    else:
        pool, run = ThreadPoolExecutor(workers), job
    waiting: deque[tuple[int, Future[Any]]] = deque()

    def oldest() -> Any:
        number, future = waiting.popleft()
        result = future.result()
        return slots.get(number, result) if slots else result

    try:
        for number in range(count):
            waiting.append((number, pool.submit(run, number)))
            if len(waiting) == window:
                yield oldest()
        while waiting:
            yield oldest()
    except BrokenExecutor as error:
        raise CodecError("a worker process died; nothing was written") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
