"""Templates of narratives: a text of a laboratory with places to fill in."""

from __future__ import annotations

from functions.api.engine.declarations import (
    LISTS,
    Resource,
    choice,
    declare,
    flag,
    json,
    listing,
    ref,
    text,
)
from functions.api.resources.parts import own_lab

TYPES = {name: name for name in ("text", "number", "date", "time", "choice", "flag")}
"""Types of the places to fill in; own fields of a lab have the same types."""

declare(
    Resource(
        path="templates",
        kind="template",
        model="misc.template",
        access=LISTS,
        lab="lab",
        fields={
            "lab": ref("lab", null=False, default=own_lab),
            "procedure": ref("procedure"),
            "title": text(required=True, maximum=255),
            "body": text(),
            "fields": listing(
                {
                    "name": text(required=True, maximum=64),
                    "type": choice(TYPES, default="text", null=False),
                    "unit": text(maximum=32),
                    "choices": json(shape="texts"),
                }
            ),
            "active": flag(default=True),
            "json": json(),
        },
        unique=(("lab", "title"),),
        example={"lab": "fimbrialab", "title": "Headplate implant", "body": "Started at {start}."},
    ),
)
