"""The sweep: leases and tasks that ended, waiting tasks without a message, held ones that may run.

It makes up for killed workers and lost messages. It reads only what is unfinished.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.dispatch.plan import advance, announce
from shared.records import env, metrics, queues
from shared.records.errors import NotFound
from shared.tasks.states import Status
from shared.work import board, lease, read, write
from shared.work.read import Unfinished

log = logging.getLogger(__name__)

SETTLE = timedelta(seconds=60)
"""Younger tasks have their own messages on the way."""

HELD_FOR = timedelta(days=1)
"""Tasks held for longer are looked at only by a sweep of all."""

MOST = 500
"""Messages that one sweep sends to a lab."""

MOST_DUE = 100
"""Ends of tasks that one sweep of a lab follows up, each at the price of some queries."""


def sweep(
    *, everything: bool = False, at_start: bool = False, now: datetime | None = None
) -> dict[str, Any]:
    """Reconcile the tasks of all labs with their queues.

    Parameters
    ----------
    everything
        Look also at tasks that have been held for long.
    at_start
        The system has just been started: no message is on the way, and some may be lost.
    now
        The present moment.

    Returns
    -------
    dict
        How many leases were ended, messages sent, held sessions looked at, and ends of tasks
        followed up of which no word had come.
    """
    moment = now or datetime.now(UTC)
    settled = moment if at_start else moment - SETTLE
    counts = {"expired": 0, "due": 0, "sent": 0, "held": 0}
    oldest, silent = moment, 0
    for lab in env.labs():
        try:
            counts["expired"] += _expire(lab, moment)
            counts["due"] += _follow_up(lab, settled)
            waiting = list(read.unfinished(lab, Status.WAITING, before=settled))
            since = min((task.since for task in waiting), default=moment)
            oldest = min(oldest, since)
            silence = board.silence(lab, (moment - since).total_seconds(), moment)
            if silence:
                log.warning("%s", silence)
                silent += 1
            counts["sent"] += _send_again(lab, waiting[:MOST], always=at_start)
            counts["held"] += _promote(lab, settled, everything=everything)
        except Exception:  # one lab's trouble must not keep the others
            log.exception("the sweep of lab %s failed", lab)
    waited = round((moment - oldest).total_seconds())
    metrics.put({"OldestWaiting": waited, "LabsSilent": silent})
    return counts


def _expire(lab: str, moment: datetime) -> int:
    """End the leases that were not prolonged."""
    ended = 0
    for running in list(read.unfinished(lab, Status.STARTED, before=moment)):
        try:
            task = read.get_task(running.id)
        except NotFound:  # the index is behind: the session was deleted
            continue
        if lease.expire(task, now=moment):
            ended += 1
            if task.state is Status.WAITING:
                announce(task)
            else:
                advance(task.session)
                write.followed_up(task)
    return ended


def _follow_up(lab: str, settled: datetime) -> int:
    """Bring sessions forward whose tasks have ended without the word of it having arrived."""
    ended = read.due(lab, before=settled, most=MOST_DUE)
    for session in {item.session for item in ended}:
        with suppress(NotFound):
            advance(session)
        for item in ended:
            if item.session == session:
                item.delete()
    return len(ended)


def _send_again(lab: str, waiting: Sequence[Unfinished], *, always: bool) -> int:
    """Announce the waiting tasks again if the queue has fewer messages than there are tasks.

    Messages of tasks that are done may hide that one is lost, until a worker has cleared them
    away; so after a start, when some are likely to be lost, all are sent.
    """
    if not waiting or (not always and (queues.depth(queues.work_url(lab)) or 0) >= len(waiting)):
        return 0
    for unsent in waiting:
        try:
            announce(read.get_task(unsent.id))
        except NotFound:
            continue
    return len(waiting)


def _promote(lab: str, settled: datetime, *, everything: bool) -> int:
    """Look again at sessions with held tasks."""
    since = None if everything else settled - HELD_FOR
    held = read.unfinished(lab, Status.HELD, before=settled, after=since)
    by_session = {task.id.replace("-", "")[:12]: task.id for task in held}
    for task_id in by_session.values():
        try:
            advance(read.get_task(task_id).session, by_sweep=True)
        except NotFound:
            continue
    return len(by_session)
