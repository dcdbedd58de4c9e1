"""Clients that write at the same time: versions they name, and JSON that they change by key."""

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
"""How long ago a client may have read the JSON that it sends back changed."""


def content_tag(resource: Resource, row: Row) -> str:
    """Return the ETag of a record: made of its declared fields, as stored or as in the index."""
    values = [_plain(row.get(name)) for name in resource.fields]
    return f'"{hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:20]}"'


def _plain(value: Any) -> Any:
    """Return a value as JSON alone tells it apart: 1 and 1.0 are the same number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if type(value) is int else value


def check_match(call: Call, tag: str, version: int | None = None) -> None:
    """Refuse a change of what was changed since the client read it; ask within the write.

    Parameters
    ----------
    call : Call
    tag : str
        The record's ETag.
    version : int, optional
        Its version, which clients may name instead.

    Raises
    ------
    ApiError
        412 if the request has an ``If-Match`` that names neither; it tells the present version.
    """
    wanted = call.request.headers.get("if-match")
    if not wanted or wanted.strip() == "*" or call.deletes_parts:
        return
    accepted = {tag_text.strip().removeprefix("W/").strip('"') for tag_text in wanted.split(",")}
    if not {tag.strip('"'), str(version)} & accepted:
        raise stale(version)


def stale(version: int | None) -> ApiError:
    """Return the answer to a change of what was changed since the client read it."""
    fields: dict[str, Any] = {} if version is None else {"version": version}
    return ApiError(412, "The record was changed since you read it; read it again.", **fields)


def merge_json(resource: Resource, key: str, old: Row, new: Body, call: Call) -> Body:
    """Return a change whose JSON objects keep what others changed since the client read them.

    Clients of the Alyx REST contract change a key by reading the object, changing it and sending
    all of it (``json_field_update``, ``json_field_remove_key``). What they read is the version of
    the last seconds from which the fewest keys differ. Whoever names a version (``If-Match``) or
    replaces the record (PUT) writes the object as it is sent.
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
    """Return an object with the changes that a client made to the version it read.

    Parameters
    ----------
    current : dict
        As it is now.
    sent : dict
        As the client wants it, from whichever version it knew.
    former : list of dict
        Versions that the client may have read, latest first.
    """

    def changed(base: Body) -> set[str]:
        names = base.keys() | sent.keys()
        return {n for n in names if (n in base, base.get(n)) != (n in sent, sent.get(n))}

    best = min(
        (changes for changes in map(changed, [current, *former]) if changes),
        key=len,  # of equal ones the latest, which comes first
    )
    unchanged = {name: value for name, value in current.items() if name not in best}
    return unchanged | {name: value for name, value in sent.items() if name in best}
