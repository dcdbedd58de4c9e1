"""Resolve names of records: a key, an id, an additional or a former name.

Nicknames of animals are unique within a lab, so several animals may share one
(`shared.model.identity.animal_key`). Then the lab decides, given by ``?lab=``, by the body's
``lab`` or as ``nickname@lab``. In writes a nickname means an animal of the member's own labs. If
several animals remain, the answer is 409 and explains how to name one. ``nickname~`` and
``nickname~1a2b3c4d`` are keys and mean one animal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import KINDS, Resource, Row
from functions.api.errors import ApiError, not_found
from shared import catalog
from shared.catalog.planned import of_kind
from shared.model.identity import BESIDE, is_uuid
from shared.records.errors import NotFound
from shared.records.where import Where
from shared.sessions.contents import find_dataset

if TYPE_CHECKING:
    from functions.api.call import Call

OF_LAB = "@"
"""Separator of a nickname and a lab; no nickname contains it."""


def is_precise(value: Any) -> bool:
    """Return whether a text is an id, a key with more than the name, or a name with a lab."""
    return BESIDE in (text := str(value)) or OF_LAB in text or is_uuid(text.lower())


def exact(key: str) -> str:
    """Return a name that means only the record of this key, even if others share its name."""
    return key if BESIDE in key else f"{key}{BESIDE}"


def key_of(
    kind: str,
    value: str,
    call: Call | None = None,
    *,
    lab: str | None = None,
    hint: str | None = None,
    is_write: bool = False,
) -> str | None:
    """Return the key of the record that a name means; None if there is none.

    Parameters
    ----------
    kind, value : str
        The kind of record, and its key, id, or another name of it.
    call : Call, optional
        The request; only records that its caller may list are considered.
    lab : str, optional
        The record's lab, if several may have the name.
    hint : str, optional
        The preferred lab, if it has a record of this name.
    is_write : bool
        Whether the caller writes a record that names it.

    Raises
    ------
    ApiError
        409 if several records match.
    """
    resource = KINDS[kind]
    if kind == "dataset":
        try:
            return find_dataset(value)[1].uuid if is_uuid(value.lower()) else None
        except NotFound:
            return None
    if resource.title:
        return _titled(resource, value, call, lab, hint, is_write=is_write)
    table = catalog.table(kind)
    if table.get(value) is not None:
        return value
    for name in resource.also:
        matches = table.select([Where(name, "exact", value)])
        if len(matches):
            return str(matches.page(0, 1)[0][resource.key])
    if resource.key != "id" and is_uuid(value.lower()):
        return _of_id(resource, value)
    return None


def stored_key(kind: str, value: str) -> str | None:
    """Return the key of the record that a stored reference names by key or id."""
    return value if catalog.table(kind).get(value) is not None else key_of(kind, value)


def key_in_address(call: Call, resource: Resource, value: str) -> str:
    """Return the key of the record at an address; the value itself if there is none.

    Raises
    ------
    ApiError
        409 if several records match; 404 if the lab in the query has none.
    """
    if not resource.title:
        return value
    lab = call.query.get("lab")
    key = key_of(resource.kind, value, call, lab=lab, is_write=call.method != "GET")
    if key is None and lab:
        raise not_found(resource.name)
    return key or value


def keys_called(resource: Resource, title: str, call: Call | None = None) -> list[str]:
    """Return the keys of all records with a name."""
    existing = [title] if catalog.table(resource.kind).get(title) is not None else []
    return [*existing, *sorted(_beside(resource, call).get(title, ()))]


def is_shared(resource: Resource, key: str, call: Call | None = None) -> bool:
    """Return whether other records share the name of a record."""
    return len(keys_called(resource, resource.title_of(key), call)) > 1


def name_in_address(resource: Resource, row: Row, call: Call) -> str:
    """Return a record's name in addresses: its id if others share its name."""
    key = str(row[resource.key])
    return str(row["id"]) if is_shared(resource, key, call) else resource.title_of(key)


def _titled(
    resource: Resource,
    value: str,
    call: Call | None,
    lab: str | None,
    hint: str | None,
    *,
    is_write: bool,
) -> str | None:
    table = catalog.table(resource.kind)
    if BESIDE in value:
        key = value.removesuffix(BESIDE)
        return key if table.get(key) is not None else None
    if OF_LAB in value:
        value, _, lab = value.rpartition(OF_LAB)
    if is_uuid(value.lower()) and (key_of_id := _of_id(resource, value)):
        return key_of_id
    rows: Sequence[Row | None] = [table.get(key) for key in keys_called(resource, value, call)]
    if (found_key := _only(resource, value, rows, call, lab, hint, is_write=is_write)) is None:
        for name in resource.also:
            rows = table.select([Where(name, "exact", value)]).all()
            if found_key := _only(resource, value, rows, call, lab, hint, is_write=is_write):
                break
    return found_key


def _only(
    resource: Resource,
    value: str,
    rows: Iterable[Row | None],
    call: Call | None,
    lab: str | None,
    hint: str | None,
    *,
    is_write: bool,
) -> str | None:
    """Return the key of the one record that a shared name can mean."""
    alike = [row for row in rows if row is not None and lab in (None, row[resource.within])]
    if len(alike) > 1 and call is not None:
        from functions.api.engine.visible import listable

        alike = listable(call, resource.kind, alike)
    if len(alike) > 1 and hint:
        alike = [row for row in alike if row[resource.within] == hint] or alike
    if len(alike) > 1 and call is not None and is_write and not call.is_import:
        own = [row for row in alike if row[resource.within] in call.who.labs]
        alike = own or alike
    if len(alike) > 1:
        labs = sorted({str(row[resource.within]) for row in alike})
        raise ApiError(
            409,
            f"{len(alike)} {resource.kind}s are called {value}: in {' and in '.join(labs)}. Name "
            f"the lab (?lab={labs[0]}, or {value}{OF_LAB}{labs[0]}), or give the id.",
            labs=labs,
        )
    return str(alike[0][resource.key]) if alike else None


def _of_id(resource: Resource, value: str) -> str | None:
    matches = catalog.table(resource.kind).select([Where("id", "exact", value)])
    return str(matches.page(0, 1)[0][resource.key]) if len(matches) else None


def _beside(resource: Resource, call: Call | None) -> Mapping[str, set[str]]:
    """Return the keys with more than the name, by name; read once per request."""

    def read() -> dict[str, set[str]]:
        marked = [Where(resource.key, "contains", BESIDE)]
        return _by_title(
            resource, catalog.table(resource.kind).select(marked).values(resource.key)
        )

    coming = of_kind(resource.kind)
    if call is None or any(BESIDE in key for key in coming):
        return read()
    by_title: Mapping[str, set[str]] = call.once(f"{resource.kind}s called alike", read)
    return by_title


def _by_title(resource: Resource, keys: Iterable[Any]) -> dict[str, set[str]]:
    by_title: dict[str, set[str]] = {}
    for key in keys:
        by_title.setdefault(resource.title_of(str(key)), set()).add(str(key))
    return by_title
