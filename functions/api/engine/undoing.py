"""Undo of a group of writes: the inverse of each write and of its effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functions.api import permissions
from functions.api.engine import relations
from functions.api.engine.declarations import KINDS, Body, Resource
from functions.api.engine.plan import Plan, is_document
from functions.api.engine.standing import check_record
from functions.api.engine.writes import check_route
from functions.api.errors import ApiError
from shared.records import audit

FOR_GOOD = frozenset({"user", "signature", "webhook"})
"""Kinds that cannot be undone: password changes revoke tokens, and signatures are final."""

SENT = frozenset({"notification"})
"""Kinds that are undone only while unchanged; later they have been sent."""


def put_back(plan: Plan, entries: Sequence[audit.Audit]) -> None:
    """Plan to restore the versions of records before a group's writes.

    The effects of the writes are among the entries and are undone too. Then the effects of the
    restored records are planned, such as a protocol number.

    Parameters
    ----------
    plan : Plan
    entries : sequence of Audit
        Entries of the group, oldest first.

    Raises
    ------
    ApiError
        409 with the fields if a record was changed since; 403 that names who may.
    """
    by_record: dict[tuple[str, str], list[audit.Audit]] = {}
    for entry in entries:
        if not _is_worked_out(entry):
            by_record.setdefault(entry.record, []).append(entry)
    moved: dict[str, list[str]] = {}
    done: list[tuple[Resource, Body | None, Body | None]] = []
    for (kind, key), of_record in reversed(by_record.items()):
        resource = KINDS.get(kind)
        if resource is None or not is_document(resource) or kind in FOR_GOOD:
            raise ApiError(409, f"What was done to a {kind} is not taken back in this way.")
        if not _is_as_left(plan, resource, key, of_record[-1]):
            if kind not in SENT:
                moved[f"{kind} {key}"] = _changed_since(kind, key, of_record[-1])
            continue
        old = body = plan.record(resource, key).body
        for entry in reversed(of_record):
            body = _inverse(body, entry)
        plan.put_back(resource, key, body, check=_check(plan, resource))
        done.append((resource, old, body))
    if moved:
        listed = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in moved.items())
        raise ApiError(409, f"It was changed since: {listed}.", fields=moved)
    for each_done in done:
        plan.run_effects(*each_done)


def _is_worked_out(entry: audit.Audit) -> bool:
    """Return whether a write changed only values that the system counts or computes.

    Computed values are computed again; a counter goes on, so that no name is given twice.
    """
    resource = KINDS.get(entry.record.kind)
    if resource is None or entry.action in ("create", "delete"):
        return False
    fields = resource.fields
    names = {*entry.before, *entry.after}
    return all(name in fields and fields[name].read_only for name in names)


def _is_as_left(plan: Plan, resource: Resource, key: str, last: audit.Audit) -> bool:
    """Return whether a record is unchanged since the group."""
    present = plan.record(resource, key).before
    if last.action == "delete":
        return present is None
    return present is not None and last.version == int(present.version)


def _changed_since(kind: str, key: str, last: audit.Audit) -> list[str]:
    """Return the fields of a record that were changed since."""
    later = [entry for entry in audit.history(kind, key) if entry.sk > last.sk]
    if any(entry.action == "delete" for entry in later):
        return ["deleted"]
    return sorted({name for entry in later for name in {*entry.before, *entry.after}} - {"id"})


def _inverse(body: Body | None, entry: audit.Audit) -> Body | None:
    """Return the version of a record before a write."""
    if entry.action == "create":
        return None
    before = entry.before
    if body is None:
        return dict(before)
    added = entry.after.keys() - before.keys()
    return {**{name: v for name, v in body.items() if name not in added}, **before}


def _check(plan: Plan, resource: Resource) -> Any:
    """Return the check that the caller may write the restored version by its own route."""
    call = plan.call
    if resource.kind in SENT:  # effects of the undone writes; nobody writes these directly

        def follow(old: Body | None, body: Body | None) -> None:
            pass

        return follow

    def check(old: Body | None, body: Body | None) -> None:
        op = "create" if old is None else "delete" if body is None else "update"
        check_route(call, op, resource)
        for version, other in ((old, body), (body, old)):
            if version is not None:
                check_record(call, resource, version, other)
        if body is None:
            if old is not None and not resource.lab:
                relations.check_named(call, resource, old)
        else:
            names = (old or {}).keys() | body.keys()
            changed = {n: body.get(n) for n in names if (old or {}).get(n) != body.get(n)}
            relations.check_references(call, resource, old, changed)
            permissions.check_fields(call, resource, old, changed)
        permissions.check_permit(call, resource, old, body)

    return check
