"""The visible records of a resource for a caller, as conditions on the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from functions.api.call import Call
from functions.api.engine import paging, show_values
from functions.api.engine.declarations import KINDS, Body, Resource, Row
from functions.api.engine.filter_grammar import BadFilter, Select
from functions.api.engine.rules import rule_of
from shared import catalog
from shared.access import policy
from shared.catalog import visible
from shared.catalog.rows import Selection
from shared.model.people import Caller
from shared.records.where import Either, Places, Where

NOTHING = Where("id", "in", frozenset())


def public_datasets(tables: visible.Tables = catalog.table) -> Where:
    """Return the condition on public datasets: by their session, or by a release."""
    sessions = tables("session").select(visible.public_sessions(tables))
    return Either(
        value=[
            Where("session", "in", sessions.values("id")),
            Where("tags", "in", visible.released_tags(tables)),
        ]
    )


class _Then:
    """The rows of a kind at a moment."""

    def __init__(self, kind: str, as_of: str) -> None:
        self._table, self._as_of = catalog.table(kind), as_of

    def select(self, wheres: Sequence[Where] = ()) -> Selection:
        """Return the rows that match the conditions."""
        return self._table.select(wheres, as_of=self._as_of)

    def rows(self) -> list[Body]:
        """Return all rows."""
        return self.select().all()


def visible_to(
    who: Caller, resource: Resource, as_of: str | None = None, *, brief: bool = False
) -> list[Where]:
    """Return the conditions that hide private records from a caller.

    Parameters
    ----------
    who : Caller
    resource : Resource
    as_of : str, optional
        The moment of the rows. The public sees records that were public then and still are:
        neither withdrawn ones, nor versions from before a publication.
    brief : bool
        Whether to include sessions known from a public release alone. Only the fields in
        `shown_briefly` of these are shown, so other filters must not find them.
    """
    if is_managers(resource) and who.role not in policy.ADMINISTRATORS:
        return of_labs(resource, who)
    if policy.sees_own_lab_only(who):
        return [*of_labs(resource, who), *_of_user(resource, who)]
    if not who.is_public:
        return _of_user(resource, who)
    now = _public(resource, catalog.table, brief)
    if not as_of:
        return now
    if resource.kind == "session":
        now = [Where("id", "in", catalog.table("session").select(now).values("id"))]
    elif resource.kind == "dataset":
        rows = catalog.table("dataset").select(now).all(("session", "path"))
        now = [Places(value=frozenset((dataset["session"], dataset["path"]) for dataset in rows))]
    return [*now, *_public(resource, lambda kind: _Then(kind, as_of), brief)]


def is_managers(resource: Resource) -> bool:
    """Return whether only the managers of a record's lab see it."""
    return resource.access.read == "manager"


def _of_user(resource: Resource, who: Caller) -> list[Where]:
    """Return the conditions on records with an owner: the caller's own, and their labs'."""
    if not resource.own or who.role in policy.ADMINISTRATORS:
        return []
    of_lab = Where("lab", "in", who.labs)
    shared = catalog.table(resource.kind).select([Where(resource.own, "isnull", True), of_lab])
    own = Where(resource.own, "exact", who.username)
    return [Either(value=[own, Where("id", "in", shared.values("id"))])]


def _public(resource: Resource, tables: visible.Tables, brief: bool) -> list[Where]:
    """Return the conditions on public records, by the tables of one moment."""
    if resource.access.read == "public" and not resource.public_by:
        return []
    if not resource.public_by and resource.kind not in ("session", "subject"):
        return [NOTHING]
    if resource.kind == "dataset":
        return [public_datasets(tables)]
    public = visible.public_sessions(tables)
    if resource.kind == "session":
        released = visible.released_sessions(tables) if brief else set()
        if not released:
            return public
        return [Where("id", "in", tables("session").select(public).values("id") | released)]
    if resource.kind == "subject":
        return [Where("nickname", "in", tables("session").select(public).values("subject"))]
    return [Where(resource.public_by, "in", tables("session").select(public).values("id"))]


def of_labs(resource: Resource, who: Caller) -> list[Where]:
    """Return the conditions on records of the caller's labs; lists of all labs are not narrowed.

    A record whose lab is found through another record belongs to the lab of that record.
    """
    if resource.kind in ("user", "download"):
        condition = ("lab", who.labs) if resource.kind == "user" else ("user", [who.username])
        return [Where(condition[0], "in", condition[1])]
    if not resource.lab or resource.kind == "lab":
        return []
    if resource.lab == "lab":
        return [Where("lab", "in", who.labs)]
    by = resource.public_by or resource.lab
    other = KINDS["session"] if resource.public_by else KINDS[resource.fields[by].to]
    owners = catalog.table(other.kind).select(of_labs(other, who))
    return [Where(by, "in", owners.values(other.key))]


def asks_briefly(resource: Resource, call: Call) -> bool:
    """Return whether a list is filtered only by fields of brief rows."""
    return call.query.keys() <= resource.brief | {"limit", "offset", paging.TOKEN}


def shown_briefly(call: Call, session: str) -> bool:
    """Return whether a caller knows a session from a public release alone."""
    if not call.who.is_public:
        return False
    whole = visible.public_sessions(catalog.table)
    return not len(catalog.table("session").select([Where("id", "exact", session), *whole]))


def may_list(who: Caller, resource: Resource) -> bool:
    """Return whether a caller may list a resource at all."""
    return bool(policy.may_use(rule_of(resource, "list"), who))


def related(
    call: Call, kind: str, wheres: Sequence[Where] = (), as_of: str | None = None
) -> Selection:
    """Return the records of a kind that fulfil conditions, as the caller may list them.

    This alone decides which other records are nested, filtered by and counted: those that a caller
    may not list are left out.
    """
    resource = KINDS[kind]
    if not may_list(call.who, resource):
        return catalog.table(kind).select([NOTHING], as_of=as_of)
    seen = visible_to(call.who, resource, as_of)
    return catalog.table(kind).select([*wheres, *seen], as_of=as_of)


def belonging(
    call: Call,
    row: Row,
    kind: str,
    field: str,
    by: str = "id",
    wheres: Sequence[Where] = (),
    fields: Sequence[str] | None = None,
) -> list[Row]:
    """Return the records of another kind that name a row, as the caller may list them.

    They are selected once for all rows that are shown together, so the cost of a page does not
    depend on its length.

    Parameters
    ----------
    call : Call
    row : mapping
        The named record.
    kind, field : str
        Kind of the records that name it, and the field: a key, or a list of keys.
    by : str
        The field of the row whose value they hold.
    wheres : sequence of Where
        Further conditions; they must be the same for all calls of a request.
    fields : sequence of str, optional
        Fields to read, including `field`; all by default.
    """
    group = call.beside(row)

    def read() -> dict[Any, list[Row]]:
        keys = {record[by] for record in group}
        where = Where(field, "in", keys)
        if len(keys) == 1:
            where = Where(field, "exact", next(iter(keys)))
        rows = related(call, kind, [where, *wheres]).all(fields)
        call.show_together(rows)
        by_key: dict[Any, list[Row]] = {}
        for record in rows:
            value = record.get(field)
            for key in value if isinstance(value, list) else [value]:
                by_key.setdefault(key, []).append(record)
        return by_key

    by_key: dict[Any, list[Row]] = call.once(f"{kind} by {field} of {id(group)}", read)
    return by_key.get(row[by], [])


def nested(call: Call, kind: str, rows: Iterable[Row]) -> list[Body]:
    """Return the listable ones of some stored records, in the shape of their list."""
    resource = KINDS[kind]
    return [show_values.show(resource, row, call) for row in listable(call, kind, rows)]


def listable(call: Call, kind: str, rows: Iterable[Row]) -> list[Row]:
    """Return those of some stored records of a kind that the caller may list."""
    resource = KINDS[kind]
    if not may_list(call.who, resource):
        return []
    hidden = call.once(f"visible {kind}", lambda: visible_to(call.who, resource))
    tests = [where.on_rows() for where in hidden]
    return [row for row in rows if all(test(row) for test in tests)]


def selector(call: Call, as_of: str | None = None) -> Select:
    """Return the look-up of related records for filters, as the caller may list them.

    Raises
    ------
    BadFilter
        If the caller may not list them: the answer must not show whether there are any.
    """

    def select(kind: str, wheres: list[Where]) -> Selection:
        if not may_list(call.who, KINDS[kind]):
            raise BadFilter(f"/{KINDS[kind].path} cannot be filtered by without listing it.")
        return related(call, kind, wheres, as_of)

    return select
