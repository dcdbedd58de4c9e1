"""Fields that a laboratory adds to records; their values are typed and stored in ``json.own``.

The declarations are in ``/own-fields``. A laboratory without declarations for a resource may store
any values there.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

from functions.api.engine.declarations import Resource, Row
from functions.api.engine.zones import lab_of
from functions.api.errors import Invalid
from shared import catalog
from shared.records.where import Where

MAX_TEXT = 10_000


def check(resource: Resource, old: Row | None, body: Row) -> None:
    """Refuse values that the lab's own fields do not accept.

    Parameters
    ----------
    resource : Resource
    old, body : mapping
        The stored record (None if it is new) and the new version.

    Raises
    ------
    Invalid
        400 at ``json`` that names the own field.
    """
    if not resource.lab or "json" not in resource.fields:
        return
    values = _own(body)
    if old is not None and values == _own(old):
        return
    wheres = [
        Where("resource", "exact", resource.path),
        Where("lab", "exact", lab_of(resource, body)),
    ]
    declared = {field["name"]: field for field in catalog.table("own-field").select(wheres).all()}
    if not declared:
        return
    if not isinstance(values, Mapping):
        raise Invalid({"json": ["own: Expected a JSON object."]})
    faults = [
        f"own.{name}: {fault}"
        for name in dict.fromkeys([*declared, *values])
        if (fault := _fault(declared.get(name), values.get(name)))
    ]
    if faults:
        raise Invalid({"json": faults})


def _own(body: Row) -> Any:
    values = body.get("json")
    return values.get("own", {}) if isinstance(values, Mapping) else {}


def _fault(spec: Row | None, value: Any) -> str | None:
    """Explain what is wrong with a value; None if it is valid."""
    if spec is None:
        return "The lab has no such field; add it to /own-fields first."
    if value in (None, ""):
        return "This field is required." if spec.get("required") else None
    if spec["type"] == "choice":
        choices = spec.get("choices") or []
        return None if value in choices else f"It is not one of {', '.join(choices)}."
    takes, words = _TYPES[spec["type"]]
    return None if takes(value) else words


def _is_day(value: Any) -> bool:
    return isinstance(value, str) and _parses(dt.date.fromisoformat, value)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _parses(dt.time.fromisoformat, value)


def _parses(read: Callable[[str], Any], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (
        lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
        f"Expected a text of at most {MAX_TEXT} characters.",
    ),
    "number": (_is_number, "A valid number is required."),
    "flag": (lambda value: isinstance(value, bool), "Must be true or false."),
    "date": (_is_day, "Write a day as YYYY-MM-DD."),
    "time": (_is_time, "Write a time as hh:mm."),
}
