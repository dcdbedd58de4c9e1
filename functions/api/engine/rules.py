"""The routes of a resource and who may use them, from its declaration."""

from __future__ import annotations

from functions.api import permissions
from functions.api.engine.declarations import Access, Resource
from functions.api.permissions import Rule

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
