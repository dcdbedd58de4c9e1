"""Automatic names of a line's records, from its counters; each name is given once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import KINDS, Body
from functions.api.errors import Invalid
from functions.api.resources.of_subject import replacing
from shared.science.colony.names import Kind, is_automatic, next_name

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

COUNTERS: dict[Kind, str] = {
    "subject": "subject_autoname_index",
    "breeding-pair": "breeding_pair_autoname_index",
    "litter": "litter_autoname_index",
}
"""Fields of a line that count the names given, by kind."""


class _Taken:
    """Used names of a kind; each is looked up separately, by a strong read."""

    def __init__(self, plan: Plan, kind: str) -> None:
        self.plan, self.kind = plan, kind

    def __contains__(self, name: object) -> bool:
        return self.plan.get(self.kind, str(name)) is not None


def named(kind: Kind, body: Body, call: Call) -> Body:
    """Return a new record with the next name of its line, if it has none; for `Resource.prepare`.

    The counter is written in the same transaction, so concurrent records get different names.

    Raises
    ------
    Invalid
        400 if there is no line.
    """
    key = KINDS[kind].key
    if not is_automatic(body.get(key)):
        return body
    plan = call.plan
    name = body.get("line") or _line_of(plan, body)
    line = plan.get("line", name) if plan and name else None
    if plan is None or line is None:
        raise Invalid({key: ["This field is required."]})
    count = int(line.get(COUNTERS[kind]) or 0)
    next_value, count = next_name(kind, line["nickname"], count, _Taken(plan, kind))
    plan.change(KINDS["line"], line["name"], replacing(**{COUNTERS[kind]: count}))
    return {**body, key: next_value}


def _line_of(plan: Plan | None, body: Body) -> str | None:
    """Return the line of a referenced record: an animal's litter, a litter's pair."""
    for kind, field in (("litter", "litter"), ("breeding-pair", "breeding_pair")):
        if plan and body.get(field):
            return (plan.get(kind, body[field]) or {}).get("line")
    return None
