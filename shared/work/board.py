"""What the board shows: how a lab's workers say they are."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from shared.model.task import WorkerReport
from shared.records.table import Record
from shared.work.item import stamp

SHOWN_SECONDS = 86400
"""How long a worker that says nothing more is shown."""


class WorkerState(Record, discriminator="Worker"):
    """What a worker has last said; ``WORKER#<lab>`` / its name. No part of a restore."""

    report = UnicodeAttribute()
    at = UnicodeAttribute()
    expires = NumberAttribute()


class SeenWorker(msgspec.Struct, frozen=True):
    """A worker's last report, and when it came (UTC)."""

    at: str
    report: WorkerReport


def save_report(lab: str, report: WorkerReport) -> None:
    """Keep what a worker of a lab says; a stopped one is forgotten after an hour."""
    kept = 3600 if report.state == "stopped" else SHOWN_SECONDS
    WorkerState(
        pk=f"WORKER#{lab}",
        sk=report.worker,
        report=msgspec.json.encode(report).decode(),
        at=stamp(),
        expires=int(time.time()) + kept,
    ).save()


def workers(lab: str) -> list[SeenWorker]:
    """Return the workers of a lab that have spoken lately, the latest first."""
    now = datetime.now(UTC).timestamp()
    seen = [
        SeenWorker(item.at, msgspec.json.decode(item.report, type=WorkerReport))
        for item in WorkerState.query(f"WORKER#{lab}")
        if isinstance(item, WorkerState) and item.expires > now
    ]
    return sorted(seen, key=lambda each: each.at, reverse=True)
