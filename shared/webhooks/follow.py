"""Follow the change feed: each committed change becomes deliveries, exactly once.

Reading starts where it ended before, with an overlap, since an entry may appear a moment after
its own time. A delivery's id is made of its webhook and its event, so that an entry read twice
gives one delivery. The place is written last: after a crash the same entries are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from shared import catalog
from shared.model import moment
from shared.model.messages import Deliver
from shared.model.webhooks import DeliveryState, HookEvent
from shared.records import feed, queues
from shared.records.errors import NotFound
from shared.records.where import Where
from shared.sessions import store as sessions
from shared.webhooks import store
from shared.webhooks.events import events
from shared.webhooks.store import Delivery

LOST = timedelta(minutes=20)
"""Time after which a delivery's message counts as lost; SQS delays by 15 minutes at most."""

MOST = 500
"""Most lost messages sent again at a time."""

IDLE = timedelta(minutes=10)
"""Interval at which the place moves on without webhooks."""

EXACT = timedelta(seconds=1)
"""Precision of the moment at which a webhook was made."""

Row = Mapping[str, Any]


def follow() -> int:
    """Write down the deliveries of new changes; return how many there are."""
    hooks = catalog.table("webhook").select([Where("active", "exact", True)]).all()
    now, known = moment.now(), store.place()
    if known is None or not hooks:
        if known is None or now - moment.of_stamp(known.at) > IDLE:
            store.set_place(moment.stamp(now), [])
        return 0
    oldest = moment.stamp(now - feed.KEPT)
    start = max(moment.stamp(moment.of_stamp(known.at) - feed.OVERLAP), oldest)
    before = set(msgspec.json.decode(known.seen, type=list[str]))
    seen = set(before)
    made = 0
    for change in feed.since(start, seen):
        for event in events(change, _lab_of):
            made += deliver_to(hooks, event)
    near = moment.stamp(now - feed.OVERLAP)
    store.set_place(moment.stamp(now), [name for name in seen if name >= near])
    for webhook, delivery in store.overdue(LOST, MOST):
        send(webhook, delivery)
    return made


@lru_cache(maxsize=1024)
def _lab_of(session: str) -> str | None:
    """Return the lab of a session, which never changes; None if it is gone."""
    try:
        return str(sessions.get(session).lab)
    except NotFound:
        return None


def deliver_to(hooks: Iterable[Row], event: HookEvent) -> int:
    """Deliver an event to the webhooks of its lab; return how many deliveries are new."""
    made = 0
    for hook in hooks:
        wanted = event.type in (hook.get("events") or ()) and hook["lab"] in event.labs
        if wanted and moment.utc(hook["created"]) <= moment.utc(event.at) + EXACT:
            made += start(hook["id"], event)
    return made


def start(webhook: str, event: HookEvent) -> bool:
    """Write down a delivery and announce it; announce it again if that may have failed."""
    item = store.make(webhook, event)
    if item.state == DeliveryState.WAITS and not item.tries:
        send(webhook, item.sk)
        return True
    return False


def send(webhook: str, delivery: str, delay: float = 0) -> None:
    """Announce a delivery that is to be made after some seconds."""
    seconds = max(0, min(int(delay), 900))  # the longest delay of SQS
    queues.send(queues.url("notices"), Deliver(webhook, delivery), seconds)


def give_up(item: Delivery) -> None:
    """Put a delivery's message among those that could not be handled, for people to see."""
    queues.send(queues.dead(queues.url("notices")), Deliver(item.webhook, item.sk))
