"""Other actions with animals: injections of virus, and actions without an own kind."""

from __future__ import annotations

from typing import Any

from functions.api.engine.declarations import (
    Body,
    Field,
    Resource,
    choice,
    datetime,
    declare,
    json,
    number,
    ref,
    refs,
    text,
)
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    RECORDED,
    by_subject,
    default_users,
    in_days,
    now,
)
from functions.api.resources.parts import in_order

INJECTION_TYPES = {"I": "I", "P": "P"}
"""Ways of injection: iontophoresis, pressure."""

MAX_NANOLITRES = 1_000_000
"""Largest volume of an injection, and largest rate per minute: a millilitre."""


def _action() -> dict[str, Field]:
    """Return the fields of every action with an animal."""
    return {
        "name": text(maximum=255),
        "subject": ref("subject", required=True, null=False, on_delete="cascade"),
        "lab": ref("lab"),
        "location": ref("location"),
        "users": refs("user", default=default_users),
        "procedures": refs("procedure"),
        "projects": refs("project"),
        "narrative": text(),
        "start_time": datetime(default=now, null=False, **RECORDED),
        "end_time": datetime(**RECORDED),
        "json": json(),
    }


def _in_order(body: Body, old: Body | None, call: Any) -> Body:
    in_order(body, "start_time", "end_time", "It cannot end before it begins.")
    return body


_FILTERS = {
    **BY_SUBJECT,
    "procedure": "procedures__iexact",
    "project": "projects__iexact",
    "date_range": in_days("start_time"),
}

declare(
    Resource(
        path="other-actions",
        kind="other-action",
        model="actions.otheraction",
        fields=_action(),
        filters=_FILTERS,
        prepare=_in_order,
        example={"subject": "FI_001", "procedures": ["Histology"]},
        **by_subject("other-action", "start_time"),  # type: ignore[arg-type]
    ),
    Resource(
        path="virus-injections",
        kind="virus-injection",
        model="actions.virusinjection",
        fields={
            **_action(),
            "virus_batch": text(maximum=255),
            "injection_volume": number(minimum=0, maximum=MAX_NANOLITRES),
            "rate_of_injection": number(minimum=0, maximum=MAX_NANOLITRES),
            "injection_type": choice(INJECTION_TYPES, default="I"),
        },
        filters=_FILTERS,
        prepare=_in_order,
        example={"subject": "FI_001", "virus_batch": "AAV2-12", "injection_volume": 300},
        **by_subject("virus-injection", "start_time"),  # type: ignore[arg-type]
    ),
)
