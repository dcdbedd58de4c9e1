"""Culls of animals, their reasons and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Resource,
    choice,
    date,
    declare,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import BY_SUBJECT, by_subject, default_user
from functions.api.resources.parts import word_list
from shared import catalog

if TYPE_CHECKING:
    from functions.api.call import Call

SEVERITY = {"sub-threshold": 1, "mild": 2, "moderate": 3, "severe": 4, "non-recovery": 5}
"""Severities of a procedure or a life, with the numbers Alyx stores."""


def _prepare_cull(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse a death before birth or in the future, and one without a severity."""
    from functions.api import water

    subject = catalog.table("subject").get(body["subject"]) or {}
    if old and old["subject"] != body["subject"]:
        raise Invalid({"subject": ["A cull stays with its animal; delete it and make another."]})
    if body["date"] > water.now_in(subject.get("lab")).date().isoformat():
        raise Invalid({"date": ["It is in the future; mark the animal as to be culled instead."]})
    if subject.get("birth_date") and body["date"] < subject["birth_date"]:
        raise Invalid({"date": [f"{body['subject']} was born on {subject['birth_date']}."]})
    if not body.get("severity"):
        if not subject.get("actual_severity"):
            raise Invalid({"severity": ["Say how severe the animal's life was."]})
        body = {**body, "severity": subject["actual_severity"]}
    return body


declare(
    word_list("cull-reasons", "cull-reason", "actions.cullreason", "regular experiment end"),
    word_list("cull-methods", "cull-method", "actions.cullmethod", "CO2"),
    Resource(
        path="culls",
        kind="cull",
        model="actions.cull",
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "date": date(required=True, null=False, earliest="1990-01-01"),
            "user": ref("user", default=default_user),
            "cull_reason": ref("cull-reason"),
            "cull_method": ref("cull-method"),
            "severity": choice(SEVERITY),
            "description": text(),
            "json": json(),
        },
        filters=dict(BY_SUBJECT),
        unique=(("subject",),),
        prepare=_prepare_cull,
        example={"subject": "FI_001", "date": "2024-07-01", "severity": "mild"},
        **by_subject("cull", "date"),  # type: ignore[arg-type]
    ),
)
