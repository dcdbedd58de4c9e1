"""Entry point of the ingest function: S3 events, requests to finalise, the reconciler's schedule.

Queue messages: S3 event notifications of ``incoming/``; ``{"kind": "finalise", "upload": id}``;
``{"kind": "index", "dataset": id}`` for a large file stored before indexes existed. Invoked
directly: ``{"kind": "reconcile"}``, with ``"start": true`` when the whole system has just been
started.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger

from functions.ingest.backfill import make_index
from functions.ingest.finalise import finalise
from functions.ingest.images import keep
from functions.ingest.reconcile import reconcile
from shared.records import batches
from shared.records.errors import NotFound
from shared.uploads.keys import arrivals_in

logger = Logger()


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Handle a batch of queue messages, or a schedule's call."""
    if event.get("kind") == "reconcile":

        def remaining() -> timedelta:
            if context is None:
                return timedelta.max
            return timedelta(milliseconds=context.get_remaining_time_in_millis())

        return reconcile(at_start=bool(event.get("start")), remaining=remaining)
    done: set[str] = set()  # the files of one upload arrive as many events of one batch

    def handle(record: dict[str, Any]) -> None:
        message = json.loads(record["body"])
        if message.get("kind") == "index":
            _index(str(message["dataset"]))
            return
        for image in {arrival.id for arrival in arrivals_in(message) if arrival.is_image}:
            logger.info("image", extra={"image": image, "state": keep(image)})
        for upload in uploads_of(message) - done:
            state = finalise(upload, by_event="Records" in message)
            logger.info("upload", extra={"upload": upload, "state": state})
            if "Records" in message:
                done.add(upload)

    return batches.handled(event, handle, context, logger)


def _index(dataset: str) -> None:
    try:
        logger.info("index", extra={"dataset": dataset, "codec": make_index(dataset)})
    except NotFound:
        logger.info("the dataset is gone", extra={"dataset": dataset})


def uploads_of(message: dict[str, Any]) -> set[str]:
    """Return the uploads of a message; none for S3's test event and for requests."""
    if message.get("kind") == "finalise":
        return {message["upload"]}
    return {arrival.id for arrival in arrivals_in(message) if not arrival.is_image}
