"""What could not be handled is sent again, and nothing of it is lost."""

from __future__ import annotations

import os
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from infra.redrive import command
from tests.flow import aws_url as aws_url


@pytest.fixture
def sqs(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Queues of a deployment, two with messages that could not be handled."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws_url)
    client = boto3.client("sqs", region_name=os.environ.get("AWS_REGION", "us-east-1"))
    for name in ("ingest", "ingest-dead", "work-alab", "work-alab-dead", "other"):
        client.create_queue(QueueName=f"redrive-{name}")
    for i in range(23):
        client.send_message(QueueUrl=url(client, "ingest-dead"), MessageBody=f"event {i}")
    client.send_message(QueueUrl=url(client, "work-alab-dead"), MessageBody="task")
    yield client
    for name in ("ingest", "ingest-dead", "work-alab", "work-alab-dead", "other"):
        client.delete_queue(QueueUrl=url(client, name))


def url(client: Any, name: str) -> str:
    found: str = client.get_queue_url(QueueName=f"redrive-{name}")["QueueUrl"]
    return found


def bodies(client: Any, name: str) -> list[str]:
    found = []
    while batch := client.receive_message(QueueUrl=url(client, name), MaxNumberOfMessages=10).get(
        "Messages"
    ):
        found += [each["Body"] for each in batch]
    return sorted(found)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, ["--name", "redrive", *arguments])


def test_all_messages_go_to_the_queue_they_came_from(sqs: Any) -> None:
    told = run("--dry-run")
    assert "ingest: about 23 messages wait" in told.output
    done = run()
    assert done.exit_code == 0, done.output
    assert "ingest: 23 messages sent again" in done.output
    assert bodies(sqs, "ingest") == sorted(f"event {i}" for i in range(23))
    assert bodies(sqs, "work-alab") == ["task"]
    assert bodies(sqs, "ingest-dead") == bodies(sqs, "work-alab-dead") == []


def test_one_queue_alone(sqs: Any) -> None:
    assert run("work-alab").exit_code == 0
    assert bodies(sqs, "work-alab") == ["task"]
    assert len(bodies(sqs, "ingest-dead")) == 23
    refused = run("nothing")
    assert refused.exit_code == 2
    assert "one of ingest, work-alab" in refused.output
