"""Entry point of the journal function, invoked by its schedule: ``{"kind": "journal"}``.

One invocation takes the feed into the journal twice, half a minute apart, so that the journal is
never a whole minute behind; with ``"once": true`` it does so once and answers.
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
"""Between the two times of an invocation; the schedule is a minute's."""

MANY = 100
"""Transactions of half a minute after which the snapshot may be due whatever they wrote."""

NIGHTLY_BACK = timedelta(days=3)


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Bring the journal up to date; make a snapshot when its log is long."""
    if event.get("kind") == "late":
        return {"late": search_late(NIGHTLY_BACK)}
    done = _append()
    if not event.get("once"):
        time.sleep(AGAIN_SECONDS)
        done += _append()
    made = compact()
    if done or made:
        logger.info("journal", extra={"transactions": done, "snapshot": made and made.number})
    return {"transactions": done, "snapshot": made.number if made else None}


def _append() -> int:
    """Take in the feed; say so if cache tables, or perhaps the snapshot, are to be made anew."""
    kinds: set[str] = set()
    done = append(kinds)
    if kinds & cache_tables.KINDS or done > MANY:
        queues.notify("analysis", TablesChanged())
    return done
