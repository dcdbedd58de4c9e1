"""The workers' board: the last report of each worker of a lab."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from shared.model.task import LONGEST_LEASE, WorkerReport
from shared.records.table import Record
from shared.tasks.states import Status
from shared.work import read
from shared.work.item import stamp

SHOWN_SECONDS = 86400
"""How long a worker is shown after its last report."""


SILENT_SECONDS = 2 * 3600
"""A lab counts as silent after so long without a report, while tasks wait."""

WAITED_SECONDS = 1800
"""A shorter wait of tasks says nothing about the workers."""


class WorkerState(Record, discriminator="Worker"):
    """A worker's last report; ``WORKER#<lab>`` / its name. No part of a restore."""

    report = UnicodeAttribute()
    at = UnicodeAttribute()
    expires = NumberAttribute()


class SeenWorker(msgspec.Struct, frozen=True):
    """A worker's last report, and when it came (UTC)."""

    at: str
    report: WorkerReport


def save_report(lab: str, report: WorkerReport) -> None:
    """Keep a worker's report; a stopped worker is forgotten after an hour."""
    lifetime = 3600 if report.state == "stopped" else SHOWN_SECONDS
    WorkerState(
        pk=f"WORKER#{lab}",
        sk=report.worker,
        report=msgspec.json.encode(report).decode(),
        at=stamp(),
        expires=int(time.time()) + lifetime,
    ).save()


def workers(lab: str) -> list[SeenWorker]:
    """Return the workers of a lab with a recent report, the latest first."""
    now = datetime.now(UTC).timestamp()
    seen = [
        SeenWorker(item.at, msgspec.json.decode(item.report, type=WorkerReport))
        for item in WorkerState.query(f"WORKER#{lab}")
        if isinstance(item, WorkerState) and item.expires > now
    ]
    return sorted(seen, key=lambda each: each.at, reverse=True)


def silence(lab: str, waited: float, now: datetime | None = None) -> str | None:
    """Say how long a lab's workers have been silent while tasks wait; None if they are not.

    A resting worker has reported: the board says what its computer lacks. A worker with a task
    reports by its heartbeats.

    Parameters
    ----------
    lab
        The lab.
    waited
        Seconds for which its oldest task has waited.
    now
        The present moment.
    """
    if waited < WAITED_SECONDS:
        return None
    moment = now or datetime.now(UTC)
    latest = moment + timedelta(seconds=LONGEST_LEASE)
    if any(read.unfinished(lab, Status.STARTED, after=moment, before=latest, most=1)):
        return None
    spoken = (seen.at for seen in workers(lab) if seen.report.state != "stopped")
    last = max(spoken, default=None)
    if last is None:
        return f"No worker of {lab} runs, and its tasks wait."
    seconds = (moment - datetime.fromisoformat(last)).total_seconds()
    if seconds < SILENT_SECONDS:
        return None
    return f"No worker of {lab} has spoken for {seconds / 3600:.0f} h, and its tasks wait."
