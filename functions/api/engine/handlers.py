"""The routes of all declared resources: list, create, read, update, delete, over one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.body import written
from functions.api.call import Call
from functions.api.engine import filters, meanings, paging, show_values
from functions.api.engine.declarations import Resource
from functions.api.engine.plan import is_document
from functions.api.engine.rules import METHODS, ON_ITEM, item_path, rule_of
from functions.api.engine.stores import store_of
from functions.api.engine.visible import asks_briefly, selector, visible_to
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.records.where import Where

CLIENTS_OWN = frozenset({"clobber", "format"})
"""Parameters that are no filters: ibllib's for the client's cache, and Alyx's for its renderer."""

NO_FILTERS = frozenset({"limit", "offset", paging.TOKEN}) | CLIENTS_OWN
"""Query parameters of every list that are not filters."""


def blueprint(resources: Iterable[Resource]) -> Blueprint:
    """Return the routes of some resources; their rules are set, too."""
    routes = Blueprint(__name__)
    for resource in resources:
        for action, method in METHODS.items():
            if resource.has(action):
                path = item_path(resource) if action in ON_ITEM else f"/{resource.path}"
                view = _view(routes, resource, action)
                routes.route(path, methods=[method], name=view.__name__)(view)
                permissions.add(path, method, rule_of(resource, action))
    return routes


def _view(routes: Blueprint, resource: Resource, action: str) -> Callable[..., Any]:
    handler = _HANDLERS[action]

    def on_list() -> Any:
        return handler(resource, Call(routes.current_request))

    def on_item(**arguments: str) -> Any:
        call = Call(routes.current_request)
        key = meanings.key_in_address(call, resource, unquote(arguments[resource.key]))
        return handler(resource, call, key)

    view: Callable[..., Any] = on_item if action in ON_ITEM else on_list
    view.__name__ = f"{resource.path}.{action}"
    return view


def conditions(resource: Resource, call: Call, select: filters.Select) -> list[Where]:
    """Return the conditions of a list's query.

    Raises
    ------
    Invalid
        400 that names the parameter, even if the list has no such filter.
    """
    wheres: list[Where] = []
    filter_names = resource.takes()
    for name, value in call.query.items():
        if name in NO_FILTERS:
            continue
        if name not in filter_names:
            raise _no_filter(resource, name)
        if value == "":
            continue
        if name == "django":
            wheres += filters.conditions(resource, value, select)
            continue
        special = resource.filters.get(name)
        if callable(special):
            wheres += special(value, call, select)
        elif special and special != name:
            wheres += filters.conditions_of(resource, name, special, value, select)
        else:
            wheres += filters.by_field(resource, name, value, select)
    return wheres


def _no_filter(resource: Resource, name: str) -> Invalid:
    """Return the answer to an unknown parameter: 400 that names similar ones."""
    from difflib import get_close_matches

    filter_names = resource.takes()
    similar = get_close_matches(name[:60].lower(), filter_names, 3, 0.5) or sorted(filter_names)
    text = f"/{resource.path} has no such filter; it has {', '.join(similar)}."
    return Invalid({name: [text]})


def _list(resource: Resource, call: Call) -> dict[str, Any]:
    bound = (call.who.username, f"/{resource.path}", call.query)
    as_of = paging.read_token(call.query.get(paging.TOKEN), *bound)
    table = catalog.table(resource.kind)
    moment = as_of or catalog.as_of()
    select = selector(call, as_of)
    seen = visible_to(call.who, resource, as_of, brief=asks_briefly(resource, call))
    wheres = [*conditions(resource, call, select), *seen]
    offset, limit = paging.bounds(call.query)
    store = store_of(resource)
    if (narrowed := store.narrow(resource, wheres, call)) is not None:
        count, rows = len(narrowed), narrowed[offset : offset + limit]
    else:
        selection = table.select(wheres, order=resource.order, as_of=as_of)
        count = len(selection)
        page = selection.page(offset, limit, resource.columns)
        rows = store.fill(resource, page, call)
    call.show_together(rows)
    results = [show_values.show(resource, row, call) for row in rows]
    token = None if resource.live and not as_of else partial(paging.token, moment, *bound)
    return paging.envelope(call.url(f"/{resource.path}"), call.query, count, results, token)


def _read(resource: Resource, call: Call, key: str) -> Response:
    row = store_of(resource).get(resource, key, call)
    _check_visible(resource, row, call)
    return _detail(resource, row, call, 200)


def _detail(resource: Resource, row: Mapping[str, Any], call: Call, status: int) -> Response:
    """Answer with one record and the ETag of its version."""
    answer = _json(
        show_values.show(resource, _with_version(resource, row), call, detail=True), status
    )
    answer.headers["ETag"] = store_of(resource).etag(resource, row)
    return answer


def _with_version(resource: Resource, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record that was just written with its version in the index."""
    if "_version" in row or not is_document(resource):
        return row
    indexed = catalog.table(resource.kind).get(str(row[resource.key])) or {}
    return {**row, "_version": indexed.get("_version")}


def _check_visible(resource: Resource, row: Mapping[str, Any], call: Call) -> None:
    if not all(where.on_rows()(row) for where in visible_to(call.who, resource, brief=True)):
        raise not_found(resource.name)


def _create(resource: Resource, call: Call) -> Response:
    data = call.data
    if isinstance(data, list) and resource.many:
        rows = store_of(resource).create_many(resource, data, call)
        created = [_with_version(resource, row) for row in rows]
        results = [show_values.show(resource, row, call, detail=True) for row in created]
        return _json(results, 200 if call.is_repeated else 201)
    row = store_of(resource).create(resource, call.body, call)
    return _detail(resource, row, call, 200 if call.is_repeated else 201)


def _update(resource: Resource, call: Call, key: str) -> Response:
    row = store_of(resource).update(resource, key, call.body, call)
    return _detail(resource, row, call, 200)


def _delete(resource: Resource, call: Call, key: str) -> Response:
    store_of(resource).delete(resource, key, call)
    return Response("", status_code=204)


def _json(body: Any, status: int) -> Response:
    return Response(
        written(body),
        status_code=status,
        headers={"Content-Type": "application/json"},
    )


_HANDLERS: dict[str, Callable[..., Any]] = {
    "list": _list,
    "create": _create,
    "read": _read,
    "update": _update,
    "partial_update": _update,
    "delete": _delete,
}
