"""``fornix redrive``: send failed messages to their queue again.

After their last try messages wait for two weeks in the queue's dead-letter queue, and an alarm is
raised. Once the cause is removed they can be sent again: every handler is idempotent, so a message
that was handled before does no harm. It works with the deployment's AWS credentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from lab.commands.output import AS_JSON, tell

BATCH = 10
"""Most messages of one request to SQS."""

HIDDEN = 300
"""Seconds for which a message in transit is hidden from other readers."""


def redrive(client: Any, dead: str, main: str) -> int:
    """Send the messages of a dead-letter queue to the queue they came from.

    A message is deleted only after it was sent: a kill in between leaves it in both queues.

    Parameters
    ----------
    client
        Client of SQS.
    dead, main : str
        Addresses of the queues.

    Returns
    -------
    int
        Number of messages sent.
    """
    moved = 0
    for batch in _batches(client, dead):
        sent = client.send_message_batch(
            QueueUrl=main,
            Entries=[
                {"Id": str(i), "MessageBody": message["Body"]} for i, message in enumerate(batch)
            ],
        )
        done = [batch[int(message["Id"])] for message in sent.get("Successful", ())]
        if done:
            client.delete_message_batch(
                QueueUrl=dead,
                Entries=[
                    {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]}
                    for i, message in enumerate(done)
                ],
            )
        moved += len(done)
        if failed := sent.get("Failed"):
            raise click.ClickException(f"{moved} sent; SQS refused {len(failed)}: {failed[0]}")
    return moved


def _batches(client: Any, queue: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages of a queue until there are none."""
    while True:
        answer = client.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=HIDDEN,
            WaitTimeSeconds=1,
        )
        if not answer.get("Messages"):
            return
        yield answer["Messages"]


@click.command("redrive")
@click.argument("queue", required=False)
@click.option("--name", default="fornix", show_default=True, help="Name of the deployment.")
@click.option("--dry-run", is_flag=True, help="Say how many wait where; send none.")
@AS_JSON
def command(queue: str | None, name: str, dry_run: bool, as_json: bool) -> None:
    """Send what could not be handled to its queue again: QUEUE (ingest, work-LAB, …) or all."""
    import boto3

    client: Any = boto3.client("sqs")
    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=f"{name}-")
    urls = {url.rpartition("/")[2]: url for page in pages for url in page.get("QueueUrls", ())}
    pairs = {
        dead_name.removesuffix("-dead").removeprefix(f"{name}-"): (urls[dead_name], urls[main])
        for dead_name in sorted(urls)
        if dead_name.endswith("-dead") and (main := dead_name.removesuffix("-dead")) in urls
    }
    if queue is not None and queue not in pairs:
        raise click.UsageError(
            f"There is no queue {queue!r}; one of {', '.join(pairs) or 'none'}."
        )
    for dead_name in [queue] if queue else pairs:
        dead, main = pairs[dead_name]
        if dry_run:
            wanted = "ApproximateNumberOfMessages"
            waiting = client.get_queue_attributes(QueueUrl=dead, AttributeNames=[wanted])
            count = int(waiting["Attributes"][wanted])
            tell(
                as_json,
                f"{dead_name}: about {count} messages wait",
                queue=dead_name,
                waiting=count,
            )
        else:
            count = redrive(client, dead, main)
            tell(as_json, f"{dead_name}: {count} messages sent again", queue=dead_name, sent=count)
