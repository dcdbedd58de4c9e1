"""Notices in the table: each written once, told by its ways, with what became of them."""

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
"""Whom the audit trail names."""

TRIES = 3
"""Times an e-mail is tried (Alyx: "3 failed tries")."""

LOST = timedelta(minutes=15)
"""After so long an e-mail whose sender was stopped is sent again: twice rather than never."""

Row = Mapping[str, Any]


def tell(notice: Notice, facts: LabFacts, person: Person, rule: NoticeRule) -> str | None:
    """Write down a notice to a person, once; return its id if it is new.

    It is to be sent at once, or when the person's quiet hours end.
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
    except (Exists, Missing, Leaving):  # another invocation was faster, or it is gone
        return None
    return key


def _address(person: Person, rule: NoticeRule) -> str:
    """Return where e-mails to a person go; empty if none is to be sent."""
    return person.email if rule.channel != APP and mail.is_set_up() else ""


def _shown(rule: NoticeRule, at: datetime) -> dict[str, Any]:
    """Return what becomes of a notice that is told in the app alone."""
    told = [_entry(APP, Outcome.SHOWN)]
    if rule.channel != APP and mail.is_set_up():
        told.append(_entry("email", Outcome.NOWHERE, "The account has no e-mail address."))
    return {
        "status": State.SENT,
        "sent_at": at.isoformat(timespec="seconds"),
        "deliveries": told,
    }


def _entry(channel: str, outcome: Outcome, detail: str = "") -> dict[str, Any]:
    at = moment.now().isoformat(timespec="seconds")
    return {"at": at, "channel": channel, "outcome": outcome, "detail": detail[:255]}


def waiting() -> list[Row]:
    """Return the notices whose time has come and that were not told yet."""
    rows = catalog.table(KIND).select([Where("status", "exact", State.WAITS)]).all()
    now = moment.now()
    return [row for row in rows if not row.get("send_at") or moment.utc(row["send_at"]) <= now]


def deliver(key: str) -> Outcome | None:
    """Tell a person of a notice by the ways that the person's rule names.

    Returns
    -------
    Outcome or None
        How the last way ended; None if it was not told now: it was before, its person sleeps.
    """
    found = documents.find(KIND, key)
    user = catalog.table("user").get(found.body["user"]) if found else None
    if found is None or user is None or found.body["status"] != State.WAITS:
        return None
    body, person = found.body, gather.person_of(user)
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
    """Write down that an e-mail is on its way; not if another invocation has."""
    taken = False

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal taken
        told = body.get("deliveries") or []
        last: dict[str, Any] = told[-1] if told else {}
        on_its_way = bool(last) and last["outcome"] == Outcome.SENDING
        lost = on_its_way and moment.now() - moment.utc(last["at"]) > LOST
        taken = body["status"] == State.WAITS and (not on_its_way or lost)
        return {**body, "deliveries": [*told, _entry("email", Outcome.SENDING)]} if taken else body

    _change(key, edit)
    return taken


def _send(key: str, address: str) -> Outcome:
    """Send the e-mail and write down what came of it."""
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
        told = [*each["deliveries"][:-1], done]
        failed = sum(one["outcome"] == Outcome.FAILED for one in told)
        if outcome is None:
            sent = {"status": State.SENT, "sent_at": done["at"]}
        else:
            sent = {"status": State.FAILED} if failed >= TRIES else {}
        return {**each, "deliveries": told, **sent}

    _change(key, edit)
    return outcome or Outcome.SENT


def note(event: MailEvent) -> None:
    """Write down what the mail service tells later of an e-mail."""

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        told = body.get("deliveries") or []
        if any(each["outcome"] == event.outcome for each in told):
            return body
        return {**body, "deliveries": [*told, _entry("email", event.outcome, event.detail)]}

    _change(event.notice, edit)


def _change(key: str, edit: Any) -> None:
    """Change a notice; one that its person has deleted is no matter."""
    try:
        documents.update(KIND, key, edit, who=WHO)
    except NotFound:
        return
