"""A lab's work queue for a worker, with credentials that are valid for an hour."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from lab.client import Client
from shared.model import messages
from shared.model.messages import TaskWaits

log = logging.getLogger(__name__)

POLL_SECONDS = 20
"""Longest wait for a message that SQS offers."""

UNSEEN_SECONDS = 30
"""Time for which a received message is hidden from others: enough to claim its task.

If the answer is lost on its way, as with a worker killed while it waits, the task is announced
again after this time.
"""

RENEW_BEFORE = timedelta(minutes=5)
"""Credentials are renewed so long before they expire."""


class WorkQueue:
    """The queue of the lab of a client's account."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lent: tuple[Any, str, datetime] | None = None

    def forget(self) -> None:
        """Request new credentials next time."""
        self._lent = None

    def receive(self, seconds: int) -> Mapping[str, Any] | None:
        """Wait for one message; None if there was none."""
        sqs, url = self._sqs()
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=seconds,
            VisibilityTimeout=UNSEEN_SECONDS,
        )
        return next(iter(answer.get("Messages", ())), None)

    def delete(self, message: Mapping[str, Any]) -> None:
        """Remove a message from the queue."""
        sqs, url = self._sqs()
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _sqs(self) -> tuple[Any, str]:
        """Return a client of the lab's queue with valid credentials."""
        if self._lent is None or self._lent[2] - datetime.now(UTC) < RENEW_BEFORE:
            lent = self._client.post("/workers/credentials")
            import botocore.session

            address = urlsplit(lent["queue_url"])
            sqs = botocore.session.get_session().create_client(
                "sqs",
                region_name=lent["region"],
                endpoint_url=f"{address.scheme}://{address.netloc}",
                aws_access_key_id=lent["access_key_id"],
                aws_secret_access_key=lent["secret_access_key"],
                aws_session_token=lent["session_token"],
            )
            self._lent = (sqs, lent["queue_url"], datetime.fromisoformat(lent["expires"]))
        return self._lent[0], self._lent[1]


def task_of(message: Mapping[str, Any]) -> str | None:
    """Return the id of a message's task; None if it has none."""
    try:
        waits = messages.decode(message["Body"])
        if isinstance(waits, TaskWaits):
            return str(uuid.UUID(waits.task))
    except ValueError:
        pass
    log.error("a message that is not about a task: %.200s", json.dumps(message["Body"]))
    return None
