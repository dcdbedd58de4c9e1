"""Writing several items at once, all or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from shared.records.errors import Conflict
from shared.records.table import connection

LIMIT = 100
"""Items that one transaction takes (DynamoDB)."""


class Refused(Conflict):
    """A condition of a transaction did not hold.

    Attributes
    ----------
    failed : set of str
        ``pk`` of the items whose condition failed, where known by position otherwise empty.
    """


@contextmanager
def transaction() -> Iterator[TransactWrite]:
    """Collect writes and commit them together when the block ends.

    Raises
    ------
    Refused
        If a condition did not hold, or another transaction was writing the same items.
    """
    try:
        with TransactWrite(connection=connection()) as writes:
            yield writes
    except TransactWriteError as error:
        codes = {reason.code for reason in error.cancellation_reasons if reason}
        if codes & {"ConditionalCheckFailed", "TransactionConflict"} or _busy(error):
            raise Refused("The record was changed by somebody else at the same time.") from error
        raise


def _busy(error: Any) -> bool:
    return error.cause_response_code in {
        "TransactionInProgressException",
        "TransactionConflictException",
    }
