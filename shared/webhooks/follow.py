"""Following the change feed: each committed change becomes deliveries, none is lost, none is two.

The feed is read from where it was read before, with an overlap, since an entry may come a moment
after the time that it has. A delivery's id is made of its webhook and its event, so what is read
twice is written once. The place is written last: stopped before, the next time reads it again.
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
"""So long after its time a delivery's message counts as lost; SQS delays by 15 minutes at most."""

MOST = 500
"""Lost messages that are sent again at a time."""

IDLE = timedelta(minutes=10)
"""Without webhooks the place is moved on so often."""

EXACT = timedelta(seconds=1)
"""Of the moment at which a webhook was made."""

Row = Mapping[str, Any]


def follow() -> int:
    """Write down what webhooks are to be told of what changed; return how many deliveries."""
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
    """Let the webhooks whose lab's the event is have it; return how many deliveries are new."""
    made = 0
    for hook in hooks:
        wanted = event.type in (hook.get("events") or ()) and hook["lab"] in event.labs
        if wanted and moment.utc(hook["created"]) <= moment.utc(event.at) + EXACT:
            made += start(hook["id"], event)
    return made


def start(webhook: str, event: HookEvent) -> bool:
    """Write down a delivery and announce it; again if that may not have been done."""
    item = store.make(webhook, event)
    if item.state == DeliveryState.WAITS and not item.tries:
        send(webhook, item.sk)
        return True
    return False


def send(webhook: str, delivery: str, delay: float = 0) -> None:
    """Announce that a delivery is to be made, after some seconds."""
    seconds = max(0, min(int(delay), 900))  # SQS delays no longer
    queues.send(queues.url("notices"), Deliver(webhook, delivery), seconds)


def give_up(item: Delivery) -> None:
    """Put a delivery's message where people find what could not be handled."""
    queues.send(queues.dead(queues.url("notices")), Deliver(item.webhook, item.sk))
