"""Faults of a computer, which say nothing about the task that met them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from shared.model.task import Trouble

DISK = frozenset({errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""No space, no quota, a disk that has become read-only or fails."""

MEMORY = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
"""No memory, files or processes left."""

WITHOUT_A_RESULT = 75
"""Exit code of a task's process that could not even write its result (``EX_TEMPFAIL``)."""


class MachineTrouble(Exception):
    """A computer cannot run a task now.

    Attributes
    ----------
    kind
        The missing resource.
    """

    def __init__(self, kind: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.kind: Trouble = kind


def trouble_of(error: BaseException) -> Trouble | None:
    """Return the computer's trouble if an exception or its cause shows one; else None."""
    for cause in _chain(error):
        if isinstance(cause, MachineTrouble):
            return cause.kind
        if isinstance(cause, OSError) and cause.errno in DISK:
            return "disk"
        if isinstance(cause, MemoryError) or (
            isinstance(cause, OSError) and cause.errno in MEMORY and not _of_the_network(cause)
        ):
            return "memory"
        if isinstance(cause, ImportError):
            return "environment"
    return None


def available_memory() -> int | None:
    """Return the bytes for new processes, None if the platform does not tell (Linux does)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next(
        (1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None
    )


def total_memory() -> int | None:
    """Return the bytes of this computer's memory, None if the platform does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_the_network(error: OSError) -> bool:
    return isinstance(error, ConnectionError | TimeoutError | BlockingIOError)
