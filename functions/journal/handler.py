"""Entry point of the journal function, invoked by its schedule: ``{"kind": "journal"}``.

One invocation appends the feed to the journal twice, half a minute apart, so that the journal is
never a whole minute behind. With ``"once": true`` it does so once and answers.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger

from functions.journal.append import append, compact, search_late
from shared.catalog import cache_tables
from shared.model.messages import TablesChanged
from shared.records import queues

logger = Logger()

AGAIN_SECONDS = 30
"""Seconds between the two runs of an invocation; the schedule is every minute."""

MANY = 100
"""Transactions of one run after which cache tables and snapshot may be due."""

NIGHTLY_BACK = timedelta(days=3)


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Update the journal; make a snapshot when its log is long."""
    if event.get("kind") == "late":
        return {"late": search_late(NIGHTLY_BACK)}
    done = _append()
    if not event.get("once"):
        time.sleep(AGAIN_SECONDS)
        done += _append()
    snapshot = compact()
    if done or snapshot:
        logger.info(
            "journal", extra={"transactions": done, "snapshot": snapshot and snapshot.number}
        )
    return {"transactions": done, "snapshot": snapshot.number if snapshot else None}


def _append() -> int:
    """Append the feed; send a message if cache tables, or the snapshot, are to be rebuilt."""
    kinds: set[str] = set()
    done = append(kinds)
    if kinds & cache_tables.KINDS or done > MANY:
        queues.notify("analysis", TablesChanged())
    return done
