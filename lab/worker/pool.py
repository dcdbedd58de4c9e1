"""Several workers in one process, and what killed ones have left behind."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lab.worker.run import PREFIX, Worker

LAST_SECONDS = 20.0
"""How long tasks that are nearly done may still take when the worker stops."""


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
        """Have all work, each as `Worker.run`; Ctrl-C gives their tasks back."""
        for worker in self.workers:
            threading.Thread(target=self._one, args=(worker, idle, most), daemon=True).start()
        try:
            # Not by Thread.join: Python 3.11 takes a thread for ended when Ctrl-C cuts that short.
            for _ in self.workers:
                while not self._left.acquire(timeout=1):
                    pass
                if self._failed is not None:
                    raise self._failed
        finally:
            self._stop()

    def drain(self) -> None:
        """Have each end its task, and begin no other."""
        for worker in self.workers:
            worker.draining.set()

    def _one(self, worker: Worker, idle: float | None, most: int | None) -> None:
        try:
            worker.run(idle=idle, most=most)
        except BaseException as error:
            self._failed = error
        finally:
            self._left.release()

    def _stop(self) -> None:
        """Tell all to stop; what is not given back or done in time is given back from here."""
        for worker in self.workers:
            worker.stopping.set()
        end = time.monotonic() + LAST_SECONDS
        for worker in self.workers:
            # One that waits for a message has nothing to give back, and ends with the process.
            while worker.busy and time.monotonic() < end:
                time.sleep(0.05)
            worker.give_back()


def remove_leftovers(folder: Path) -> int:
    """Remove what killed workers have left in a folder; return how many runs that were."""
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
    """Tell whether a process runs; where that cannot be known, say yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
