"""The loop that tries a write again if another writer was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from shared.records.errors import Conflict
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction

T = TypeVar("T")

TRIES = 12
"""Most tries; enough for sixteen concurrent writers of one record."""

FIRST_WAIT, LONGEST_WAIT = 0.005, 0.25
"""Longest waits in seconds: before the second try, and before any later one."""

AT_ONCE = 90
"""Most items of one transaction."""


def retried(step: Callable[[], T], message: str, *, tries: int = TRIES) -> T:
    """Return a step's result; while its transaction is refused, repeat the whole step.

    The waits are random, so that colliding writers do not collide again.

    Parameters
    ----------
    step : callable
        Reads, decides and writes in a transaction.
    message : str
        Message of the error if others kept writing.
    tries : int
        Most tries of the step.

    Raises
    ------
    Conflict
        If others kept writing.
    """
    for done in range(tries):
        try:
            return step()
        except ConditionFailed:
            if done < tries - 1:
                longest = min(LONGEST_WAIT, FIRST_WAIT * 2**done)
                time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
    raise Conflict(message)


def save_all(items: Sequence[Record]) -> None:
    """Write items without conditions, replacing existing ones; all are journaled."""
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]

        def save(some: Sequence[Record] = some) -> None:
            with transaction() as writes:
                for item in some:
                    writes.save(item)

        retried(save, "These records are being changed by others; try again.")
