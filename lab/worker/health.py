"""The resources of a worker's computer, and whether it can work at present."""

from __future__ import annotations

import os
import platform
import shutil
import uuid
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lab.tasks.trouble import MachineTrouble, available_memory, total_memory, trouble_of
from shared.model.task import Capabilities

RESERVE = 2**28
"""Free bytes of the worker's folder below which no task is started."""

PROBE = b"\0" * 2**16
"""Written and read back to check that the disk accepts data (quotas, read-only)."""

LEAST_MEMORY = 2**28
"""Bytes of available memory below which no task is started."""


@dataclass(frozen=True)
class Computer:
    """The computer, as a worker in a folder sees it.

    Parameters
    ----------
    folder
        Folder in which tasks run.
    reserve
        Bytes of its disk that must stay free.
    """

    folder: Path
    reserve: int = RESERVE

    def free(self) -> int:
        """Return the bytes that tasks may use."""
        return max(0, shutil.disk_usage(self.folder).free - self.reserve)

    def check(self) -> None:
        """Check whether tasks can run at all.

        Raises
        ------
        MachineTrouble
            The computer lacks something; the message says what.
        """
        try:
            left = shutil.disk_usage(self.folder).free
            if left < self.reserve:
                raise MachineTrouble(
                    "disk",
                    f"{self.folder} has {_size(left)} left; {_size(self.reserve)} stay free",
                )
            self._probe()
        except OSError as error:
            raise MachineTrouble("disk", f"{self.folder} takes no data: {error}") from None
        left_memory = available_memory()
        if left_memory is not None and left_memory < LEAST_MEMORY:
            raise MachineTrouble("memory", f"only {_size(left_memory)} of memory are left")

    def _probe(self) -> None:
        path = self.folder / f".fornix-probe-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        try:
            with path.open("wb") as file:
                file.write(PROBE)
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def capabilities(self, tasks: tuple[str, ...]) -> Capabilities:
        """Return the computer's resources.

        Parameters
        ----------
        tasks
            Executables that are installed and can run.
        """
        return Capabilities(
            cpu=os.cpu_count() or 1,
            gpu=graphics_cards(),
            ram=round((total_memory() or 0) / 2**30, 1) or 4.0,
            disk=self.free(),
            tasks=tasks,
        )


@cache
def graphics_cards() -> int:
    """Return the number of NVIDIA cards (Linux; elsewhere 0)."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GB"


def about() -> tuple[str, str]:
    """Return the computer's name and the version of Fornix on it."""
    return platform.node(), version("fornix")


def as_trouble(error: BaseException) -> MachineTrouble | None:
    """Return an exception as the computer's trouble, None if it is not."""
    kind = trouble_of(error)
    return MachineTrouble(kind, f"{type(error).__name__}: {error}") if kind else None
