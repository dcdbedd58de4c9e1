"""Concurrent writes of clients: versions that they name, and JSON that they change by key."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from functions.api.engine.declarations import Body, Resource, Row
from functions.api.errors import ApiError
from shared.model import moment
from shared.records.audit import recent

if TYPE_CHECKING:
    from functions.api.call import Call

STALE_FOR = dt.timedelta(seconds=20)
"""Longest time between a client's read of JSON and its write."""


def content_tag(resource: Resource, row: Row) -> str:
    """Return the ETag of a record, from its declared fields as stored or indexed."""
    values = [_plain(row.get(name)) for name in resource.fields]
    return f'"{hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:20]}"'


def _plain(value: Any) -> Any:
    """Return a value in JSON's terms: 1 and 1.0 are the same number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if type(value) is int else value


def check_match(call: Call, tag: str, version: int | None = None) -> None:
    """Refuse a change if the record changed since the client read it; call it within the write.

    Parameters
    ----------
    call : Call
    tag : str
        The record's ETag.
    version : int, optional
        The record's version, which clients may name instead.

    Raises
    ------
    ApiError
        412 with the present version if the request's ``If-Match`` names neither.
    """
    wanted = call.request.headers.get("if-match")
    if not wanted or wanted.strip() == "*" or call.deletes_parts:
        return
    accepted = {tag_text.strip().removeprefix("W/").strip('"') for tag_text in wanted.split(",")}
    if not {tag.strip('"'), str(version)} & accepted:
        raise stale(version)


def stale(version: int | None) -> ApiError:
    """Return the answer to a change of a record that changed since the client read it."""
    fields: dict[str, Any] = {} if version is None else {"version": version}
    return ApiError(412, "The record was changed since you read it; read it again.", **fields)


def merge_json(resource: Resource, key: str, old: Row, new: Body, call: Call) -> Body:
    """Return a change with JSON objects that keep what others changed since the client's read.

    Clients of the Alyx REST contract change a key by reading the object, changing it and sending
    all of it (``json_field_update``, ``json_field_remove_key``). The version of the last seconds
    with the fewest different keys counts as the one that they read. A client that names a version
    (``If-Match``) or replaces the record (PUT) writes the object as it is sent.
    """
    if call.method != "PATCH" or call.request.headers.get("if-match"):
        return new
    names = [
        name
        for name, value in new.items()
        if isinstance(value, dict)
        and isinstance(old.get(name), dict)
        and resource.fields[name].type == "json"
        and value != old[name]
    ]
    if not names:
        return new
    since = moment.stamp(moment.now() - STALE_FOR)
    former = [entry.before for entry in recent(resource.kind, key, since)]
    merged = dict(new)
    for name in names:
        bases = [before[name] or {} for before in former if name in before]
        objects = [base for base in bases if isinstance(base, dict)]
        merged[name] = merge(old[name], new[name], objects)
    return merged


def merge(current: Body, sent: Body, former: list[Body]) -> Body:
    """Return an object with a client's changes to the version that it read.

    Parameters
    ----------
    current : dict
        The present version.
    sent : dict
        The version that the client sent, made from any former one.
    former : list of dict
        Versions that the client may have read, latest first.
    """

    def changed(base: Body) -> set[str]:
        names = base.keys() | sent.keys()
        return {n for n in names if (n in base, base.get(n)) != (n in sent, sent.get(n))}

    best = min(
        (changes for changes in map(changed, [current, *former]) if changes),
        key=len,  # the latest of equal ones, which comes first
    )
    unchanged = {name: value for name, value in current.items() if name not in best}
    return unchanged | {name: value for name, value in sent.items() if name in best}
