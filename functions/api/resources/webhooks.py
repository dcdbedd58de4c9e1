"""Webhooks: addresses of other systems that get the events of a laboratory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    Access,
    Body,
    Field,
    Resource,
    datetime,
    declare,
    flag,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import now
from functions.api.resources.parts import own_lab
from shared.model import moment
from shared.model.webhooks import Happening
from shared.records import env
from shared.webhooks import store

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

SHORTEST = 16
"""Fewest characters of a secret."""


def _address(value: str) -> None:
    from shared.webhooks import addresses  # sockets, which the API's start does without

    addresses.read(value, local=env.is_local())


def _happenings(value: list[str]) -> None:
    if unknown := sorted(set(value) - set(Happening)):
        raise ValueError(f"No event {', '.join(unknown)[:100]}; there are {', '.join(Happening)}.")


def _secret(value: str) -> None:
    if len(value) < SHORTEST or not value.isprintable() or not value.isascii():
        raise ValueError(f"Write at least {SHORTEST} printable ASCII characters.")


def _prepare(body: Body, old: Body | None, call: Call) -> Body:
    """Store the secret separately: nobody can read it, and no list or journal shows it."""
    if not body.get("events"):
        raise Invalid({"events": ["Name at least one event."]})
    stored = {name: value for name, value in body.items() if name != "secret"}
    stored["events"] = sorted(set(body["events"]))
    return stored | ({"secret_set_at": moment.now().isoformat()} if body.get("secret") else {})


def _keep_secret(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Write or delete the secret in the transaction of its webhook."""
    key = str((after or before or {})["id"])
    if after is None:
        plan.also(lambda writes: writes.delete(store.secret_item(key, "-")))
    elif secret := plan.record(KINDS["webhook"], key).given.get("secret"):
        plan.also(lambda writes: writes.save(store.secret_item(key, secret)))


declare(
    Resource(
        path="webhooks",
        kind="webhook",
        model="misc.webhook",
        access=Access(read="manager", create="manager", change="manager", delete="manager"),
        lab="lab",
        fields={
            "url": text(required=True, maximum=2000, indexed=False, check=_address),
            "secret": text(required=True, hidden=True, indexed=False, maximum=200, check=_secret),
            "events": Field(
                "json", shape="texts", required=True, null=False, check=_happenings, default=()
            ),
            "lab": ref("lab", null=False, default=own_lab),
            "active": flag(default=True),
            "description": text(maximum=255),
            "created": datetime(read_only=True, default=now),
            "secret_set_at": datetime(read_only=True),
            "json": json(),
        },
        prepare=_prepare,
        effects=(_keep_secret,),
        order=("created", "id"),
        example={
            "url": "https://hooks.example.org/fornix",
            "secret": "kept by both sides",
            "events": ["task.failed"],
            "lab": "fimbrialab",
        },
    ),
)
