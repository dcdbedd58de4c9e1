"""The routes of a resource and who may use them, from its declaration."""

from __future__ import annotations

from functions.api.engine.declarations import Access, Resource
from shared.access import policy
from shared.access.policy import Rule

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
            return policy.READ_PUBLIC
        if access.read == "manager":
            return Rule(policy.MANAGERS, own_lab=True)
        roles = policy.MEMBERS
        roles |= policy.RIGS if "read" in access.rig.split() else frozenset()
        roles |= policy.WORKERS if "read" in access.worker.split() else frozenset()
        return Rule(roles, reads=True)
    word = {"create": "create", "delete": "delete"}.get(action, "change")
    least = getattr(access, word)
    roles = {
        "member": policy.MEMBERS,
        "stock": policy.MEMBERS,
        "manager": policy.MANAGERS,
        "administrator": policy.ADMINISTRATORS,
        "none": frozenset(),
    }[least]
    roles |= policy.RIGS if word in access.rig.split() else frozenset()
    roles |= policy.WORKERS if word in access.worker.split() else frozenset()
    return Rule(roles, own_lab=bool(resource.lab), stock=least == "stock")
