"""Common parts of the declarations of several families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    LISTS,
    Body,
    Resource,
    Row,
    fills_in,
    json,
    text,
)
from functions.api.errors import Invalid, forbidden
from shared.model.people import Role

if TYPE_CHECKING:
    from functions.api.call import Call

GENES = {"absent": 0, "present": 1}
"""Results of a genotype test, with the numbers Alyx stores."""


def with_id(shown: Body, row: Row, call: Call) -> Body:
    """Show a named record's id, too."""
    return {"id": row.get("id"), **shown}


@fills_in("lab")
def own_lab(call: Call) -> str | None:
    """Return the caller's laboratory; None if there is not exactly one."""
    return call.who.labs[0] if len(call.who.labs) == 1 else None


@fills_in("now")
def today(call: Call) -> str:
    """Return the day of the request in the caller's laboratory."""
    from shared.catalog import water

    return water.now_in(own_lab(call)).date().isoformat()


def word_list(path: str, kind: str, model: str, example: str) -> Resource:
    """Return the declaration of a list of words with descriptions, written by managers."""
    return Resource(
        path=path,
        django=False,
        kind=kind,
        model=model,
        key="name",
        access=LISTS,
        fields={
            "name": text(required=True, maximum=255),
            "description": text(),
            "json": json(),
        },
        show=with_id,
        example={"name": example},
    )


def keep_own(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse to make a record for another user.

    Raises
    ------
    ApiError
        403.
    """
    user = body.get("user")
    if user not in (None, call.who.username) and call.who.role != Role.ADMINISTRATOR:
        raise forbidden(f"You may not set user to {user}. {user} and administrators may.")
    return body


def in_order(body: Body, first: str, last: str, message: str) -> None:
    """Refuse a record with two days or times in the wrong order.

    Raises
    ------
    Invalid
        400 at the later field.
    """
    if body.get(first) and body.get(last) and str(body[last]) < str(body[first]):
        raise Invalid({last: [message]})


def web_address(value: str) -> None:
    """Refuse a link other than a web address: people click on it.

    Raises
    ------
    ValueError
    """
    scheme, host, rest = value.partition("://")
    plain = value.isprintable() and not set(value) & set(" <>\"'`\\")
    if value and not (scheme in ("http", "https") and host and rest.strip("/") and plain):
        raise ValueError("Write a web address that begins with http:// or https://.")
