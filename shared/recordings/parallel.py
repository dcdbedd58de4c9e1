"""Work on chunks by several processes, in order and in bounded memory.

Workers end with their parent, and leave interrupts to it. If the parent stops early, it kills the
workers, because nobody needs their results.
"""

import contextlib
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Generator, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from shared.codec.chunk import Sealed
from shared.codec.errors import CodecError
from shared.codec.files import write_at
from shared.codec.workspace import WORKSPACE
from shared.codec.writer import RUN

#: Seconds between two checks whether it is a worker's turn.
PATIENCE = 0.0002
UNKNOWN = -1


class OrderedJob:
    """Makes the numbered results of a job; each is the same in any process."""

    def __call__(self, number: int, shared: Any, /) -> Any:
        """Return one result, given the shared value of its run."""
        raise NotImplementedError

    def lead(self, number: int) -> Any:
        """Return the shared value of the run of results that starts with this number."""


class FilePlaces:
    """The places of results in a file: each after the one before, whichever worker made it.

    Workers write their results themselves, so that no data go from process to process. The first
    of `count` results goes to byte `start`; the file's buffer must be empty.
    """

    def __init__(self, handle: int, start: int, count: int) -> None:
        self.handle, self.parent = handle, os.getpid()
        memory = mmap.mmap(-1, 8 * (count + 1))  # shared with processes forked from this one
        self._ends = np.frombuffer(memory, np.int64)
        self._ends[:] = UNKNOWN
        self._ends[0] = start

    def write(self, number: int, sealed: Sealed) -> Sealed:
        """Write a result once the sizes of all earlier ones are known; return its facts."""
        while self._ends[number] == UNKNOWN:
            if self.parent not in (os.getpid(), os.getppid()):
                os._exit(1)  # the parent was killed, and with it the worker of the earlier result
            time.sleep(PATIENCE)
        position = int(self._ends[number])
        self._ends[number + 1] = position + sealed.size
        write_at(self.handle, position, sealed.pieces)
        return sealed._replace(pieces=())


class WorkItem(NamedTuple):
    """A worker's task: the shared value of a run, or one result, given that value."""

    number: int
    leads: bool
    shared: Any = None


def _make(job: OrderedJob, places: FilePlaces | None, task: WorkItem) -> Any:
    """Make a result; write it if it has a place."""
    if task.leads:
        return job.lead(task.number)
    result = job(task.number, task.shared)
    return result if places is None else places.write(task.number, result)


def _serve(
    job: OrderedJob, places: FilePlaces | None, mine: Connection, others: tuple[Connection, ...]
) -> None:
    """Serve a worker's tasks until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # left to the parent
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for each in others:  # ends copied by the fork, which would hide the parent's death
        each.close()
    WORKSPACE.arrays.clear()  # writing to the parent's pages would copy them one by one
    with contextlib.suppress(EOFError, OSError):
        while True:
            task: WorkItem = mine.recv()
            try:
                answer = True, _make(job, places, task)
            except Exception as error:
                answer = False, error
            mine.send(answer)


def _can_fork() -> bool:
    """Return whether workers may start by a fork, in a hundredth of the time.

    A forked process has no other threads, but their locks stay locked. Daemon threads (progress
    bars, a notebook's heartbeat) do not matter, because workers need none of their locks.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    return sys.platform == "linux" and all(each.daemon for each in others)


class WorkerProcesses:
    """Worker processes, each with its own pipe."""

    def __init__(
        self, job: OrderedJob, places: FilePlaces | None, workers: int, forks: bool
    ) -> None:
        context: Any = multiprocessing.get_context("fork" if forks else "spawn")
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        masked = forks and hasattr(signal, "pthread_sigmask")
        if masked:  # until the workers ignore the signal
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            for _ in range(workers):
                ours, theirs = context.Pipe()
                self.pipes.append(ours)
                inherited = tuple(self.pipes) if forks else ()
                arguments = job, places if forks else None, theirs, inherited
                process = context.Process(target=_serve, args=arguments, daemon=True)
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # _can_fork
                    process.start()
                theirs.close()
                self.processes.append(process)
        except BaseException:
            self.stop()
            raise
        finally:
            if masked:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.idle, self.busy = list(self.pipes), dict[Connection, WorkItem]()

    def ask(self, task: WorkItem) -> None:
        """Give a task to an idle worker."""
        pipe = self.idle.pop()
        self.busy[pipe] = task
        try:
            pipe.send(task)
        except OSError as error:
            raise CodecError("a worker process died; nothing was written") from error

    def answers(self) -> Iterator[tuple[WorkItem, Any]]:
        """Wait for at least one worker; yield the finished tasks with their results."""
        for pipe in cast("list[Connection]", wait(list(self.busy))):
            try:
                worked, answer = pipe.recv()
            except (EOFError, OSError) as error:
                raise CodecError("a worker process died; nothing was written") from error
            if not worked:
                raise answer
            self.idle.append(pipe)
            yield self.busy.pop(pipe), answer

    def stop(self) -> None:
        """Kill all workers."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()
            process.close()
        for pipe in self.pipes:
            pipe.close()


def run_jobs(
    job: OrderedJob,
    count: int,
    workers: int,
    shareable: bool,
    target: tuple[BinaryIO, int] | None = None,
) -> Generator[Any, None, None]:
    """Run a job for 0 … count - 1, and yield the results in order.

    At most two results per worker wait at any time, so memory stays bounded. A `shareable` job can
    be pickled, and is cheap to send to a new process. If a job is not shareable and a fork is not
    safe, this process works alone. With a target (a file and a first byte), results of type
    `Sealed` are written there one after the other, and yielded without their pieces.
    """
    places = None
    if target is not None:
        file, start = target
        file.flush()
        places = FilePlaces(file.fileno(), start, count)
    forks = _can_fork()
    workers = min(workers, count)
    alone = multiprocessing.current_process().daemon  # daemons may have no children
    if workers <= 1 or alone or not (forks or shareable):
        shared: Any = None
        for number in range(count):
            shared = job.lead(number) if number % RUN == 0 else shared
            yield _make(job, places, WorkItem(number, False, shared))
        return
    pool = WorkerProcesses(job, places, workers, forks)
    try:
        for number, result in enumerate(_in_order(pool, count, 2 * workers + 1)):
            if places is not None and result.pieces:  # the worker did not write it
                result = places.write(number, result)
            yield result
    finally:
        pool.stop()


def _in_order(pool: WorkerProcesses, count: int, window: int) -> Iterator[Any]:
    """Yield all results of a pool in order; work at most `window` results ahead."""
    leads: dict[int, Any] = {}
    done: dict[int, Any] = {}
    next_lead, next_result, yielded = 0, 0, 0
    while yielded < count:
        while pool.idle:
            run = next_result // RUN * RUN
            if next_lead < count and next_lead <= run + RUN:  # early, so that nobody waits for it
                pool.ask(WorkItem(next_lead, True))
                next_lead += RUN
            elif next_result < min(count, yielded + window) and run in leads:
                pool.ask(WorkItem(next_result, False, leads[run]))
                next_result += 1
                leads.pop(run - RUN, None)
            else:
                break
        if yielded in done:
            yield done.pop(yielded)
            yielded += 1
            continue
        for task, answer in pool.answers():
            (leads if task.leads else done)[task.number] = answer
