"""The routes of all declared resources: list, create, read, update, delete, over one engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from chalice.app import Chalice, Response

from functions.api import filters, paging, permissions, values
from functions.api.auth import Caller
from functions.api.call import Call
from functions.api.declarations import Access, Resource
from functions.api.errors import not_found
from functions.api.permissions import Rule
from functions.api.resources import RESOURCES
from functions.api.stores import store_of
from shared.records import search, times
from shared.records.where import Either, Where

METHODS = {
    "list": "GET",
    "create": "POST",
    "read": "GET",
    "update": "PUT",
    "partial_update": "PATCH",
    "delete": "DELETE",
}
ON_ITEM = frozenset({"read", "update", "partial_update", "delete"})


def item_path(resource: Resource) -> str:
    """Return the path of one record, e.g. ``/labs/{name}``."""
    return f"/{resource.path}/{{{resource.key}}}"


def rule_of(resource: Resource, action: str) -> Rule:
    """Return the rule of an action, from the resource's declaration."""
    access: Access = resource.access
    if action in ("list", "read"):
        if access.read == "public":
            return permissions.READ_PUBLIC
        roles = permissions.MEMBERS
        roles |= permissions.RIGS if "read" in access.rig.split() else frozenset()
        roles |= permissions.WORKERS if "read" in access.worker.split() else frozenset()
        return Rule(roles, reads=True)
    word = {"create": "create", "delete": "delete"}.get(action, "change")
    roles = {
        "member": permissions.MEMBERS,
        "manager": permissions.MANAGERS,
        "administrator": permissions.ADMINISTRATORS,
        "none": frozenset(),
    }[getattr(access, word)]
    roles |= permissions.RIGS if word in access.rig.split() else frozenset()
    roles |= permissions.WORKERS if word in access.worker.split() else frozenset()
    return Rule(roles, own_lab=bool(resource.lab))


def register(app: Chalice, add: Callable[..., None]) -> None:
    """Add the routes and rules of all resources to the API.

    Parameters
    ----------
    app : Chalice
        Whose current request the views answer.
    add : callable
        Takes path, method and view.
    """
    for resource in RESOURCES.values():
        for action, method in METHODS.items():
            if not resource.has(action):
                continue
            path = item_path(resource) if action in ON_ITEM else f"/{resource.path}"
            view = _view(app, resource, action)
            view.__name__ = f"{resource.path}.{action}"
            add(path, method, view)
            permissions.add(path, method, rule_of(resource, action))


def _view(app: Chalice, resource: Resource, action: str) -> Callable[..., Any]:
    handler = _HANDLERS[action]
    if action not in ON_ITEM:
        return lambda: handler(resource, Call(app.current_request))

    def on_item(**arguments: str) -> Any:
        return handler(resource, Call(app.current_request), unquote(arguments[resource.key]))

    return on_item


def public_sessions() -> Where:
    """Return the condition on sessions that anybody may see: public and not under embargo."""
    today = times.now().date().isoformat()
    return Where("embargo_until", "test", lambda until: until is None or until <= today)


def visible_to(who: Caller, resource: Resource) -> list[Where]:
    """Return the conditions that hide from a caller what is not public."""
    if not who.is_public:
        return []
    shown = [Where("public", "exact", True), public_sessions()]
    if resource.kind == "session":
        return shown
    if resource.access.read == "public" and not resource.public_by:
        return []
    sessions = search.table("session").select(shown)
    if resource.kind == "subject":
        return [Where("nickname", "in", sessions.values("subject"))]
    if not resource.public_by:
        return [Where("id", "in", set())]
    of_session = Where(resource.public_by, "in", sessions.values("id"))
    if resource.kind == "dataset":
        released = search.table("tag").select([Where("public", "exact", True)]).values("name")
        return [Either(value=[of_session, Where("tags", "in", released)])]
    return [of_session]


def selector(call: Call, as_of: str | None = None) -> filters.Select:
    """Return the look-up of related records, as the caller may see them."""
    from functions.api.declarations import KINDS

    def select(kind: str, wheres: list[Where]) -> search.Selection:
        seen = visible_to(call.who, KINDS[kind])
        return search.table(kind).select([*wheres, *seen], as_of=as_of)

    return select


def conditions(resource: Resource, call: Call, select: filters.Select) -> list[Where]:
    """Return the conditions of a list's query; unknown parameters are ignored.

    Raises
    ------
    Invalid
        400 that names the parameter.
    """
    wheres: list[Where] = []
    for name, value in call.query.items():
        if name in ("limit", "offset", paging.TOKEN) or value == "":
            continue
        if name == "django":
            if resource.django:
                wheres += filters.conditions(resource, value, select)
            continue
        special = resource.filters.get(name)
        if callable(special):
            wheres += special(value, call, select)
        elif special and special != name:
            wheres += filters.conditions_of(resource, special, value, select)
        elif name in resource.fields or name == "id":
            wheres += filters.by_field(resource, name, value, select)
    return wheres


def _list(resource: Resource, call: Call) -> dict[str, Any]:
    as_of = paging.moment(call.query.get(paging.TOKEN))
    table = search.table(resource.kind)
    moment = as_of or search.moment()
    select = selector(call, as_of)
    wheres = [*conditions(resource, call, select), *visible_to(call.who, resource)]
    offset, limit = paging.bounds(call.query)
    store = store_of(resource)
    if found := store.narrow(resource, wheres, call):
        count, rows = len(found), found[offset : offset + limit]
    else:
        selection = table.select(wheres, order=resource.order, as_of=as_of)
        count = len(selection)
        page = selection.page(offset, limit, resource.columns)
        rows = store.fill(resource, page, call)
    call.rows = rows
    results = [values.show(resource, row, call) for row in rows]
    kept = None if resource.live and not as_of else moment
    return paging.envelope(call.url(f"/{resource.path}"), call.query, count, results, kept)


def _read(resource: Resource, call: Call, key: str) -> dict[str, Any]:
    row = store_of(resource).get(resource, key, call)
    _check_visible(resource, row, call)
    return values.show(resource, row, call, detail=True)


def _check_visible(resource: Resource, row: Mapping[str, Any], call: Call) -> None:
    if not all(where.on_rows()(row) for where in visible_to(call.who, resource)):
        raise not_found(resource.name)


def _create(resource: Resource, call: Call) -> Response:
    data = call.data
    if isinstance(data, list) and resource.many:
        rows = store_of(resource).create_many(resource, data, call)
        body: Any = [values.show(resource, row, call, detail=True) for row in rows]
    else:
        row = store_of(resource).create(resource, call.body, call)
        body = values.show(resource, row, call, detail=True)
    return _json(body, 201)


def _update(resource: Resource, call: Call, key: str) -> dict[str, Any]:
    row = store_of(resource).update(resource, key, call.body, call)
    return values.show(resource, row, call, detail=True)


def _delete(resource: Resource, call: Call, key: str) -> Response:
    store_of(resource).delete(resource, key, call)
    return Response("", status_code=204)


def _json(body: Any, status: int) -> Response:
    import json

    return Response(
        json.dumps(body, separators=(",", ":"), ensure_ascii=False),
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
