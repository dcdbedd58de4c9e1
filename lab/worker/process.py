"""The process of a task: started, waited for, stopped.

Where processes can be forked, it comes from a process that has the libraries loaded already
(``lab.tasks.warm``); elsewhere a new one is started. Neither inherits the worker's secrets.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from lab.tasks.trouble import MachineTrouble
from lab.worker.environments import Environments

SECRETS = re.compile(
    r"(FORNIX_(PASSWORD|TOKEN|USER|API_URL)|AWS_)|.*(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_KEY)",
    re.IGNORECASE,
)
"""Variables that a task's process does not inherit: Fornix's, and likely secrets of others."""

READY_SECONDS = 180
"""Longest time for loading the libraries."""

STOP_SECONDS = 5
"""Time for the warm process to end a task, or itself, before it is killed."""


def environment() -> dict[str, str]:
    """Return this process's environment without its secrets."""
    return {name: value for name, value in os.environ.items() if not SECRETS.match(name)}


class Process(Protocol):
    """A task's process."""

    parent_died: bool
    """Whether its parent has ended, so that tasks cannot be started."""

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return the exit code, None if it still runs after that time."""

    def stop(self) -> None:
        """End the process and its children; does nothing if it has ended."""


class Starter:
    """Starts the processes of tasks, one after the other.

    Parameters
    ----------
    environments
        Environments of tasks whose libraries clash with the worker's; none by default.
    """

    def __init__(self, environments: Environments | None = None) -> None:
        self._environments = environments
        self._warm: subprocess.Popen[bytes] | None = None

    def start(
        self, order: Path, result: Path, log: Path, folder: Path, executable: str = ""
    ) -> Process:
        """Start the process that carries out an order.

        Parameters
        ----------
        order, result
            Files of the order and of its result, as ``lab.tasks.run`` reads and writes them.
        log
            File for the process's output.
        folder
            Working folder of the process.
        executable
            The task, which may have its own environment; a missing one is built.

        Raises
        ------
        MachineTrouble
            The process cannot be started here.
        """
        own = self._environments.command(executable) if self._environments else None
        if self._environments is not None and own:
            variables = self._environments.variables(executable)
            return Started(order, result, log, folder, own, variables)
        if not hasattr(os, "fork"):
            return Started(order, result, log, folder, [sys.executable, "-m", "lab.tasks.run"])
        if self._warm is None or self._warm.poll() is not None:
            self.close()
            self._warm = subprocess.Popen(
                [sys.executable, "-m", "lab.tasks.warm"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
            self._await_ready(self._warm)
        paths = {"order": order, "result": result, "log": log, "folder": folder}
        return Forked(self._warm, {name: str(path) for name, path in paths.items()})

    def _await_ready(self, warm: subprocess.Popen[bytes]) -> None:
        """Wait until the libraries are loaded; this time does not count for a task.

        Raises
        ------
        MachineTrouble
            They cannot be loaded.
        """
        assert warm.stdout is not None  # noqa: S101 - it has pipes
        if not select.select([warm.stdout], [], [], READY_SECONDS)[0]:
            self.close()
            raise MachineTrouble(
                "environment", f"the libraries are not loaded after {READY_SECONDS} s"
            )
        if not os.read(warm.stdout.fileno(), 64):
            code = warm.wait()
            self.close()
            raise MachineTrouble(
                "environment", f"tasks cannot be started: Python ends with {code}"
            )

    def close(self) -> None:
        """End the process that forks the others."""
        if self._warm is not None:
            assert self._warm.stdin is not None  # noqa: S101 - it has pipes
            assert self._warm.stdout is not None  # noqa: S101
            self._warm.stdin.close()
            try:
                self._warm.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._warm.kill()
                self._warm.wait()
            self._warm.stdout.close()
            self._warm = None


class Forked:
    """A task's process forked from a warm one.

    Parameters
    ----------
    warm
        The warm process.
    order
        The order, as ``lab.tasks.warm`` reads it.
    """

    def __init__(self, warm: subprocess.Popen[bytes], order: dict[str, str]) -> None:
        assert warm.stdin is not None  # noqa: S101 - it has pipes
        assert warm.stdout is not None  # noqa: S101
        self._warm = warm
        self._orders, self._answers = warm.stdin.fileno(), warm.stdout.fileno()
        self._code: int | None = None
        self.parent_died = False
        self._tell(json.dumps(order).encode())

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return the exit code, None if it still runs after that time."""
        if self._code is None and select.select([self._answers], [], [], seconds)[0]:
            answer = os.read(self._answers, 64)
            # Without an answer the warm process has died, and the task with it.
            self.parent_died = not answer
            self._code = int(answer) if answer else self._warm.wait()
        return self._code

    def stop(self) -> None:
        """End the process and its children; does nothing if it has ended."""
        if self._code is None:
            self._tell(b"stop")
            if self.wait(STOP_SECONDS) is None:
                self._warm.kill()  # the task ends when its parent has ended
                self._code = self._warm.wait()

    def _tell(self, line: bytes) -> None:
        try:
            os.write(self._orders, line + b"\n")
        except BrokenPipeError:  # the warm process has died
            self.parent_died = True
            self._code = self._warm.wait()


class Started:
    """A task's process that was not forked."""

    parent_died = False

    def __init__(
        self,
        order: Path,
        result: Path,
        log: Path,
        folder: Path,
        command: Sequence[str],
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        with log.open("wb") as output:
            # Its own group on Windows, so that Ctrl-C does not reach it before the worker.
            self._process = subprocess.Popen(
                [*command, str(order), str(result), str(os.getpid())],
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                start_new_session=os.name == "posix",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment() | dict(variables),
                cwd=folder,
            )

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; return the exit code, None if it still runs after that time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the process; does nothing if it has ended."""
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif self._process.poll() is None:
            tree = ["taskkill", "/F", "/T", "/PID", str(self._process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
            self._process.kill()
        self._process.wait()
