"""Work on chunks by several processes, in order and in bounded memory.

Workers end when their parent does, and leave interrupts to it; whoever stops early has them
killed, for nothing they made is wanted then.
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

#: Seconds between two looks at whether a worker's turn has come.
PATIENCE = 0.0002
UNKNOWN = -1


class OrderedJob:
    """Makes any of the results of a piece of work; the same in whatever process it runs."""

    def __call__(self, number: int, shared: Any, /) -> Any:
        """Return one result, given what its run shares."""
        raise NotImplementedError

    def lead(self, number: int) -> Any:
        """Return what the results share whose numbers are in the run that starts here."""


class FilePlaces:
    """Where results go in a file: each behind the one before, whichever worker made it.

    Workers write what they made themselves, so that nothing is handed from process to process.
    The first of `count` results goes to byte `start`; nothing may be left in a buffer of the file.
    """

    def __init__(self, handle: int, start: int, count: int) -> None:
        self.handle, self.parent = handle, os.getpid()
        memory = mmap.mmap(-1, 8 * (count + 1))  # which processes forked from this one share
        self._ends = np.frombuffer(memory, np.int64)
        self._ends[:] = UNKNOWN
        self._ends[0] = start

    def write(self, number: int, sealed: Sealed) -> Sealed:
        """Write a result when the sizes of all before it are known, and return its facts."""
        while self._ends[number] == UNKNOWN:
            if self.parent not in (os.getpid(), os.getppid()):
                os._exit(1)  # the parent was killed, and with it whoever was to come before
            time.sleep(PATIENCE)
        position = int(self._ends[number])
        self._ends[number + 1] = position + sealed.size
        write_at(self.handle, position, sealed.pieces)
        return sealed._replace(pieces=())


class WorkItem(NamedTuple):
    """What a worker is asked for: what a run shares, or with that a result."""

    number: int
    leads: bool
    shared: Any = None


def _make(job: OrderedJob, places: FilePlaces | None, task: WorkItem) -> Any:
    """Make a result, and write it if it has a place."""
    if task.leads:
        return job.lead(task.number)
    result = job(task.number, task.shared)
    return result if places is None else places.write(task.number, result)


def _serve(
    job: OrderedJob, places: FilePlaces | None, mine: Connection, others: tuple[Connection, ...]
) -> None:
    """Do a worker's work until its parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to hear
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for each in others:  # the parent's ends, which a fork copies: held open, none would see it die
        each.close()
    WORKSPACE.arrays.clear()  # a parent's pages would be copied one by one when written to
    with contextlib.suppress(EOFError, OSError):
        while True:
            task: WorkItem = mine.recv()
            try:
                answer = True, _make(job, places, task)
            except Exception as error:
                answer = False, error
            mine.send(answer)


def _can_fork() -> bool:
    """Tell whether worker processes may start as copies of this one, in a hundredth of the time.

    A copy has no other threads, but what they had locked stays locked. Daemon threads (progress
    bars, a notebook's heartbeat) do not matter: a worker waits for nothing of theirs.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    return sys.platform == "linux" and all(each.daemon for each in others)


class WorkerProcesses:
    """Worker processes, each at the end of a pipe of its own."""

    def __init__(
        self, job: OrderedJob, places: FilePlaces | None, workers: int, forks: bool
    ) -> None:
        context: Any = multiprocessing.get_context("fork" if forks else "spawn")
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        masked = forks and hasattr(signal, "pthread_sigmask")
        if masked:  # until the workers have learnt to leave it to this process
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
        """Give a task to a worker that has none."""
        pipe = self.idle.pop()
        self.busy[pipe] = task
        try:
            pipe.send(task)
        except OSError as error:
            raise CodecError("a worker process died; nothing was written") from error

    def answers(self) -> Iterator[tuple[WorkItem, Any]]:
        """Wait for at least one worker, and yield what was asked with what came of it."""
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
        """End all workers, whatever they are at."""
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

    At most two results per worker wait at any time, so memory stays bounded. A job that is
    `shareable` can be pickled, and cheaply given to a fresh process; where another cannot go to
    one forked safely, this process works alone. With a target, a file and a first byte, results of
    type `Sealed` are written there one behind the other, and yielded without their pieces.
    """
    places = None
    if target is not None:
        file, start = target
        file.flush()
        places = FilePlaces(file.fileno(), start, count)
    forks = _can_fork()
    workers = min(workers, count)
    alone = multiprocessing.current_process().daemon  # which may have no children
    if workers <= 1 or alone or not (forks or shareable):
        shared: Any = None
        for number in range(count):
            shared = job.lead(number) if number % RUN == 0 else shared
            yield _make(job, places, WorkItem(number, False, shared))
        return
    pool = WorkerProcesses(job, places, workers, forks)
    try:
        for number, result in enumerate(_in_order(pool, count, 2 * workers + 1)):
            if places is not None and result.pieces:  # made where places are not shared
                result = places.write(number, result)
            yield result
    finally:
        pool.stop()


def _in_order(pool: WorkerProcesses, count: int, window: int) -> Iterator[Any]:
    """Have a pool make all results, at most `window` ahead of the one that is yielded next."""
    leads: dict[int, Any] = {}
    done: dict[int, Any] = {}
    next_lead, next_result, yielded = 0, 0, 0
    while yielded < count:
        while pool.idle:
            run = next_result // RUN * RUN
            if next_lead < count and next_lead <= run + RUN:  # in time: nobody waits for it
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
