"""E-mails by Amazon SES: sending, and the events that SES reports later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.model.notices import Outcome
from shared.records import aws, env

TAG = "notice"
"""Name of the tag by which events of SES name their notice."""

LATER: Mapping[str, Outcome] = {
    "Bounce": Outcome.BOUNCED,
    "Reject": Outcome.BOUNCED,
    "Complaint": Outcome.COMPLAINED,
}
"""Events of SES about an accepted e-mail (``eventType``)."""


class Mail(msgspec.Struct, frozen=True):
    """An e-mail about a notice."""

    notice: str
    to: str
    subject: str
    text: str


class MailRefused(Exception):
    """The mail service refused an e-mail; the message gives the reason."""


class MailEvent(msgspec.Struct, frozen=True):
    """A later event of the mail service about an e-mail."""

    notice: str
    outcome: Outcome
    detail: str


def is_set_up() -> bool:
    """Return whether e-mails are configured."""
    return bool(env.mail_sender()[0])


def send(mail: Mail) -> str:
    """Send an e-mail; return its id at the mail service.

    Raises
    ------
    MailRefused
    """
    from botocore.exceptions import BotoCoreError, ClientError

    sender, configuration = env.mail_sender()
    arguments: dict[str, Any] = {
        "FromEmailAddress": sender,
        "Destination": {"ToAddresses": [mail.to]},
        "Content": {
            "Simple": {
                "Subject": {"Data": " ".join(mail.subject.split()), "Charset": "UTF-8"},
                "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
            }
        },
        "EmailTags": [{"Name": TAG, "Value": mail.notice}],
    }
    if configuration:
        arguments["ConfigurationSetName"] = configuration
    try:
        answer = aws.client("sesv2").send_email(**arguments)
    except ClientError as error:
        said = error.response["Error"]
        raise MailRefused(f"{said.get('Code')}: {said.get('Message')}") from error
    except BotoCoreError as error:
        raise MailRefused(str(error)) from error
    return str(answer["MessageId"])


def read_event(body: Mapping[str, Any]) -> MailEvent | None:
    """Return the event of a notice in an event of SES; None if it is about no notice."""
    outcome = LATER.get(str(body.get("eventType")))
    tagged = (body.get("mail") or {}).get("tags", {}).get(TAG)
    if outcome is None or not tagged:
        return None
    event = body.get(str(body["eventType"]).lower()) or {}
    words = [event.get(each) for each in ("bounceType", "bounceSubType", "reason")]
    return MailEvent(str(tagged[0]), outcome, " ".join(str(each) for each in words if each))
