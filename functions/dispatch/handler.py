"""Entry point of the dispatch function: what happened to sessions and tasks, and the sweep.

Queue messages: ``{"kind": "session.registered", "session": eid}``, with ``"again": true`` from
the reconciler; ``{"kind": "session.shown", "session": eid}``, when who may see it has changed;
``{"kind": "task.changed", "task": id}``.
Invoked directly: ``{"kind": "sweep"}``, with ``"all": true`` for tasks held long, with ``"start":
true`` when the whole system has just been started.
"""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

from functions.dispatch.plan import session_registered, session_shown, task_changed
from functions.dispatch.sweep import sweep
from shared.records.errors import NotFound

logger = Logger()
processor = BatchProcessor(
    EventType.SQS,
    raise_on_entire_batch_failure=False,
    logger=logger,  # type: ignore[arg-type]  # it has the methods of logging.Logger
)


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Handle a batch of queue messages, or a schedule's call."""
    if event.get("kind") == "sweep":
        at_start = bool(event.get("start"))
        return sweep(everything=at_start or bool(event.get("all")), at_start=at_start)
    return dict(
        process_partial_response(
            event=event, record_handler=handle, processor=processor, context=context
        )
    )


def handle(record: dict[str, Any]) -> None:
    """Handle one queue message; of a thing that is gone there is nothing to do."""
    message = json.loads(record["body"])
    try:
        if message["kind"] == "session.registered":
            session_registered(message["session"], tell_end=not message.get("again"))
        elif message["kind"] == "session.shown":
            session_shown(message["session"])
        elif message["kind"] == "task.changed":
            task_changed(message["task"])
        else:
            raise ValueError(f"unknown message {message['kind']!r}")
    except NotFound as error:
        logger.warning("nothing to do: %s", error)
