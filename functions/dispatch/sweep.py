"""The sweep: expired leases, ended tasks, waiting tasks without a message, held ones that may run.

It repairs the effects of killed workers and lost messages. It reads unfinished tasks only.
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
"""Messages of younger tasks are still on their way."""

HELD_FOR = timedelta(days=1)
"""Tasks held for longer are checked only by a full sweep."""

MOST = 500
"""Most messages that one sweep sends to a lab."""

MOST_DUE = 100
"""Most ended tasks that one sweep handles per lab; each costs some queries."""


def sweep(
    *, everything: bool = False, at_start: bool = False, now: datetime | None = None
) -> dict[str, Any]:
    """Reconcile the tasks of all labs with their queues.

    Parameters
    ----------
    everything
        Check tasks that have been held for long, too.
    at_start
        The system has just started: no message is on its way, and some may be lost.
    now
        The present moment.

    Returns
    -------
    dict
        Counts of expired leases, messages sent, held sessions checked, and ended tasks handled
        whose message was lost.
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
        except Exception:  # an error of one lab must not stop the others
            log.exception("the sweep of lab %s failed", lab)
    waited = round((moment - oldest).total_seconds())
    metrics.put({"OldestWaiting": waited, "LabsSilent": silent})
    return counts


def _expire(lab: str, moment: datetime) -> int:
    """End the expired leases."""
    ended = 0
    for running in list(read.unfinished(lab, Status.STARTED, before=moment)):
        try:
            task = read.get_task(running.id)
        except NotFound:  # the index is outdated: the session was deleted
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
    """Advance sessions with ended tasks whose message was lost."""
    ended = read.due(lab, before=settled, most=MOST_DUE)
    for session in {item.session for item in ended}:
        with suppress(NotFound):
            advance(session)
        for item in ended:
            if item.session == session:
                item.delete()
    return len(ended)


def _send_again(lab: str, waiting: Sequence[Unfinished], *, always: bool) -> int:
    """Announce the waiting tasks again if there are more of them than messages in the queue.

    Old messages of done tasks can hide a lost one until a worker removes them. So after a start,
    when losses are likely, all are sent.
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
    """Check sessions with held tasks again."""
    since = None if everything else settled - HELD_FOR
    held = read.unfinished(lab, Status.HELD, before=settled, after=since)
    by_session = {task.id.replace("-", "")[:12]: task.id for task in held}
    for task_id in by_session.values():
        try:
            advance(read.get_task(task_id).session, by_sweep=True)
        except NotFound:
            continue
    return len(by_session)
