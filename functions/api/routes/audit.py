"""The audit trail of a record, of a lab by day, or of a group of writes; and undo of a group.

Members see the entries of their own labs, and of the lists that all labs share.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine import read_values, undoing, zones
from functions.api.engine.declarations import KINDS
from functions.api.engine.plan import Plan, planned
from functions.api.engine.visible import may_list
from functions.api.errors import ApiError, Invalid, forbidden, not_found
from functions.api.replica import HeldRow, Scope
from shared import catalog
from shared.model import moment
from shared.model.people import Role
from shared.records import answers, audit
from shared.records.table import Record
from shared.records.transactions import Transaction

routes = Blueprint(__name__)

USUAL = 100
MOST = 500
"""Default and most entries of an answer."""

DAYS = 7
FARTHEST = 92
"""Days that a question about labs looks back: by default, and at most."""


class Entry(msgspec.Struct, frozen=True):
    """One write of one record, as it is shown."""

    at: str
    who: str
    action: str
    kind: str
    key: str
    lab: str | None
    group: str | None
    version: int | None
    before: dict[str, Any]
    after: dict[str, Any]


class Entries(msgspec.Struct, frozen=True):
    """An answer: entries, latest first, and the place to continue (``before``)."""

    results: list[Entry]
    next: str | None


@routes.route("/audit", methods=["GET"])
def entries() -> dict[str, Any]:
    """Say who changed what: ``kind`` and ``key``, ``group``, or ``since`` and ``who`` in labs."""
    call = Call(routes.current_request)
    limit = _limit(call)
    views: list[Entry] = []
    for entry in _asked(call):
        if not _fits(call, entry):
            continue
        if len(views) >= limit and entry.when != views[-1].at:  # a transaction stays together
            return _answer(views, views[-1].at)
        views.append(shown(entry))
    return _answer(views, None)


def _answer(found: list[Entry], place: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(Entries(found, place))
    return answer


def _limit(call: Call) -> int:
    text = call.query.get("limit") or str(USUAL)
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) <= MOST:
        raise Invalid({"limit": [f"A whole number from 1 to {MOST}."]})
    return int(text)


def _asked(call: Call) -> Iterator[audit.Audit]:
    """Yield the entries that match the query, latest first."""
    query = call.query
    if group := query.get("group"):
        yield from reversed(audit.of_group(_uuid("group", group)))
    elif query.get("kind") and query.get("key"):
        if query["kind"] not in KINDS:
            raise Invalid({"kind": ["There is no such kind of record."]})
        yield from reversed(list(audit.history(query["kind"], query["key"])))
    else:
        yield from _of_labs(call)


def _of_labs(call: Call) -> Iterator[audit.Audit]:
    """Yield the entries of the caller's labs, day by day."""
    today = moment.now().date()
    first = _day("since", call.query["since"]) if call.query.get("since") else None
    first = first or today - dt.timedelta(days=DAYS)
    if (today - first).days > FARTHEST:
        raise Invalid({"since": [f"At most {FARTHEST} days back; ask for a kind and a key."]})
    before = call.query.get("before", "")
    day = min(today, _day("before", before[:10])) if before else today
    labs = [*sorted(_labs(call)), ""]
    while day >= first:
        of_day = [each for lab in labs for each in audit.of_day(lab, day.isoformat(), before)]
        yield from sorted(of_day, key=lambda each: str(each.sk), reverse=True)
        day -= dt.timedelta(days=1)


def _labs(call: Call) -> set[str]:
    who = call.who
    if who.role == Role.ADMINISTRATOR and not who.labs:
        return set(catalog.table("lab").select().values("name"))
    return set(who.labs)


def _day(name: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise Invalid({name: ["A day, as 2026-01-31."]}) from None


def _uuid(name: str, text: str) -> str:
    if not read_values.is_uuid(text):
        raise Invalid({name: ["Must be a valid UUID."]})
    return text.lower()


def _fits(call: Call, entry: audit.Audit) -> bool:
    """Return whether an entry matches the query and the caller may see it."""
    query = call.query
    kind, key = entry.record
    if query.get("who") and entry.who != query["who"]:
        return False
    if (query.get("kind") or kind) != kind or (query.get("key") or key) != key:
        return False
    if query.get("before") and entry.when >= query["before"]:
        return False
    return is_for(call, entry)


def is_for(call: Call, entry: audit.Audit) -> bool:
    """Return whether an entry is about a record of the caller's labs, or of all labs."""
    kind, key = entry.record
    if kind not in KINDS or KINDS[kind].own or not may_list(call.who, KINDS[kind]):
        return False
    if call.who.role == Role.ADMINISTRATOR:
        return True
    lab = entry.lab
    if lab is None:  # an older entry without a lab, or one written another way
        record = catalog.table(kind).get(key) or {**entry.before, **entry.after}
        lab = zones.lab_of(KINDS[kind], record) or ""
        if KINDS[kind].lab and not lab:
            return False
    return not lab or lab in call.who.labs


def _is_ones_own(call: Call, entry: audit.Audit) -> bool:
    """Return whether an entry is about the caller's own record, their lab's, or a notice.

    Notices are undone with the writes that caused them.
    """
    kind, key = entry.record
    resource = KINDS.get(kind)
    if resource is None or not resource.own:
        return False
    record = {**entry.before, **entry.after, **(catalog.table(kind).get(key) or {})}
    owner = record.get(resource.own)
    own_labs = not owner and record.get("lab") in call.who.labs
    return kind in undoing.SENT or own_labs or owner == call.who.username


def shown(entry: audit.Audit) -> Entry:
    """Return an entry as it is shown: without fields that no route shows."""
    kind, key = entry.record
    fields = KINDS[kind].fields
    hidden = {name for name, spec in fields.items() if spec.hidden}

    def of(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name not in hidden}

    return Entry(
        at=entry.when,
        who=entry.who,
        action=entry.action,
        kind=kind,
        key=key,
        lab=entry.lab or None,
        group=entry.group,
        version=None if entry.version is None else int(entry.version),
        before=of(entry.before),
        after=of(entry.after),
    )


@routes.route("/audit/{group}/undo", methods=["POST"])
def undo(group: str) -> dict[str, Any]:
    """Take back what was done in one go, with what followed from it; once."""
    call = Call(routes.current_request)
    group = _uuid("group", unquote(group))
    new = str(uuid.uuid5(uuid.UUID(group), "undo"))
    digest = answers.digest(["undo", group])
    if previous := answers.of_group(new).get(answers.WHOLE):
        return _undone(call, group, new, previous.value)
    group_entries = audit.of_group(group)
    _check_whole(group, group_entries)
    own = [entry for entry in group_entries if is_for(call, entry) or _is_ones_own(call, entry)]
    if not own:
        raise not_found("group")
    if len(own) < len(group_entries):
        raise forbidden("Some of it is of labs that are not yours; their members undo it.")
    rows: list[tuple[str, str, int]] = []

    def steps(plan: Plan) -> None:
        undoing.put_back(plan, group_entries)

        def answer(writes: Transaction) -> None:
            rows[:] = [(kind, key, version) for kind, key, version, _ in writes.rows]
            stored_answer = answers.answer(
                new, answers.WHOLE, call.who.username, digest, rows, "Undo"
            )
            writes.save(stored_answer, Record.pk.does_not_exist())

        plan.also(answer)

    planned(call, steps, group=new, whole=True)
    return _undone(call, group, new, rows)


def _check_whole(group: str, found: list[audit.Audit]) -> None:
    """Refuse to undo a group that is not yet wholly in the index.

    Raises
    ------
    ApiError
        503.
    """
    names = {result.record.key for result in found}
    group_answers = answers.of_group(group)
    results = [result.value for result in group_answers.values()]
    flat = [
        write for result in results for write in (result if isinstance(result, list) else [result])
    ]
    done = {
        write["key"] for write in flat if isinstance(write, dict) and write["status"] in (201, 204)
    }
    if missing := done - names:
        text = f"{len(missing)} of its records are not found yet; try again in a moment."
        raise ApiError(503, text, headers={"Retry-After": "1"})


def _undone(call: Call, group: str, new: str, rows: list[Any]) -> dict[str, Any]:
    scope = Scope(call)
    now: list[HeldRow] = [
        scope.now(kind, key, int(version)) for kind, key, version in rows if kind in scope.kinds
    ]
    return {"group": new, "undone": group, "rows": msgspec.to_builtins(now)}
