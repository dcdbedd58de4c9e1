"""Filters of lists: the ``?django=`` language and typed parameters, as conditions on the index.

Fields are looked up in the declarations of the resources, relations are followed, lookups come
from a fixed list. The language itself is read by `functions.api.engine.filter_grammar`.
"""

from __future__ import annotations

import re
from typing import Any

from functions.api.call import Call
from functions.api.engine import meanings
from functions.api.engine.declarations import KINDS, Field, Resource
from functions.api.engine.filter_grammar import (
    BadFilter,
    Select,
    flag_of,
    number_of,
    parse,
    scalar,
)
from functions.api.engine.filter_values import (
    DATE_PARTS,
    DATES,
    MOMENTS,
    SCALARS,
    choice_of,
    fitted,
    moment_of,
    typed,
)
from shared.catalog.rows import Selection
from shared.datasets.read import datasets_of
from shared.model import moment
from shared.model.quality import QC
from shared.records.where import LOOKUPS, OnStored, Places, Where, items_where

MAX_DEPTH = 6
MAX_SESSIONS = 100
PUBLIC_LOOKUPS = frozenset(LOOKUPS) - {"test"}
NEVER = frozenset({"password", "token", "tokens"})
_ID = r"(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|-?[0-9]{1,12})\Z"


def conditions(resource: Resource, query: str, select: Select) -> list[Where]:
    """Return the conditions of a ``?django=`` text on the rows of a resource.

    Parameters
    ----------
    resource : Resource
    query : str
    select : callable
        Looks up related records (as the caller may see them).

    Raises
    ------
    BadFilter
        If a field, a lookup or a value is not allowed.
    """
    return [
        _condition(resource, name.split("__"), value, negated, select, name, 0)
        for name, value, negated in parse(query)
    ]


def pairs(resource: Resource, name: str, query: str) -> list[Where]:
    """Return the conditions of a JSON filter, ``key[__lookup],value`` pairs on a JSON field."""
    wheres = []
    for path, value, negated in parse(query):
        keys = path.split("__")
        lookup = keys.pop() if len(keys) > 1 and keys[-1] in PUBLIC_LOOKUPS else "exact"
        wheres.append(Where(name, lookup, fitted(lookup, value, path), negated, tuple(keys)))
    return wheres


def _condition(
    resource: Resource,
    path: list[str],
    value: Any,
    negated: bool,
    select: Select,
    whole: str,
    depth: int,
) -> Where:
    """Return the condition for a field path, following relations."""
    head, rest = path[0], path[1:]
    if depth > MAX_DEPTH:
        raise BadFilter(f"{whole!r} goes through too many relations.")
    if not head or head in NEVER:
        raise _unknown(whole, resource)
    if head == "pk":
        head = "id"
    if head.endswith("_id") and head not in resource.fields and head[:-3] in resource.fields:
        head = head[:-3]
    if head in resource.reverse:
        kind, other_field, own_field = resource.reverse[head]
        other = KINDS[kind]
        inner = (
            [_condition(other, rest, value, False, select, whole, depth + 1)]
            if rest != ["isnull"] and rest
            else []
        )
        if not rest:
            inner = [Where("id", "exact", value)]
        chosen = select(kind, inner)
        keys = (
            other_field(chosen) if callable(other_field) else chosen.values(other_field) - {None}
        )
        wanted = not value if rest == ["isnull"] else True
        if not own_field:
            return Places(value=frozenset(keys), negate=negated == wanted)
        return Where(own_field, "in", keys, negated == wanted)
    if head in resource.stored:
        return _stored(resource, head, rest, value, negated, select, whole, depth)
    spec = resource.fields.get(head)
    if spec is None and head == "id":
        spec = Field("uuid")
        _check_ids(value, rest, whole)
    if spec is None or not spec.indexed or spec.hidden:
        raise _unknown(whole, resource)
    if rest and rest[0] in spec.stands_for:
        rest = rest[1:]
    if spec.items and rest and rest[0] in spec.items:
        inside = resource.with_(fields=spec.items, reverse={}, stored={})
        found_in = _condition(inside, rest, value, negated, select, whole, depth + 1)
        return items_where(head, found_in)
    if spec.type == "ref" or (spec.to and rest and rest[0] not in PUBLIC_LOOKUPS):
        condition = _reference(resource, spec, head, rest, value, negated, select, whole, depth)
        return _on_any(condition) if spec.type == "json" else condition
    if spec.type == "json" and rest and rest[-1] == "has_key":
        key = str(value)
        return Where(head, "test", lambda x: _has_key(x, key), negated, tuple(rest[:-1]))
    if spec.type == "json":
        lookup = rest.pop() if rest and rest[-1] in PUBLIC_LOOKUPS else "exact"
        return Where(head, lookup, fitted(lookup, value, whole), negated, tuple(rest))
    condition = _plain(spec, head, rest, value, negated, whole, zoned=resource.store is None)
    return _called(resource, condition) if head == resource.key else condition


def _called(resource: Resource, where: Where) -> Where:
    """Turn a condition on keys into one on the names that clients are shown."""
    title = resource.title
    if title is None or where.lookup == "isnull":
        return where
    wanted = where.value if isinstance(where.value, list) else [where.value]
    names = [nickname for nickname in wanted if not meanings.is_precise(nickname)]
    if where.lookup in ("exact", "in", "iexact") and len(names) < len(wanted):
        precise = {meanings.key_of(resource.kind, str(e)) for e in wanted if e not in names}
        called = lambda key: key in precise or title(str(key)) in names  # noqa: E731
    else:
        test = where.test()
        called = lambda key: test(title(str(key)))  # noqa: E731
    return Where(where.field, "test", lambda key: key is not None and called(key), where.negate)


def _on_any(where: Where) -> Where:
    """Turn a condition on a value into one on any item of a JSON list."""
    test = where.positive().test()
    any_of = lambda x: any(map(test, x)) if isinstance(x, list) else test(x)  # noqa: E731
    return Where(where.field, "test", any_of, where.negate)


def _has_key(value: Any, key: str) -> bool:
    return key in value if isinstance(value, (dict, list)) else False


def _stored(
    resource: Resource,
    head: str,
    rest: list[str],
    value: Any,
    negated: bool,
    select: Select,
    whole: str,
    depth: int,
) -> Where:
    """Return the condition on values that are not in the index; it tests stored records."""
    kind, rows = resource.stored[head]
    if depth:
        raise BadFilter(f"{whole!r}: filter /{resource.path} by this, not what names them.")
    if kind:
        select(kind, [])  # refuses callers who may not list them
    if rest == ["isnull"]:
        inner = Where("id", "isnull", False)
        negated = negated != bool(fitted("isnull", value, whole))
    elif not kind:
        inner = _plain(Field("datetime"), head, rest, value, False, whole)
    elif not rest:
        inner = Where("id", "exact", value)
    else:
        inner = _condition(KINDS[kind], rest, value, False, select, whole, depth + 1)
    return OnStored(value=inner, negate=negated, rows=rows)


def _reference(
    resource: Resource,
    spec: Field,
    head: str,
    rest: list[str],
    value: Any,
    negated: bool,
    select: Select,
    whole: str,
    depth: int,
) -> Where:
    other = KINDS[spec.to]
    if other.key == "id" and (not rest or rest[0] in ("pk", "id", "exact", "in")):
        _check_ids(value, rest, whole)
    if not rest or (len(rest) == 1 and rest[0] in PUBLIC_LOOKUPS):
        lookup = rest[0] if rest else "exact"
        if lookup == "isnull" or value is None:
            wanted = True if value is None else fitted("isnull", value, whole)
            return Where(head, "isnull", wanted, negated)
        if other.key != "id" and lookup in ("exact", "in") and not other.title:
            # An id may stand for a named record.
            wanted = value if isinstance(value, list) else [value]
            keys_and_ids = {str(key) for key in wanted}
            keys_and_ids |= select(spec.to, [Where("id", "in", keys_and_ids)]).values(other.key)
            return Where(head, "in", keys_and_ids, negated)
        return _called(other, Where(head, lookup, fitted(lookup, value, whole), negated))
    if rest[0] in ("pk", "id", other.key) and (other.key == "id" or rest[0] == other.key):
        lookup = rest[1] if len(rest) > 1 else "exact"
        if len(rest) > 2 or lookup not in PUBLIC_LOOKUPS:
            raise _bad_lookup(whole, lookup)
        return _called(other, Where(head, lookup, fitted(lookup, value, whole), negated))
    inner = _condition(other, rest, value, False, select, whole, depth + 1)
    chosen = select(spec.to, [inner])
    keys = _dataset_ids(chosen, whole) if spec.to == "dataset" else chosen.values(other.key)
    return Where(head, "in", keys, negated)


def _dataset_ids(chosen: Selection, whole: str) -> set[str]:
    """Return the ids of datasets; the index holds only their places."""
    places = {(dataset["session"], dataset["path"]) for dataset in chosen.all(("session", "path"))}
    owners = sorted({owner for owner, _ in places})
    if len(owners) > MAX_SESSIONS:
        raise BadFilter(
            f"{whole!r} finds datasets of {len(owners)} sessions, more than {MAX_SESSIONS}; "
            "name the sessions too."
        )
    items = (item for owner in owners for item in datasets_of(owner))
    return {item.uuid for item in items if (item.owner, item.path) in places}


def _check_ids(value: Any, rest: list[str], whole: str) -> None:
    """Refuse values that are not ids."""
    if rest and rest[-1] not in ("exact", "in", "pk", "id"):
        return
    for identity in value if isinstance(value, list) else [value]:
        if identity is not None and not re.match(_ID, str(identity)):
            raise BadFilter(f"{whole!r}: {str(identity)[:60]!r} is not a valid UUID.")


def _plain(
    spec: Field,
    head: str,
    rest: list[str],
    value: Any,
    negated: bool,
    whole: str,
    *,
    zoned: bool = False,
) -> Where:
    """Return the condition on a field; ``zoned`` times have a zone, filters use the wall clock."""
    part = rest.pop(0) if rest and rest[0] in DATE_PARTS and spec.type in DATES else None
    lookup = rest[0] if rest else "exact"
    if len(rest) > 1 or lookup not in PUBLIC_LOOKUPS:
        raise _bad_lookup(whole, lookup)
    if spec.type in SCALARS and isinstance(value, str) and lookup in MOMENTS:
        value = typed(spec, value, whole)
    if spec.choices and not isinstance(value, (bool, list)):
        value = choice_of(spec, value)
    elif spec.choices and isinstance(value, list):
        value = [choice_of(spec, item) for item in value]
    if spec.type == "text" and isinstance(value, (int, float)) and lookup != "isnull":
        value = str(value)
    if spec.type == "datetime" and part is None and lookup in MOMENTS:
        value = (
            [moment_of(item) for item in value] if isinstance(value, list) else moment_of(value)
        )
    value = fitted(lookup, value, whole)
    if zoned and spec.type == "datetime" and part is None and lookup in MOMENTS:
        test = LOOKUPS[lookup](value)
        return Where(head, "test", lambda x: x is not None and test(moment.naive(x)), negated)
    if part:
        test, cut = LOOKUPS[lookup](value), DATE_PARTS[part]
        return Where(head, "test", lambda x: x is not None and test(cut(str(x))), negated)
    return Where(head, lookup, value, negated)


def _unknown(whole: str, resource: Resource) -> BadFilter:
    return BadFilter(f"{whole!r}: /{resource.path} has no such field to filter by.")


def _bad_lookup(whole: str, lookup: str) -> BadFilter:
    allowed = ", ".join(sorted(PUBLIC_LOOKUPS))
    return BadFilter(f"{whole!r}: {lookup!r} is not one of {allowed}.")


def conditions_of(
    resource: Resource, name: str, path: str, value: str, select: Select
) -> list[Where]:
    """Return the condition of a declared filter, e.g. ``session__lab__iexact``.

    Raises
    ------
    BadFilter
        400 with the parameter's name if the value is not of its type.
    """
    try:
        return [_condition(resource, path.split("__"), value, False, select, path, 0)]
    except BadFilter as error:
        (message,) = error.body["django"]
        raise BadFilter(message, name) from None


def by_field(resource: Resource, name: str, value: str, select: Select) -> list[Where]:
    """Return the condition of a query parameter that is a field of the resource.

    Raises
    ------
    BadFilter
        400 with the parameter's name if the value is not of its type.
    """
    spec = resource.fields.get(name) or Field("uuid")
    if not spec.indexed or spec.hidden:
        return []
    if spec.type == "json" and not spec.to:
        return pairs(resource, name, value)
    if spec.type == "json":
        return [_on_any(Where(name, "exact", scalar(value.strip())))]
    if spec.type == "bool":
        return [Where(name, "exact", flag_of(name, value))]
    if spec.type in ("int", "float", "floats"):
        return [Where(name, "exact", number_of(name, value))]
    if spec.type == "choice":
        stored = choice_of(spec, scalar(value.strip()))
        if stored not in (spec.choices or {}).values():
            raise BadFilter(f"{value!r} is not one of {', '.join(spec.choices or {})}.", name)
        return [Where(name, "exact", stored)]
    if spec.type == "ref":
        if spec.many and "," in value:
            parts = [part.strip() for part in value.split(",")]
            return [_condition(resource, [name], part, False, select, name, 0) for part in parts]
        return [_condition(resource, [name], value, False, select, name, 0)]
    if spec.type in DATES:
        return [_plain(spec, name, [], value, False, name, zoned=resource.store is None)]
    where = Where(name, "exact", value)
    return [_called(resource, where) if name == resource.key else where]


def quality(name: str, value: str) -> int:
    """Return the number of a QC name.

    Raises
    ------
    BadFilter
        If there is no such outcome.
    """
    number = QC.get(value.strip().upper())
    if number is None and value.strip() in {str(code) for code in QC.values()}:
        number = int(value)
    if number is None:
        raise BadFilter(f"{value!r} is not one of {', '.join(QC)}.", name)
    return number


def good_enough(call: Call) -> Where:
    """Return the condition on the QC of datasets that are named; FAIL is accepted."""
    most = call.query.get("dataset_qc_lte") or "FAIL"
    return Where("qc", "lte", quality("dataset_qc_lte", most))
