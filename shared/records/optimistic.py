"""The one loop that tries a write again when somebody else was faster."""

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
"""Of sixteen writers of one record the last one gets through."""

FIRST_WAIT, LONGEST_WAIT = 0.005, 0.25
"""Seconds to wait at most before the second try, and before any."""

AT_ONCE = 90
"""Items of one transaction."""


def retried(step: Callable[[], T], message: str, *, tries: int = TRIES) -> T:
    """Return what a step returns; while it is refused, do it again from its first read on.

    The waits are random, so that writers who met once do not meet again.

    Parameters
    ----------
    step : callable
        Reads, decides and writes in a transaction.
    message : str
        What to say when others kept writing.
    tries : int
        Times the step is done at most.

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
    """Write items that stand for themselves, whatever was there; all are journaled."""
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]

        def save(some: Sequence[Record] = some) -> None:
            with transaction() as writes:
                for item in some:
                    writes.save(item)

        retried(save, "These records are being changed by others; try again.")
