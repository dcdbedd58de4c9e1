"""Notices to people, and their rules for receiving them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    Access,
    Resource,
    choice,
    datetime,
    declare,
    json,
    listing,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import default_user
from functions.api.resources.parts import keep_own
from shared.model import moment
from shared.model.notices import HOURS, Outcome, State

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.declarations import Body
    from functions.api.engine.plan import Plan

TYPES = {
    name: name
    for name in (
        *("responsible_user_change", "mouse_underweight", "mouse_water", "mouse_not_weighed"),
        *("birth_expected", "data_missing", "task_failed", "queue_old", "request", "licence"),
    )
}
"""Kinds of notice; the first four are Alyx's."""

SCOPES = {"nobody": "none", "mine": "mine", "lab": "lab", "all": "all"}
"""Scopes of animals, with Alyx's words; a filter accepts ``none`` for no value."""
STATUS = {"to-send": State.WAITS, "sent": State.SENT, "not-sent": State.FAILED, "read": State.READ}
CHANNELS = {"app": "app", "email": "email", "both": "both"}
WAYS = {"app": "app", "email": "email"}
OUTCOMES = {each.value: each.value for each in Outcome}


def quiet_hours(value: str) -> None:
    """Refuse invalid hours.

    Raises
    ------
    ValueError
    """
    if value and not re.fullmatch(HOURS, value):
        raise ValueError("Write hours like 22:00-07:00.")


def _only_read(body: Body, old: Body | None, call: Call) -> Body:
    """Allow people only to mark a notice as read; the system records the sending."""
    if old is not None and body.get("status") not in (old.get("status"), State.READ):
        raise Invalid({"status": ["A notice can be marked as read."]})
    return body


def notify(
    plan: Plan,
    user: str,
    lab: str | None,
    kind: str,
    title: str,
    message: str = "",
    subject: str | None = None,
) -> None:
    """Plan a notice to a user; the sender finds it by its status ``to-send``."""
    notice = {
        "user": user,
        "lab": lab,
        "notification_type": kind,
        "title": title[:255],
        "message": message,
        "subject": subject,
        "send_at": moment.now().isoformat(timespec="seconds"),
        "status": State.WAITS,
    }
    plan.create(KINDS["notification"], notice)


declare(
    Resource(
        path="notifications",
        kind="notification",
        model="actions.notification",
        actions="list read update partial_update delete",
        access=Access(create="none"),
        own="user",
        fields={
            "user": ref("user", read_only=True, on_delete="cascade"),
            "lab": ref("lab", read_only=True),
            "notification_type": choice(TYPES, read_only=True),
            "title": text(read_only=True, maximum=255),
            "message": text(read_only=True),
            "subject": ref("subject", read_only=True, on_delete="cascade"),
            "session": ref("session", by="id", read_only=True, on_delete="keep"),
            "task": ref("task", by="id", read_only=True, on_delete="keep"),
            "send_at": datetime(read_only=True),
            "sent_at": datetime(read_only=True),
            "status": choice(STATUS),
            "deliveries": listing(
                {
                    "at": datetime(),
                    "channel": choice(WAYS),
                    "outcome": choice(OUTCOMES),
                    "detail": text(maximum=255),
                },
                read_only=True,
            ),
            "json": json(),
        },
        prepare=_only_read,
        order=("-send_at", "id"),
    ),
    Resource(
        path="notification-rules",
        kind="notification-rule",
        model="actions.notificationrule",
        own="user",
        fields={
            "user": ref("user", default=default_user, null=False, on_delete="cascade"),
            "notification_type": choice(TYPES, required=True, null=False),
            "subjects_scope": choice(SCOPES, default="mine", null=False),
            "channel": choice(CHANNELS, default="both", null=False),
            "quiet_hours": text(maximum=11, check=quiet_hours),
            "json": json(),
        },
        unique=(("user", "notification_type"),),
        prepare=keep_own,
        example={"notification_type": "mouse_underweight", "quiet_hours": "22:00-07:00"},
    ),
)
