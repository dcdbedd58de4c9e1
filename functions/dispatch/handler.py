"""Entry point of the dispatch function: events of sessions and tasks, and the sweep.

Queue messages are those of `shared.model.messages`; invoked directly with ``Sweep``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from functions.dispatch.plan import session_registered, session_shown, task_changed
from functions.dispatch.sweep import sweep
from shared.model import messages
from shared.model.messages import SessionRegistered, SessionShown, Sweep, TaskChanged
from shared.records import batches
from shared.records.errors import NotFound

logger = Logger()


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Handle a batch of queue messages, or a schedule's call."""
    if "kind" in event:
        order = msgspec.convert(event, Sweep)
        return sweep(everything=order.start or order.all, at_start=order.start)
    return batches.handled(event, handle, context, logger)


def handle(record: dict[str, Any]) -> None:
    """Handle one queue message; messages about deleted things are ignored."""
    try:
        match messages.decode(record["body"]):
            case SessionRegistered(session=session, again=again):
                session_registered(session, tell_end=not again)
            case SessionShown(session=session):
                session_shown(session)
            case TaskChanged(task=task):
                task_changed(task)
            case other:
                raise ValueError(f"not a message for dispatch: {other!r}")
    except NotFound as error:
        logger.warning("nothing to do: %s", error)
