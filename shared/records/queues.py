"""Messages between the functions and to the labs' workers.

A message is only ever a hint: what is to be done is in S3 and the table, and a sweep finds what a
lost message would have started. So a message that cannot be sent is logged and forgotten.
"""

from __future__ import annotations

import logging

from shared.model import messages
from shared.records import aws, env

log = logging.getLogger(__name__)


def url(queue: str) -> str:
    """Return the address of a queue: ``ingest``, ``dispatch`` or ``analysis``."""
    return env.queue_url(queue)


def work_url(lab: str) -> str:
    """Return the address of a lab's work queue."""
    return env.work_queue_url(lab)


def send(queue_url: str, message: messages.Message, delay: int = 0) -> None:
    """Send one message, visible after ``delay`` seconds.

    Raises
    ------
    botocore.exceptions.ClientError
        The queue does not take it.
    """
    aws.client("sqs").send_message(
        QueueUrl=queue_url, MessageBody=messages.encode(message), DelaySeconds=delay
    )


def notify(queue: str, message: messages.Message, delay: int = 0) -> None:
    """Send a hint to a function's queue; failure is logged, the next sweep makes up for it."""
    try:
        send(url(queue), message, delay)
    except Exception:
        log.warning("message to the %s queue was not sent: %s", queue, message, exc_info=True)
