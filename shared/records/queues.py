"""Messages between the functions and to the labs' workers.

A message is only a hint: S3 and the table say what is to be done, and a sweep makes up for lost
messages. So a message that cannot be sent is logged and dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent import futures

from shared.model import messages
from shared.records import aws, env

log = logging.getLogger(__name__)

COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
"""SQS's counts of a queue's messages."""

AT_ONCE = 8
"""Concurrent requests if there are many messages."""

SHOWN_BYTES = 1000
"""Most bytes shown of a message."""


def url(queue: str) -> str:
    """Return the address of a queue: ``ingest``, ``dispatch`` or ``analysis``."""
    return env.queue_url(queue)


def work_url(lab: str) -> str:
    """Return the address of a lab's work queue."""
    return env.work_queue_url(lab)


def address(queue: str) -> str:
    """Return the address of any queue: ``ingest``, …, or ``work-<lab>``."""
    return work_url(queue.removeprefix("work-")) if queue.startswith("work-") else url(queue)


def dead(queue_url: str) -> str:
    """Return the address of the dead-letter queue of a queue."""
    return f"{queue_url}-dead"


def depth(queue_url: str) -> int | None:
    """Return the approximate number of messages in a queue; None if the queue does not answer."""
    try:
        answer = aws.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=COUNTS)
    except Exception:
        log.warning("the queue %s does not tell its depth", queue_url, exc_info=True)
        return None
    return sum(int(answer["Attributes"].get(name, 0)) for name in COUNTS)


def look(queue_url: str, most: int) -> list[str]:
    """Return some messages of a queue, which stay in it."""
    sqs = aws.client("sqs")
    texts: dict[str, str] = {}
    try:
        for _ in range(1 + most // 10):
            batch = sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=min(most, 10), VisibilityTimeout=0
            ).get("Messages", [])
            texts |= {message["MessageId"]: message["Body"][:SHOWN_BYTES] for message in batch}
            if not batch or len(texts) >= most:
                break
    except Exception:
        log.warning("the queue %s cannot be looked into", queue_url, exc_info=True)
    return list(texts.values())[:most]


def redrive(queue: str, *, drop: tuple[type, ...] = (), most: int = 1000) -> tuple[int, int]:
    """Send the messages of a dead-letter queue to their queue again.

    Each message is sent before it is deleted: a kill in between repeats one and loses none.

    Parameters
    ----------
    queue
        Name of the queue.
    drop
        Types of messages to delete instead, because the system sends them again anyway.
    most
        Most messages to handle.

    Returns
    -------
    sent, dropped
        Numbers of messages.
    """
    sqs, main = aws.client("sqs"), address(queue)
    sent = dropped = 0
    while sent + dropped < most:
        batch = sqs.receive_message(
            QueueUrl=dead(main), MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages", [])
        if not batch:
            break
        for message in batch:
            if _is_one_of(message["Body"], drop):
                dropped += 1
            else:
                sqs.send_message(QueueUrl=main, MessageBody=message["Body"])
                sent += 1
            sqs.delete_message(QueueUrl=dead(main), ReceiptHandle=message["ReceiptHandle"])
    return sent, dropped


def _is_one_of(body: str, kinds: tuple[type, ...]) -> bool:
    try:
        return isinstance(messages.decode(body), kinds)
    except ValueError:  # an event of S3, or nobody's
        return False


def send(queue_url: str, message: messages.Message, delay: int = 0) -> None:
    """Send one message, visible after ``delay`` seconds.

    Raises
    ------
    botocore.exceptions.ClientError
        The queue does not accept it.
    """
    aws.client("sqs").send_message(
        QueueUrl=queue_url, MessageBody=messages.encode(message), DelaySeconds=delay
    )


def notify_all(queue: str, hints: Sequence[messages.Message]) -> None:
    """Send many hints to a function's queue, ten per request; see `notify`."""

    def send_some(some: Sequence[messages.Message]) -> None:
        entries = [
            {"Id": str(i), "MessageBody": messages.encode(hint)} for i, hint in enumerate(some)
        ]
        try:
            answer = aws.client("sqs").send_message_batch(QueueUrl=url(queue), Entries=entries)
            if failed := answer.get("Failed"):
                log.warning("%d messages to the %s queue were not sent", len(failed), queue)
        except Exception:
            log.warning("messages to the %s queue were not sent", queue, exc_info=True)

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(send_some, (hints[i : i + 10] for i in range(0, len(hints), 10))))


def notify(queue: str, message: messages.Message, delay: int = 0) -> None:
    """Send a hint to a function's queue; failure is logged, the next sweep makes up for it."""
    try:
        send(url(queue), message, delay)
    except Exception:
        log.warning("message to the %s queue was not sent: %s", queue, message, exc_info=True)
