"""Checks of `shared.access.policy` for one request; a refusal becomes a 403 that names who may.

The engine adds the rules of the resources at start; a route without a rule is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.api.auth.identify import require_account
from functions.api.errors import forbidden
from shared import catalog
from shared.access import policy
from shared.access.policy import Decision, Rule
from shared.datasets.protection import protected_tags
from shared.model.people import Caller
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.declarations import Resource

RESOURCE_RULES: dict[tuple[str, str], Rule] = {}
"""Rules of the resources' routes, by path and method."""


def add(path: str, method: str, rule: Rule) -> None:
    """Set the rule of a resource's route."""
    RESOURCE_RULES[path, method] = rule


def check(path: str, method: str, who: Caller, *, asks: bool = False) -> Rule:
    """Refuse a caller who may not use a route; some routes ask anonymous callers to sign in (401).

    Returns
    -------
    Rule
        The route's rule.

    Raises
    ------
    ApiError
        403, or 401 from a route that asks anonymous callers to sign in.
    """
    rule = RESOURCE_RULES.get((path, method)) or policy.rule_of(path, method)
    decision = policy.may_use(rule, who)
    if rule is None or not decision:
        if rule is not None:
            require_account(who, asks=asks or rule.asks)
        raise forbidden(decision.message)
    return rule


def require(decision: Decision) -> None:
    """Refuse the request if the decision is negative.

    Raises
    ------
    ApiError
        403 that names who may.
    """
    if not decision:
        raise forbidden(decision.message)


def check_lab(who: Caller, lab: str | None) -> None:
    """Refuse a caller who does not belong to the lab of a record.

    Raises
    ------
    ApiError
        403 that names the lab.
    """
    require(policy.may_write(who, lab))


def check_fields(
    call: Call, resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any]
) -> None:
    """Refuse values of fields that the caller may not set.

    Parameters
    ----------
    call : Call
    resource : Resource
    old : mapping, optional
        The stored record; None if it is new.
    new : mapping
        Fields as sent and parsed.

    Raises
    ------
    ApiError
        403 that names the field and who may set it.
    """
    fields = resource.fields.items() if old is None else ()
    defaults = {name: field.initial(call) for name, field in fields}
    changed = {
        name: value
        for name, value in new.items()
        if name in resource.fields and not resource.fields[name].read_only
    }
    require(policy.may_set(call.who, resource.kind, old, changed, defaults))
    if resource.kind == "dataset" and "tags" in new:
        before = (old or {}).get("tags") or ()
        require(policy.may_tag(call.who, before, new["tags"] or (), released(), protecting()))


def released() -> set[str]:
    """Return the tags that are public releases."""
    return catalog.table("tag").select([Where("public", "exact", True)]).values("name")


def protecting() -> set[str]:
    """Return the tags that protect their datasets from being overwritten or deleted."""
    return protected_tags()


def check_permit(
    call: Call, resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> None:
    """Refuse a write that a resource does not permit the caller (`Resource.permit`).

    Parameters
    ----------
    call : Call
    resource : Resource
    old, new : mapping, optional
        The stored and the new version of the record; None if it does not exist.

    Raises
    ------
    ApiError
        403 that names who may.
    """
    if resource.permit:
        resource.permit(dict(old) if old else None, dict(new) if new else None, call)
