"""Search: every kind of record in memory, caught up with what was written a moment ago.

`table` returns a kind's rows; after `start_request`, the next access catches up first.
"""

from shared.catalog.damaged import Damaged
from shared.catalog.index import (
    Index,
    as_of,
    current,
    leave_snapshot,
    reset_for_tests,
    start_request,
    table,
    write_snapshot,
)
from shared.catalog.planned import planned

__all__ = [
    "Damaged",
    "Index",
    "as_of",
    "current",
    "leave_snapshot",
    "planned",
    "reset_for_tests",
    "start_request",
    "table",
    "write_snapshot",
]
