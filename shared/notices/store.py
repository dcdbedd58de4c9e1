"""Notices in the table: each written once, delivered by its channels, with the outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared import catalog
from shared.catalog import water
from shared.model import moment
from shared.model.notices import Outcome, State
from shared.notices import gather, mail
from shared.notices.mail import Mail, MailEvent, MailRefused
from shared.records import documents, env
from shared.records.errors import Exists, Leaving, Missing, NotFound
from shared.records.where import Where
from shared.records.writing import Write, write_all
from shared.science.notices.due import LabFacts, Notice
from shared.science.notices.recipients import APP, USUAL, NoticeRule, Person, quiet_until

KIND = "notification"
WHO = "fornix"
"""User name in the audit trail."""

TRIES = 3
"""Most tries of an e-mail (Alyx: "3 failed tries")."""

LOST = timedelta(minutes=15)
"""Time after which an e-mail of a stopped sender is sent again: rather twice than never."""

Row = Mapping[str, Any]


def tell(notice: Notice, facts: LabFacts, person: Person, rule: NoticeRule) -> str | None:
    """Write a notice to a person once; return its id if it is new.

    It is due at once, or when the person's quiet hours end.
    """
    key = notice.id_for(facts.lab, person.username)
    if catalog.table(KIND).get(key) is not None:
        return None
    until = quiet_until((rule.quiet_hours or person.quiet_hours,), facts.now)
    at = moment.now() + (until - facts.now if until else timedelta())
    body: dict[str, Any] = {
        "id": key,
        "user": person.username,
        "lab": facts.lab,
        "notification_type": notice.kind,
        "title": notice.title[:255],
        "message": notice.message,
        "subject": notice.subject,
        "session": notice.session,
        "task": notice.task,
        "send_at": at.isoformat(timespec="seconds"),
        "sent_at": None,
        "status": State.WAITS,
        "deliveries": [],
        "json": None,
    }
    if not until and not _address(person, rule):
        body |= _shown(rule, at)
    named = [("user", person.username), ("lab", facts.lab)]
    named += [("subject", notice.subject)] if notice.subject else []
    new = Write(kind=KIND, key=key, body=body, needs=named, lab=facts.lab)
    try:
        write_all([new], who=WHO)
    except (Exists, Missing, Leaving):  # another invocation was faster, or its record is gone
        return None
    return key


def _address(person: Person, rule: NoticeRule) -> str:
    """Return the e-mail address for a person's notices; empty if the rule has no e-mails."""
    return person.email if rule.channel != APP and mail.is_set_up() else ""


def _shown(rule: NoticeRule, at: datetime) -> dict[str, Any]:
    """Return the outcome fields of a notice that only the app shows."""
    deliveries = [_entry(APP, Outcome.SHOWN)]
    if rule.channel != APP and mail.is_set_up():
        deliveries.append(_entry("email", Outcome.NOWHERE, "The account has no e-mail address."))
    return {
        "status": State.SENT,
        "sent_at": at.isoformat(timespec="seconds"),
        "deliveries": deliveries,
    }


def _entry(channel: str, outcome: Outcome, detail: str = "") -> dict[str, Any]:
    at = moment.now().isoformat(timespec="seconds")
    return {"at": at, "channel": channel, "outcome": outcome, "detail": detail[:255]}


def waiting() -> list[Row]:
    """Return the notices that are due and not yet sent."""
    rows = catalog.table(KIND).select([Where("status", "exact", State.WAITS)]).all()
    now = moment.now()
    return [
        notice
        for notice in rows
        if not notice.get("send_at") or moment.utc(notice["send_at"]) <= now
    ]


def deliver(key: str) -> Outcome | None:
    """Deliver a notice to its person by the channels of the person's rule.

    Returns
    -------
    Outcome or None
        Outcome of the last channel; None if the notice was not sent now, because it was sent
        before, or the person has quiet hours.
    """
    notice = documents.find(KIND, key)
    user = catalog.table("user").get(notice.body["user"]) if notice else None
    if notice is None or user is None or notice.body["status"] != State.WAITS:
        return None
    body, person = notice.body, gather.person_of(user)
    rule = gather.rules().get((person.username, body["notification_type"]), USUAL)
    now = water.now_in(body.get("lab"))
    if until := quiet_until((rule.quiet_hours or person.quiet_hours,), now):
        at = (moment.now() + (until - now)).isoformat(timespec="seconds")
        _change(key, lambda each: {**each, "send_at": at})
        return None
    address = _address(person, rule)
    if not address:
        _change(key, lambda each: {**each, **_shown(rule, moment.now())})
        return Outcome.SHOWN
    return _send(key, address) if _claim(key) else None


def _claim(key: str) -> bool:
    """Mark an e-mail as being sent; return False if another invocation has done so."""
    taken = False

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal taken
        deliveries = body.get("deliveries") or []
        last: dict[str, Any] = deliveries[-1] if deliveries else {}
        on_its_way = bool(last) and last["outcome"] == Outcome.SENDING
        lost = on_its_way and moment.now() - moment.utc(last["at"]) > LOST
        taken = body["status"] == State.WAITS and (not on_its_way or lost)
        return (
            {**body, "deliveries": [*deliveries, _entry("email", Outcome.SENDING)]}
            if taken
            else body
        )

    _change(key, edit)
    return taken


def _send(key: str, address: str) -> Outcome:
    """Send the e-mail and write its outcome."""
    body = documents.get(KIND, key).body
    link = f"{env.site_url()}/app/#/notifications" if env.site_url() else ""
    words = [body["title"], body.get("message") or "", link]
    text = "\n\n".join(each for each in words if each)
    try:
        detail, outcome = mail.send(Mail(key, address, f"[Fornix] {body['title']}", text)), None
    except MailRefused as error:
        detail, outcome = str(error), Outcome.FAILED

    def edit(each: dict[str, Any]) -> dict[str, Any]:
        done = _entry("email", outcome or Outcome.SENT, detail)
        deliveries = [*each["deliveries"][:-1], done]
        failed = sum(delivery["outcome"] == Outcome.FAILED for delivery in deliveries)
        if outcome is None:
            sent = {"status": State.SENT, "sent_at": done["at"]}
        else:
            sent = {"status": State.FAILED} if failed >= TRIES else {}
        return {**each, "deliveries": deliveries, **sent}

    _change(key, edit)
    return outcome or Outcome.SENT


def note(event: MailEvent) -> None:
    """Write a later event of the mail service to its notice."""

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        deliveries = body.get("deliveries") or []
        if any(each["outcome"] == event.outcome for each in deliveries):
            return body
        return {**body, "deliveries": [*deliveries, _entry("email", event.outcome, event.detail)]}

    _change(event.notice, edit)


def _change(key: str, edit: Any) -> None:
    """Change a notice; ignore one that its person has deleted."""
    try:
        documents.update(KIND, key, edit, who=WHO)
    except NotFound:
        return
