"""Fields that a laboratory adds to its records; their values are in ``json.own``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    LISTS,
    RESOURCES,
    Body,
    Resource,
    choice,
    declare,
    flag,
    integer,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.parts import own_lab
from functions.api.resources.templates import TYPES

if TYPE_CHECKING:
    from functions.api.call import Call


def _resource(value: str) -> None:
    paths = [
        path for path, resource in RESOURCES.items() if resource.lab and "json" in resource.fields
    ]
    if value not in paths:
        raise ValueError(f"{value[:40]!r} is not one of {', '.join(sorted(paths))}.")


def _name(value: str) -> None:
    if not value.isidentifier() or "__" in value:  # part of filter names: json__own__name
        raise ValueError("Use letters, digits and single underscores, beginning with a letter.")


def _prepare(body: Body, old: Body | None, call: Call) -> Body:
    if (body["type"] == "choice") != bool(body.get("choices")):
        raise Invalid({"choices": ["A choice has choices, and no other type has."]})
    if old and (old["name"], old["type"]) != (body["name"], body["type"]):
        raise Invalid({"name": ["Name and type stay, as records have values; make another."]})
    return body


declare(
    Resource(
        path="own-fields",
        kind="own-field",
        model="misc.ownfield",
        access=LISTS,
        lab="lab",
        fields={
            "lab": ref("lab", null=False, default=own_lab),
            "resource": text(required=True, maximum=64, check=_resource),
            "name": text(required=True, maximum=64, check=_name),
            "type": choice(TYPES, default="text", null=False),
            "unit": text(maximum=32),
            "choices": json(shape="texts"),
            "required": flag(),
            "order": integer(default=0, null=False, minimum=-(10**6), maximum=10**6),
            "json": json(),
        },
        unique=(("lab", "resource", "name"),),
        prepare=_prepare,
        order=("lab", "resource", "order", "id"),
        example={"lab": "fimbrialab", "resource": "subjects", "name": "whiskers", "unit": "mm"},
    ),
)
