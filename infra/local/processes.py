"""The processes of the embedded cloud's functions, and the requests that wait for them.

If all processes are busy, ministack starts another one, and the request waits until it is ready:
seconds on a busy computer. Here a process starts in the background, one at a time, and the request
takes the first free one. ministack keeps a function's first process for ever; here it ends when it
is idle and has grown, unless people wait for the function.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

FUNCTIONS = frozenset({"fornix-api"})
"""Functions that people wait for and that never call themselves: a self-call would wait for ever.
"""

BACKGROUND = frozenset({"fornix-analysis", "fornix-journal", "fornix-notices"})
"""Functions whose work may take longer while somebody waits for another: on AWS each has a
processor of its own, here a nightly build would have half of the computer's."""

NICE = 5
"""Priority of their processes: they get a third of what another wants, and all that none wants."""

LOWEST = 19
"""The lowest priority of a process on Unix."""

GROWN_MB = 220
"""Memory from which an idle process is not worth keeping: a large build or journal leaves it."""

log = logging.getLogger(__name__)


class Processes:
    """The processes of functions; replaces ministack's own management.

    Parameters
    ----------
    runtime
        ``ministack.core.lambda_runtime``.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        _lower_priorities(runtime.Worker)
        self._acquire, self._release = runtime.acquire_worker, runtime.release_worker
        self._reap = runtime.reap_idle_workers
        self._freed = threading.Condition()
        self._starting: set[str] = set()

    def acquire(
        self,
        name: str,
        config: dict[str, Any],
        code: bytes,
        qualifier: str = "$LATEST",
        max_concurrency: int | None = None,
    ) -> tuple[Any, str]:
        """Return a process of a function, and whether it existed before.

        Returns
        -------
        process : Worker
        how : str
            ``reused`` or ``spawn``; the first request of a function starts its process itself.
        """
        if name not in FUNCTIONS:
            lent: tuple[Any, str] = self._acquire(
                name, config, code, qualifier=qualifier, max_concurrency=max_concurrency
            )
            return lent
        key = self._runtime._worker_key(name, config, qualifier)
        with self._freed:
            while True:
                with self._runtime._lock:
                    pool = self._runtime._workers.setdefault(key, [])
                    free = [process for process in pool if not process.in_use]
                    ready = next((process for process in free if not died(process)), None)
                    if ready is not None:
                        return self._lend(ready), "reused"
                    process = None
                    if not pool or key not in self._starting:
                        if not free:
                            free = [self._runtime._worker_class_for(config)(name, config, code)]
                            pool += free
                        process = self._lend(free[0])
                        if len(pool) == 1:
                            return process, "spawn"
                if process is not None:
                    self._starting.add(key)
                    self._start_apart(key, process)
                self._freed.wait()

    def release(self, process: Any) -> None:
        """Take a process back; a waiting request may get it."""
        self._release(process)
        with self._freed:
            self._freed.notify_all()

    def reap(self, ttl: float | None = None) -> int:
        """End idle processes: further ones, and those that have grown; return how many."""
        ended: int = self._reap(ttl)
        idle_since = time.time() - (self._runtime._LOCAL_WORKER_TTL if ttl is None else ttl)
        grown = []
        with self._runtime._lock:
            for pool in self._runtime._workers.values():
                for process in list(pool):
                    idle = not process.in_use and process.last_used < idle_since
                    if idle and process.func_name not in FUNCTIONS and memory(process) > GROWN_MB:
                        pool.remove(process)
                        grown.append(process)
        self._runtime.kill_workers(grown)
        return ended + len(grown)

    @staticmethod
    def _lend(process: Any) -> Any:
        process.in_use, process.last_used = True, time.time()
        return process

    def _start_apart(self, key: str, process: Any) -> None:
        """Start a process in a thread, with ministack's context of the present request."""

        def start() -> None:
            try:
                self._runtime.ensure_spawned(process)
            except Exception:  # the next request starts it again and gets the error
                log.exception("a process of %s did not start", key)
            finally:
                with self._freed:
                    self._starting.discard(key)
                self.release(process)

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(start,), daemon=True).start()


def _lower_priorities(worker: Any) -> None:
    """Let processes of `BACKGROUND` that ministack's ``Worker`` starts yield to the others."""
    spawn = worker._spawn

    def spawn_lower(self: Any) -> None:
        spawn(self)
        if self.func_name in BACKGROUND and hasattr(os, "setpriority"):  # not on Windows
            own = os.getpriority(os.PRIO_PROCESS, 0)
            with contextlib.suppress(ProcessLookupError):  # it has ended at once
                os.setpriority(os.PRIO_PROCESS, self._proc.pid, min(LOWEST, own + NICE))

    worker._spawn = spawn_lower


def died(process: Any) -> bool:
    """Return whether a process that had started has ended: its next request starts it again."""
    started = process._proc
    return process._start_time is not None and (started is None or started.poll() is not None)


def memory(process: Any) -> float:
    """Return the resident memory of a function's process, MB; 0 where the system does not tell."""
    started = process._proc
    try:
        pages = int(Path(f"/proc/{started.pid}/statm").read_text().split()[1])
    except (OSError, AttributeError):  # not Linux, or it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
