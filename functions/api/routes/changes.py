"""The replica feed: a device loads the records of its user's labs, then follows their changes.

Without ``since`` the answer is the first page of a load, by columns (`HeldBlock`). ``next`` is the
place to continue: within the load while there is ``more``, then in the changes since, row by row.
A place is valid for the account's present labs and role. If these change, or if the feed does not
reach back to the place, the answer is 410 and the device loads again.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import msgspec
from chalice.app import Blueprint, Response

from functions.api.call import Call, matches
from functions.api.engine.declarations import KINDS, Row
from functions.api.errors import JSON, ApiError, Invalid
from functions.api.replica import NOT_HELD, HeldBlock, HeldRow, Scope
from shared import catalog
from shared.access import policy
from shared.model import change, moment
from shared.records import feed
from shared.records.where import Where

routes = Blueprint(__name__)

MOST = 10_000
"""Most rows of an answer: a few megabytes; Lambda's answers hold six."""

USUAL = 5_000
"""Rows of an answer by default."""

MARGIN = timedelta(hours=1)
"""Safety margin: feed items are deleted some time after they expire, and clocks differ."""

LASTING = timedelta(hours=1)
"""Without changes a place stays the same for this long, so that answers are equal."""


OF_SUBJECTS = frozenset(
    {"subject", "session", "dataset", "weighing", "watering", "water-restriction", "lab"}
)
"""Kinds of record that go into the tables of an animal."""


class ChangedSubjects(msgspec.Struct, frozen=True):
    """Ids of animals with changes, and the place to continue."""

    subjects: list[str]
    next: str


class Bookmark(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The place of a device in the feed.

    Attributes
    ----------
    at : str
        During a load its beginning; later the time up to which the device has the changes.
    scope : str
        Digest that distinguishes this account's replica from others.
    kind, after : str
        Within a load: the next kind, and the last key sent of it.
    settled : bool
        Whether no earlier entry than ``at`` can still arrive.
    """

    at: str
    scope: str
    kind: str = ""
    after: str = ""
    settled: bool = False

    def text(self) -> str:
        """Return it as clients send it back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(msgspec.Struct, frozen=True):
    """An answer."""

    rows: list[HeldRow]
    blocks: list[HeldBlock]
    next: str
    more: bool
    forms: str


def bookmark_of(text: str) -> Bookmark:
    """Parse the place that a client sends back.

    Raises
    ------
    Invalid
        400 if it is not a valid place.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = msgspec.json.decode(raw, type=Bookmark)
        moment.of_stamp(place.at)
    except (ValueError, msgspec.MsgspecError):
        place = None
    if place is None or (place.kind and place.kind not in KINDS):
        raise Invalid({"since": ["This is no place in the feed; load again without it."]})
    return place


@routes.route("/changes", methods=["GET"])
def changes() -> Response:
    """Say what the caller's replica is to hold: a page of all of it, or what changed since."""
    from functions.api import forms  # a client asks once per session

    call = Call(routes.current_request)
    scope = Scope(call, _kinds(call))
    limit = _limit(call)
    name = _name_of(scope)
    since = call.query.get("since")
    place = bookmark_of(since) if since else Bookmark(catalog.as_of(), name, scope.kinds[0])
    _check_reached(place, name)
    if place.kind:
        page = _load(scope, place, limit, forms.forms().hash)
    else:
        page = _follow(scope, place, limit, forms.forms().hash)
    body = msgspec.json.encode(page)
    tag = hashlib.sha256(body).hexdigest()[:20]
    headers: dict[str, Any] = {**JSON, "ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if matches(call.request, tag):
        return Response("", status_code=304, headers=headers)
    return Response(body.decode(), headers=headers)


@routes.route("/changes/subjects", methods=["GET"])
def changed_subjects() -> Response:
    """Tell the ids of animals of which anything changed since a place: of their data, too.

    Without ``since`` the answer has only the place to start from. Ids are repeated for a minute,
    because entries of the feed may be late. Ids of deleted animals are included.
    """
    call = Call(routes.current_request)
    if call.who.is_public or policy.sees_own_lab_only(call.who):
        raise ApiError(403, "People of a lab may follow what changes.")
    name = hashlib.sha256(call.who.username.encode()).hexdigest()[:16]
    since, now = call.query.get("since"), catalog.as_of()
    ids: set[str] = set()
    if since:
        place = bookmark_of(since)
        _check_reached(place, name)
        ids = _subjects_since(place)
    body = ChangedSubjects(sorted(ids), Bookmark(now, name).text())
    headers: dict[str, Any] = {**JSON}
    return Response(msgspec.json.encode(body).decode(), headers=headers)


def _subjects_since(place: Bookmark) -> set[str]:
    """Return the ids of animals with a changed record since a place.

    Raises
    ------
    ApiError
        410 if the animal of a deleted record is no longer known.
    """
    start = _earlier(place.at)
    entries = catalog.current().changed_since(start, OF_SUBJECTS)
    remembered = entries is not None
    ids: set[str] = set()
    former: dict[tuple[str, str], Row | None] = {}
    for entry in feed.since(start) if entries is None else entries:
        if entry.kind == feed.RESET:
            raise ApiError(410, "The table was replaced; compare everything.")
        if entry.kind not in OF_SUBJECTS:
            continue
        name = (entry.kind, entry.key)
        before = (
            catalog.table(entry.kind).was(entry.key, place.at) if remembered else former.get(name)
        )
        if not (entry.row or before or remembered):
            raise ApiError(410, "What was deleted is not at hand any more; compare everything.")
        ids |= _subjects_of(entry, before)
        former[name] = entry.row or before
    return ids


def _subjects_of(told: change.Change, before: Row | None) -> set[str]:
    """Return the ids of a record's former and present animals."""
    rows: list[Row] = [record for record in (told.row, before) if record]
    if told.kind == "subject":
        return {str(record["id"]) for record in rows}
    if told.kind == "lab":
        of_lab = catalog.table("subject").select([Where("lab", "exact", told.key)])
        return {str(identity) for identity in of_lab.values("id")}
    if told.kind == "dataset":
        owners = {str(record["session"]) for record in rows}
        rows = [record for record in map(catalog.table("session").get, owners) if record]
    keys = {str(record["subject"]) for record in rows if record.get("subject")}
    animals = map(catalog.table("subject").get, keys)
    return {
        str(record["id"]) for record in animals if record
    }  # deleted animals have their own entry


def _kinds(call: Call) -> list[str]:
    wanted = [kind for kind in call.query.get("kinds", "").split(",") if kind]
    if unknown := sorted(kind for kind in wanted if kind not in KINDS or kind in NOT_HELD):
        raise Invalid({"kinds": [f"No replica has {', '.join(unknown)[:200]}."]})
    return wanted


def _limit(call: Call) -> int:
    text = call.query.get("limit") or str(USUAL)
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= MOST:
        raise Invalid({"limit": [f"A whole number from 1 to {MOST}."]})
    return int(text)


def _name_of(scope: Scope) -> str:
    """Return the digest of an account, its role and its labs."""
    who = scope.call.who
    text = "\n".join(
        [who.username, who.role, *sorted(who.labs), "", *scope.kinds, *_rights(scope)]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rights(scope: Scope) -> list[str]:
    """Return further facts that decide which rows of closed labs the caller may change."""
    if not scope.closed_labs:
        return []
    who = scope.call.who
    delegating = catalog.table("user").select([Where("allowed_users", "exact", who.username)])
    roles = [str(who.is_stock_manager), str(who.is_husbandry)]
    return ["", *sorted(scope.closed_labs), "", *sorted(delegating.values("username")), *roles]


def _check_reached(place: Bookmark, name: str) -> None:
    """Refuse a place from which the deletions are no longer known.

    Raises
    ------
    ApiError
        410.
    """
    oldest = moment.stamp(moment.now() - feed.KEPT + MARGIN)
    if place.scope != name:
        raise ApiError(410, "Your labs, your role or the kinds have changed; load again.")
    if place.at < max(oldest, catalog.current().valid_from):
        raise ApiError(410, "The change feed does not reach back so far; load again.")


def _load(scope: Scope, place: Bookmark, limit: int, forms: str) -> Page:
    """Return the next page of a first load."""
    blocks: list[HeldBlock] = []
    left = limit
    for kind in [held_kind for held_kind in scope.kinds if held_kind >= place.kind]:
        after = place.after if kind == place.kind else ""
        rows, more = scope.page(kind, after, left)
        if rows:
            blocks.append(scope.block(kind, rows))
            after = str(rows[-1][KINDS[kind].key])
        left -= len(rows)
        if more:
            rest = Bookmark(place.at, place.scope, kind, after)
            return Page([], blocks, rest.text(), True, forms)
    return Page([], blocks, Bookmark(place.at, place.scope).text(), False, forms)


def _follow(scope: Scope, place: Bookmark, limit: int, forms: str) -> Page:
    """Return the changes since a place."""
    now = catalog.as_of()
    # A write's entry may arrive some time after its moment
    start = place.at if place.settled else _earlier(place.at)
    settled = _earlier(now)
    index = catalog.current()
    remembered = index.changed_since(start, scope.kinds)
    entries = remembered if remembered is not None else feed.since(start)
    latest: dict[tuple[str, str], change.Change] = {}
    end = ""
    for entry in entries:
        if len(latest) >= limit and start < entry.at < settled and entry.at > end:
            end = entry.at
            break
        if entry.kind == feed.RESET:
            raise ApiError(410, "The table was replaced; load again.")
        if entry.kind in scope.kinds:
            latest[entry.kind, entry.key] = entry
        end = entry.at
    else:
        end = ""
    rows: dict[tuple[str, str], HeldRow] = {}
    for (kind, key), entry in latest.items():
        rows[kind, key] = scope.now(kind, key, entry.version)
    for kind, key in latest:
        before = catalog.table(kind).was(key, place.at) if remembered is not None else None
        for other in scope.following(kind, key, before):
            rows.setdefault((other.kind, other.key), other)
    if end:
        return Page(
            list(rows.values()), [], Bookmark(end, place.scope, settled=True).text(), True, forms
        )
    news = any(entry.at >= place.at for entry in latest.values())
    lasts = place.at > moment.stamp(moment.of_stamp(now) - LASTING) and not place.settled
    at = place.at if lasts and not news else now
    return Page(list(rows.values()), [], Bookmark(at, place.scope).text(), False, forms)


def _earlier(at: str) -> str:
    return moment.stamp(moment.of_stamp(at) - feed.OVERLAP)
