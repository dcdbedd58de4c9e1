"""A process that has loaded the libraries of tasks, and forks one process for each task.

Loading numpy, pandas and scipy takes longer than most tasks of a behaviour session do. As a
program (``python -m lab.tasks.warm``) it reads orders from its standard input, one JSON object
``{"order", "result", "log", "folder"}`` of paths per line. It answers each with a line with the
exit code once the task's process and all its children have ended. Before the first order it says
``ready``. The line ``stop`` ends the running task at once. When the input ends, because its
worker has ended in any way, the running task and this program end, too.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from lab.tasks import run

MODULES = (
    "shared.science.behaviour.trials",
    "shared.science.behaviour.wheel",
    "shared.alf.io",
    "pandas",
    "pyarrow.parquet",
    "scipy.ndimage",
)
"""Modules that the built-in tasks import when they run."""

STOP, READY = b"stop", b"ready\n"

_CHILD_SUBREAPER = 36  # Linux, prctl(2)


def warm() -> None:
    """Load the libraries of tasks; a missing one fails in the task that needs it."""
    for module in MODULES:
        with suppress(ImportError):
            import_module(module)
    for name in run.names():
        with suppress(run.UnknownTask, ImportError):
            run.implementation(name)
    run.environment()
    gc.collect()
    gc.freeze()  # no collection examines these objects again, in children either


class Server:
    """Forks a process for each order, one at a time.

    Parameters
    ----------
    orders, answers
        File descriptors to read from and to write to.
    """

    def __init__(self, orders: int, answers: int) -> None:
        self.orders, self.answers, self.pid = orders, answers, str(os.getpid())
        self.child: int | None = None
        self.ended, self.wakeup = os.pipe()
        os.set_blocking(self.wakeup, False)

    def serve(self) -> None:
        """Carry out orders until the input ends."""
        signal.set_wakeup_fd(self.wakeup)  # a byte arrives there when a child has ended
        signal.signal(signal.SIGCHLD, lambda *_: None)
        left = b""
        while True:
            ready, _, _ = select.select([self.orders, self.ended], [], [])
            if self.ended in ready:
                os.read(self.ended, 64)
                self._collect()
            if self.orders in ready:
                received = os.read(self.orders, 65536)
                if not received:
                    self._kill()
                    return
                *lines, left = (left + received).split(b"\n")
                for line in lines:
                    self._obey(line)

    def _obey(self, line: bytes) -> None:
        """Start a task, or stop the running one."""
        if line == STOP:
            self._kill()
            return
        order = json.loads(line)
        self.child = os.fork()
        if self.child == 0:
            self._become(order)
        with suppress(OSError):  # parent or child, whoever is first: the child gets its own group
            os.setpgid(self.child, self.child)

    def _become(self, order: Mapping[str, str]) -> None:
        """Become the task's process, to its end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with suppress(OSError):
                os.setpgid(0, 0)
            os.chdir(order["folder"])
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for fd in (self.orders, self.answers, self.ended, self.wakeup):
                os.close(fd)
            os.dup2(nothing, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = run.main(order["order"], order["result"], self.pid)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _collect(self) -> None:
        """Report the end of the task's process, once it has ended, and end its children."""
        if self.child is None:
            return
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if os.waitid(os.P_PID, self.child, options) is None:
            return
        self._kill()  # not reaped yet, so the id is still its group's
        _, status = os.waitpid(self.child, 0)
        self.child = None
        _end_children()
        os.write(self.answers, b"%d\n" % os.waitstatus_to_exitcode(status))

    def _kill(self) -> None:
        """End the task's process and all its children."""
        if self.child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child, signal.SIGKILL)


def _adopt() -> None:
    """Become the parent of orphaned processes of tasks, even in groups of their own (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_children() -> None:
    """End every remaining process of the task."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        try:
            left = [int(pid) for pid in listed.read_text().split()]
        except OSError:  # not Linux
            return
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def main() -> None:
    """Serve on standard input and output; messages while loading go to standard error."""
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    warm()
    _adopt()
    os.write(answers, READY)
    Server(orders, answers).serve()


if __name__ == "__main__":
    main()
