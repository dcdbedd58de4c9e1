"""Surgeries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
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

if TYPE_CHECKING:
    pass
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    MAX_GRAMS,
    RECORDED,
    by_subject,
    in_days,
    now,
    set_protocol,
)

declare(
    Resource(
        path="surgeries",
        kind="surgery",
        model="actions.surgery",
        fields={
            "name": text(maximum=255),
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "lab": ref("lab"),
            "location": ref("location"),
            "users": refs("user"),
            "procedures": refs("procedure"),
            "narrative": text(),
            "start_time": datetime(default=now, **RECORDED),
            "end_time": datetime(**RECORDED),
            "outcome_type": choice({"a": "a", "r": "r", "n": "n"}),
            "implant_weight": number(
                unit="g", required=True, null=False, minimum=0, maximum=MAX_GRAMS
            ),
            "json": json(),
        },
        filters={
            "procedure": "procedures__iexact",
            **BY_SUBJECT,
            "location": "location__icontains",
            "date_range": in_days("start_time"),
        },
        effects=(set_protocol,),
        example={"subject": "FI_001", "implant_weight": 1.4},
        **by_subject("surgery", "start_time"),  # type: ignore[arg-type]
    ),
)
