"""Deliveries and secrets in the table, and the place in the change feed.

``HOOK#<webhook>`` / ``<delivery>`` is a delivery: in gsi1 by time, and in gsi2 under
``HOOKS#waiting`` while it waits. ``HOOKKEY#<webhook>`` / ``A`` is a secret, in a partition that
only writers and the signer may read. ``HOOKS`` / ``read`` is the place in the feed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from shared.model import moment
from shared.model.webhooks import DeliveryState, HookEvent, HookTry
from shared.records import keys
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, conditional

KEPT = 30 * 24 * 3600
"""Seconds for which a delivery is kept in the log."""

WAITING = "HOOKS#waiting"


class HookKey(Record, discriminator="HookKey"):
    """The secret that a webhook's deliveries are signed with."""

    secret = BinaryAttribute(legacy_encoding=False, attr_name="sealed")


class FeedPlace(Record, discriminator="FeedPlace"):
    """The time until which the feed was read, and the latest entries already read."""

    at = UnicodeAttribute()
    seen = UnicodeAttribute(default="[]")


class Delivery(Record, discriminator="Delivery"):
    """One event for one webhook: its body, its state, each try."""

    event = UnicodeAttribute()
    body = UnicodeAttribute()
    made = UnicodeAttribute()
    state = UnicodeAttribute()
    tries = NumberAttribute(default=0)
    attempts = UnicodeAttribute(default="[]")
    next_at = UnicodeAttribute(null=True)
    expires = NumberAttribute()

    @property
    def webhook(self) -> str:
        """The webhook's id."""
        return keys.webhook_of(self.pk)

    @property
    def tried(self) -> list[HookTry]:
        """Each try."""
        return msgspec.json.decode(self.attempts, type=list[HookTry])


def secret_item(webhook: str, secret: str) -> HookKey:
    """Return the item of a secret."""
    return HookKey(pk=f"HOOKKEY#{webhook}", sk="A", secret=secret.encode())


def secret_of(webhook: str) -> str | None:
    """Return the secret of a webhook; None if it is gone."""
    try:
        return HookKey.get(f"HOOKKEY#{webhook}", "A", consistent_read=True).secret.decode()
    except HookKey.DoesNotExist:
        return None


def make(webhook: str, event: HookEvent) -> Delivery:
    """Write down an event's delivery, once; return it as stored."""
    key = str(uuid.uuid5(uuid.UUID(webhook), event.id))
    body = {
        "id": key,
        "type": event.type,
        "at": event.at,
        "labs": list(event.labs),
        "data": event.data,
    }
    now = moment.stamp()
    item = Delivery(
        pk=keys.webhook(webhook),
        sk=key,
        g1pk=keys.webhook(webhook),
        g1sk=f"{now}#{key}",
        g2pk=WAITING,
        g2sk=f"{now}#{key}",
        event=event.type,
        body=msgspec.json.encode(body).decode(),
        made=now,
        state=DeliveryState.WAITS,
        next_at=now,
        expires=int(time.time()) + KEPT,
    )
    try:
        with conditional():
            item.save(Record.pk.does_not_exist())
    except ConditionFailed:
        return Delivery.get(item.pk, item.sk, consistent_read=True)
    return item


def find(webhook: str, delivery: str) -> Delivery | None:
    """Return a delivery, read strongly; None if the log does not have it any more."""
    try:
        return Delivery.get(keys.webhook(webhook), delivery, consistent_read=True)
    except Delivery.DoesNotExist:
        return None


def of_webhook(webhook: str, before: str, most: int) -> list[Delivery]:
    """Return deliveries of a webhook, latest first, older than a moment if one is given."""
    until = Record.g1sk < before if before else None
    pk = keys.webhook(webhook)
    items = Record.gsi1.query(pk, until, scan_index_forward=False, limit=most)
    return [item for item in items if isinstance(item, Delivery)]


def overdue(since: timedelta, most: int) -> Iterator[tuple[str, str]]:
    """Yield webhook and id of waiting deliveries whose message seems to be lost."""
    last = moment.stamp(moment.now() - since)
    for item in Record.gsi2.query(WAITING, Record.g2sk < last, limit=most):
        yield keys.webhook_of(item.pk), str(item.sk)


def claim(item: Delivery) -> bool:
    """Count a try before it is made; False if somebody else has claimed it."""
    tries = int(item.tries)
    try:
        with conditional():
            item.update(actions=[Delivery.tries.set(tries + 1)], condition=Delivery.tries == tries)
    except ConditionFailed:
        return False
    return True


def note(
    item: Delivery, tried: Sequence[HookTry], state: DeliveryState, next_at: datetime | None
) -> None:
    """Record the result of a try and the time of the next one."""
    attempts: Any = msgspec.json.encode(list(tried)).decode()
    actions: list[Action] = [Delivery.attempts.set(attempts), Delivery.state.set(state)]
    if next_at is None:
        actions += [Delivery.next_at.remove(), Record.g2pk.remove(), Record.g2sk.remove()]
    else:
        at = moment.stamp(next_at)
        actions += [Delivery.next_at.set(at), Record.g2pk.set(WAITING)]
        actions += [Record.g2sk.set(f"{at}#{item.sk}")]
    item.update(actions=actions)


def again(item: Delivery) -> None:
    """Let a delivery wait again with the same id and body; its tries start from zero."""
    at = moment.stamp()
    item.update(
        actions=[
            Delivery.state.set(DeliveryState.WAITS),
            Delivery.next_at.set(at),
            Delivery.tries.set(0),
            Record.g2pk.set(WAITING),
            Record.g2sk.set(f"{at}#{item.sk}"),
        ]
    )


def place() -> FeedPlace | None:
    """Return the place in the feed; None if it was never read."""
    try:
        return FeedPlace.get("HOOKS", "read", consistent_read=True)
    except FeedPlace.DoesNotExist:
        return None


def set_place(at: str, seen: Sequence[str]) -> None:
    """Write down the place in the feed."""
    text = msgspec.json.encode(sorted(seen)).decode()
    FeedPlace(pk="HOOKS", sk="read", at=at, seen=text).save()
