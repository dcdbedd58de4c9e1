"""The API, the notices function, a clock that is set, and a mail service on a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from functions.notices.handler import handler
from shared.model import moment
from shared.records import aws
from tests.api.conftest import Api, api
from tests.flow import aws_url

__all__ = ["api", "aws_url"]

SENDER = "notices@fornix.test"


class Clock:
    """The clock that records and functions go by."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)  # 10:00 in Lisbon

    def set(self, text: str) -> None:
        """Set the clock, in UTC."""
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def ago(self, **span: float) -> str:
        """Return the moment so long ago, as clients write it."""
        return (self.now - timedelta(**span)).isoformat()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until it is set."""
    made = Clock()
    monkeypatch.setattr(moment, "now", lambda: made.now)
    return made


def hour() -> dict[str, Any]:
    """Let the schedule fire."""
    return handler({"kind": "notices"})


def later(body: dict[str, Any]) -> dict[str, Any]:
    """Deliver a message of the function's queue."""
    record = {"messageId": "1", "receiptHandle": "1", "body": json.dumps(body)}
    record |= {"attributes": {}, "messageAttributes": {}, "md5OfBody": ""}  # type: ignore[dict-item]
    record |= {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:0:notices"}
    return handler({"Records": [{**record, "awsRegion": "us-east-1"}]})


class Mailbox:
    """What the mail service was given."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = len(self._all())

    def _all(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self._url}/_ministack/ses/messages", timeout=10).json()
        return [each for account in answer["messages"].values() for each in account]

    @property
    def mails(self) -> list[dict[str, Any]]:
        """E-mails since this test began."""
        return self._all()[self._before :]


@pytest.fixture
def mailbox(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """SES over a socket, with a verified sender."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", aws_url)
    monkeypatch.setenv("FORNIX_MAIL_FROM", SENDER)
    aws.forget()
    aws.client("sesv2").create_email_identity(EmailIdentity=SENDER) if not _known() else None
    yield Mailbox(aws_url)
    aws.forget()


def _known() -> bool:
    found = aws.client("sesv2").list_email_identities()["EmailIdentities"]
    return SENDER in {each["IdentityName"] for each in found}


def restricted(api: Api, clock: Clock, **weights: float) -> None:
    """Put FI_001 under water restriction three days ago, weighed and watered yesterday."""
    start = {"subject": "FI_001", "start_time": clock.ago(days=3), "reference_weight": 25.0}
    api.ok("POST", "/water-restriction", start)
    api.ok(
        "POST", "/weighings", {"subject": "FI_001", "date_time": clock.ago(days=3), "weight": 25}
    )
    weighed = {"subject": "FI_001", "date_time": clock.ago(hours=22), "weight": 24}
    api.ok("POST", "/weighings", weighed)
    water = {"subject": "FI_001", "date_time": clock.ago(hours=22), "water_administered": 1.0}
    api.ok("POST", "/water-administrations", water)
