"""Saved views of lists, and groups of animals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Resource,
    declare,
    json,
    ref,
    refs,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import default_user
from functions.api.resources.parts import keep_own, own_lab, with_id
from shared import catalog
from shared.model.identity import nickname_of

if TYPE_CHECKING:
    from functions.api.call import Call


def _prepare_view(body: Body, old: Body | None, call: Call) -> Body:
    if not body.get("user") and not body.get("lab"):
        raise Invalid({"lab": ["A view is a user's or a lab's; give one of them."]})
    return keep_own(body, old, call)


def _prepare_tag(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse animals of labs other than the tag's."""
    for nickname in set(body["subjects"]) - set((old or {}).get("subjects") or ()):
        lab = (catalog.table("subject").get(nickname) or {}).get("lab")
        if lab != body["lab"]:
            raise Invalid(
                {"subjects": [f"{nickname_of(nickname)} is of {lab}, the tag of {body['lab']}."]}
            )
    return body


declare(
    Resource(
        path="views",
        kind="view",
        model="misc.view",
        lab="lab",
        own="user",
        fields={
            "user": ref("user", default=default_user, on_delete="cascade"),
            "lab": ref("lab", default=own_lab, null=False),
            "screen": text(required=True, maximum=64),
            "name": text(required=True, maximum=255),
            "filters": json(),
            "columns": json(shape="texts"),
            "sort": json(shape="texts"),
            "json": json(),
        },
        unique=(("user?", "lab", "screen", "name"),),
        example={"lab": "fimbrialab", "screen": "mice", "name": "Awaiting surgery"},
    ),
    Resource(
        path="subject-tags",
        kind="subject-tag",
        model="subjects.subjecttag",
        key="name",
        lab="lab",
        fields={
            "name": text(required=True, maximum=255),
            "lab": ref("lab", default=own_lab, null=False),
            "subjects": refs("subject", on_delete="keep"),
            "description": text(),
            "json": json(),
        },
        prepare=_prepare_tag,
        show=with_id,
        example={"name": "cohort 12", "lab": "fimbrialab", "subjects": ["FI_001"]},
    ),
)
