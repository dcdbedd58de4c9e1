"""Several workers in one process, and the remains of killed ones."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lab.worker.run import PREFIX, Worker

LAST_SECONDS = 20.0
"""Time for almost finished tasks when the worker stops."""


class WorkerPool:
    """Several workers in one process, each with a task of its own.

    Parameters
    ----------
    workers
        The workers.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self._failed: BaseException | None = None
        self._left = threading.Semaphore(0)

    def run(self, *, idle: float | None = None, most: int | None = None) -> None:
        """Run all workers, each as `Worker.run`; Ctrl-C gives their tasks back."""
        for worker in self.workers:
            threading.Thread(target=self._one, args=(worker, idle, most), daemon=True).start()
        try:
            # Not by Thread.join: Python 3.11 takes a thread for ended if Ctrl-C interrupts that.
            for _ in self.workers:
                while not self._left.acquire(timeout=1):
                    pass
                if self._failed is not None:
                    raise self._failed
        finally:
            self._stop()

    def _one(self, worker: Worker, idle: float | None, most: int | None) -> None:
        try:
            worker.run(idle=idle, most=most)
        except BaseException as error:
            self._failed = error
        finally:
            self._left.release()

    def _stop(self) -> None:
        """Ask all workers to stop; tasks still running after a while are given back from here."""
        for worker in self.workers:
            worker.stopping.set()
        end = time.monotonic() + LAST_SECONDS
        for worker in self.workers:
            # A worker that waits for a message has nothing to give back and ends with the process.
            while worker.busy and time.monotonic() < end:
                time.sleep(0.05)
            worker.give_back()


def remove_leftovers(folder: Path) -> int:
    """Remove the remains of killed workers in a folder; return the number of their runs."""
    removed = 0
    for place in folder.glob(f"{PREFIX}*"):
        try:
            pid = int((place / "pid").read_text())
        except (OSError, ValueError):
            continue
        if not _alive(pid):
            shutil.rmtree(place, ignore_errors=True)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    """Tell whether a process runs; True if that cannot be known."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
