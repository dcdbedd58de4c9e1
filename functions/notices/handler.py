"""Entry point of the notices function: hourly notices, bounced e-mails, webhooks.

Invoked by its queue, and by schedules with ``{"kind": "notices"}`` and ``{"kind": "changes"}``.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger

import shared.datasets.read
import shared.sessions.store
import shared.work.item  # noqa: F401 - what is listed
from shared import catalog
from shared.model.notices import Outcome
from shared.model.webhooks import DeliveryState
from shared.notices import gather, mail, store
from shared.records import batches, metrics
from shared.science.notices.due import due
from shared.science.notices.recipients import recipients
from shared.webhooks import deliver, follow

logger = Logger()


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Handle a batch of queue messages, or a schedule's call."""
    catalog.start_request()
    if "Records" in event:
        return batches.handled(event, handle, context, logger)
    return act(event)


def act(event: dict[str, Any]) -> dict[str, Any]:
    """Run the action of a schedule.

    Raises
    ------
    ValueError
        On an event of an unknown kind.
    """
    if event.get("kind") == "notices":
        return notices()
    if event.get("kind") == "changes":
        return {"deliveries": follow.follow()}
    raise ValueError(f"no notices for events of kind {event.get('kind')!r}")


def handle(record: dict[str, Any]) -> None:
    """Handle one queue message: a delivery, one of the mail service, or a repeated schedule's."""
    body = json.loads(record["body"])
    if body.get("kind") == "deliver":
        _deliver(body["webhook"], body["delivery"])
    elif "eventType" not in body:
        act(body)
    elif (fate := mail.read_event(body)) is not None:
        store.note(fate)


def _deliver(webhook: str, delivery: str) -> None:
    ended = deliver.deliver(webhook, delivery)
    counted = {DeliveryState.DONE: "HooksDelivered", DeliveryState.FAILED: "HooksFailed"}
    if ended in counted:
        metrics.put({counted[ended]: 1}, webhook=webhook)


def notices() -> dict[str, Any]:
    """Create the due notices of all labs, once each, and deliver those whose time has come.

    Returns
    -------
    dict
        The number of new notices, and the numbers of delivered ones by outcome.
    """
    created = 0
    people, rules = gather.people(), gather.rules()
    for lab in gather.labs():
        try:
            facts = gather.facts_of(lab)
            for notice in due(facts):
                for person, rule in recipients(notice, facts.lab, people, rules):
                    created += store.tell(notice, facts, person, rule) is not None
        except Exception:  # an error of one lab must not stop the others
            logger.exception("the notices of lab %s failed", lab["name"])
    catalog.start_request()
    outcomes = deliver_waiting()
    metrics.put({"NoticesMade": created} if created else {})
    return {"made": created, "told": dict(outcomes)}


def deliver_waiting() -> Counter[str]:
    """Deliver all notices whose time has come; return their numbers by outcome."""
    outcomes: Counter[str] = Counter()
    for notice in store.waiting():
        try:
            outcome = store.deliver(notice["id"])
        except Exception:
            logger.exception("notice %s could not be told", notice["id"])
            continue
        if outcome is not None:
            outcomes[outcome] += 1
    counts = {"MailsSent": outcomes[Outcome.SENT], "MailsFailed": outcomes[Outcome.FAILED]}
    metrics.put({name: count for name, count in counts.items() if count})
    return outcomes
