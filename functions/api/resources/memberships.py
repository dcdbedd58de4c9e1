"""Who is a member of which laboratory, since when and until when."""

from __future__ import annotations

from typing import Any

from functions.api.engine.declarations import LISTS, Body, Resource, date, declare, json, ref, text
from functions.api.resources.parts import in_order


def _in_order(body: Body, old: Body | None, call: Any) -> Body:
    in_order(body, "start_date", "end_date", "A membership cannot end before it begins.")
    return body


declare(
    Resource(
        path="lab-memberships",
        kind="lab-membership",
        model="misc.labmembership",
        access=LISTS,
        lab="lab",
        fields={
            "user": ref("user", required=True, null=False, on_delete="cascade"),
            "lab": ref("lab", required=True, null=False),
            "role": text(maximum=255),
            "start_date": date(earliest="1970-01-01"),
            "end_date": date(earliest="1970-01-01"),
            "json": json(),
        },
        prepare=_in_order,
        example={"user": "fimbrialab_member", "lab": "fimbrialab", "role": "technician"},
    ),
)
