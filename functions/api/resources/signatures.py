"""Signatures of versions of records; they never change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from functions.api.auth import identify, passwords
from functions.api.engine import meanings, read_values, zones
from functions.api.engine.declarations import (
    MODELS,
    Access,
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    integer,
    json,
    ref,
    text,
)
from functions.api.errors import ApiError, Invalid
from functions.api.resources.of_subject import now
from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

MEANINGS = {"author": "author", "witness": "witness", "review": "review"}
AUTHORS = ("user", "users", "responsible_user", "created_by")
"""Fields of records that name their authors."""


def _model(value: str) -> None:
    if value.lower() not in MODELS or MODELS[value.lower()].kind in ("dataset", "file", "task"):
        raise ValueError(f'Invalid value: "{value[:60]}" is not a kind of record that is signed.')


def fingerprint(resource: Resource, row: Row) -> str:
    """Return the SHA-256 of a record's declared fields, in their order."""
    values = {name: row.get(name) for name in resource.fields}
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()


def _signed(body: Row) -> tuple[Resource, Body | None]:
    resource = MODELS[str(body["content_type"]).lower()]
    key = meanings.stored_key(resource.kind, str(body["object_id"]))
    return resource, (catalog.table(resource.kind).get(key) if key else None)


def _authors(resource: Resource, row: Row) -> set[str]:
    names: set[str] = set()
    for name in AUTHORS:
        if name in resource.fields and (value := row.get(name)):
            names |= set(value) if isinstance(value, list) else {str(value)}
    return names


def _prepare(body: Body, old: Body | None, call: Call) -> Body:
    """Check the password again, and seal the present version of the record."""
    source = identify.source_of(call.request, call.who.username)
    if passwords.checked(call.who.username, str(body.get("password") or ""), source) is None:
        raise Invalid({"password": ["This is not your password; a signature asks for it again."]})
    kind = MODELS[str(body["content_type"]).lower()].kind
    if not read_values.is_uuid(body["object_id"]):
        key = meanings.key_of(kind, body["object_id"], call, hint=call.lab_meant, is_write=True)
        body = {**body, "object_id": key or body["object_id"]}
    resource, signed = _signed(body)
    if signed is None:
        raise Invalid({"object_id": [f"There is no {resource.kind} {body['object_id']!r}."]})
    sealed = fingerprint(resource, signed)
    same = [Where("object_id", "exact", body["object_id"]), Where("sha256", "exact", sealed)]
    before = catalog.table("signature").select(same).all()
    authors = {signature["by"] for signature in before if signature["meaning"] == "author"}
    if body["meaning"] != "author" and call.who.username in authors | _authors(resource, signed):
        raise ApiError(403, f"An author's {body['meaning']} is another person's.")
    return {
        **{name: value for name, value in body.items() if name != "password"},
        "content_type": resource.model,
        "lab": zones.lab_of(resource, signed),
        "sha256": sealed,
        "version": int(signed.get("_version") or 0),
        "by": call.who.username,
        "at": now(call),
    }


def _show(shown: Body, row: Row, call: Call) -> Body:
    """Show whether the record is unchanged since the signature."""
    resource, present = _signed(row)
    current = present is not None and fingerprint(resource, present) == row["sha256"]
    return {**shown, "current": current}


declare(
    Resource(
        path="signatures",
        kind="signature",
        model="misc.signature",
        actions="list create read",
        access=Access(change="none", delete="none"),
        lab="lab",
        fields={
            "content_type": text(required=True, maximum=64, check=_model),
            "object_id": text(required=True, maximum=64),
            "meaning": choice(MEANINGS, required=True, null=False),
            "password": text(required=True, hidden=True, indexed=False, maximum=1000),
            "at": datetime(read_only=True),
            "sha256": text(read_only=True, maximum=64),
            "version": integer(read_only=True, param=False),
            "by": ref("user", read_only=True, on_delete="keep"),
            "lab": ref("lab", read_only=True),
            "json": json(),
        },
        prepare=_prepare,
        show=_show,
        order=("at", "id"),
    ),
)
