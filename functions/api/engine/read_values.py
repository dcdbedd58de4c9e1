"""Convert values of fields from a client's JSON to their stored form.

Messages follow the Alyx REST contract (Django REST framework's), because clients show them.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from functions.api.body import read_json
from functions.api.engine import meanings
from functions.api.engine.declarations import KINDS, Body, Field, Resource, Row
from functions.api.engine.known import known, lab_named, with_labs
from functions.api.engine.zones import lab_of
from functions.api.errors import Invalid
from shared.model import moment

if TYPE_CHECKING:
    from functions.api.call import Call

MAX_TEXT = 200_000
MAX_JSON = 300_000
"""Most bytes of a text and of a JSON value; an item of the table holds 400 KB."""

MAX_ITEMS = 1_000
"""Most references, or numbers, in a list."""

MAX_INTEGER = 2**53 - 1
"""Largest whole number that every reader of JSON knows exactly."""

MAX_NUMBER = 1e15
"""Largest number of a field without a maximum; sums and products of such stay finite."""


def is_uuid(value: Any) -> bool:
    """Return whether a value is the text of a UUID, with dashes."""
    try:
        return str(uuid.UUID(value)) == value.lower()
    except (ValueError, AttributeError, TypeError):
        return False


def listed(value: str) -> list[str]:
    """Return the parts of a list with commas, without empty ones."""
    return [part.strip() for part in value.split(",") if part.strip()]


def last_part(value: str) -> str:
    """Return the last part of an address, which ends in the record's key."""
    return unquote(value.rstrip("/").rpartition("/")[2])


def read_body(
    resource: Resource,
    data: Mapping[str, Any],
    call: Call,
    *,
    partial: bool,
    old: Row | None = None,
) -> Body:
    """Return the valid fields of a body; unknown and read-only ones are ignored.

    Parameters
    ----------
    resource : Resource
    data : mapping
        Body from the client.
    call : Call
    partial : bool
        Whether absent fields stay as they are.
    old : mapping, optional
        The stored record.

    Raises
    ------
    Invalid
        400 with a message per field.
    """
    problems: dict[str, list[str]] = {}
    body: Body = {}
    call.lab_meant = _lab_meant(resource, data, call) or (lab_of(resource, old) if old else None)
    for name, spec in resource.fields.items():
        if spec.read_only and not (spec.imported and call.is_import):
            continue
        if name not in data:
            if partial:
                continue
            if spec.required and not any(data.get(other) for other in spec.unless):
                problems[name] = ["This field is required."]
                continue
            body[name] = spec.initial(call)
            if body[name] is None and spec.type == "ref" and not spec.null:
                problems[name] = ["This field is required."]
            continue
        try:
            body[name] = (
                _read_key(spec, data[name], call)
                if name == resource.key
                else (read(spec, data[name], call))
            )
        except ValueError as error:
            problems[name] = [str(error)]
    if problems:
        raise Invalid(problems)
    return body


def _lab_meant(resource: Resource, data: Mapping[str, Any], call: Call) -> str | None:
    """Return the lab that a body names, or the lab of a record that it names."""
    if isinstance(data.get("lab"), str):
        return str(data["lab"])
    for name, kind in with_labs(resource.kind):
        value = data.get(name)
        if isinstance(value, str) and (lab := lab_named(kind, last_part(value), call)):
            return lab
    return call.query.get("lab")


def defaults(resource: Resource, call: Call) -> Body:
    """Return the default values of a new record's fields."""
    values = {name: spec.initial(call) for name, spec in resource.fields.items()}
    read_only = {name for name, spec in resource.fields.items() if spec.read_only}
    return {name: v for name, v in values.items() if v is not None or name not in read_only}


def _read_key(spec: Field, value: Any, call: Call) -> Any:
    """Return a valid key of a record: it is part of the address and never null."""
    key = read(spec, value, call)
    if key is None:
        raise ValueError("This field may not be null.")
    if not str(key).isprintable():
        raise ValueError("A name has no control characters.")
    return key


def read(spec: Field, value: Any, call: Call) -> Any:
    """Return a valid value of a field.

    Raises
    ------
    ValueError
        With the message for the client.
    """
    if spec.many:
        if value is None or value == "":
            return []
        if isinstance(value, str):
            value = listed(value)
        if not isinstance(value, list):
            raise ValueError(f'Expected a list of items but got type "{type(value).__name__}".')
        _count(value)
        keys = [_reference(spec, item, call) for item in value]
        return list(dict.fromkeys(keys))
    if value is None or (value == "" and spec.type != "text"):
        if not spec.null:
            if spec.type == "text" and value is None and not spec.required:
                return None if spec.default is None else spec.default
            raise ValueError("This field may not be null.")
        return None
    value = _READERS[spec.type](spec, value, call)
    if spec.check:
        spec.check(value)
    return value


def _count(value: list[Any]) -> None:
    if len(value) > MAX_ITEMS:
        raise ValueError(f"Ensure this field has no more than {MAX_ITEMS} elements.")


def _text(spec: Field, value: Any, call: Call) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("Not a valid string.")
    value = str(value)
    if "\0" in value:
        raise ValueError("Null characters are not allowed.")
    if spec.required and not spec.unless and not value.strip():
        raise ValueError("This field may not be blank.")
    most = int(spec.maximum or MAX_TEXT)
    if len(value) > most:
        raise ValueError(f"Ensure this field has no more than {most} characters.")
    try:
        if len(value.encode()) > MAX_TEXT:
            raise ValueError(f"Ensure this field has no more than {MAX_TEXT} bytes.")
    except UnicodeEncodeError:
        raise ValueError("Not a valid string.") from None
    return value


def _bounded(spec: Field, value: float) -> None:
    most = MAX_NUMBER if spec.type in ("float", "floats") else MAX_INTEGER
    highest = most if spec.maximum is None else spec.maximum
    lowest = -most if spec.minimum is None else spec.minimum
    if value > highest:
        raise ValueError(f"Ensure this value is less than or equal to {highest}.")
    if value < lowest:
        raise ValueError(f"Ensure this value is greater than or equal to {lowest}.")


def _int(spec: Field, value: Any, call: Call) -> int:
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        number = int(value.strip()) if isinstance(value, str) and len(value) < 30 else int(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError("A valid integer is required.") from None
    _bounded(spec, number)
    return number


def _float(spec: Field, value: Any, call: Call) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError("A valid number is required.") from None
    if not math.isfinite(number):
        raise ValueError("A valid number is required.")
    _bounded(spec, number)
    return int(number) if isinstance(value, int) else number


def _bool(spec: Field, value: Any, call: Call) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, bool):
        return value
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError("Must be a valid boolean.") from None


def _date(spec: Field, value: Any, call: Call) -> str:
    try:
        day = dt.date.fromisoformat(value[:10] if isinstance(value, str) else value)
    except (ValueError, TypeError):
        raise ValueError(
            "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
        ) from None
    _in_range(spec, day)
    return day.isoformat()


def _in_range(spec: Field, day: dt.date) -> None:
    """Refuse days outside the range of a field."""
    latest = spec.latest
    if spec.ahead is not None:
        latest = (moment.now().date() + dt.timedelta(days=spec.ahead)).isoformat()
    if not spec.earliest <= day.isoformat() <= latest:
        raise ValueError(f"Ensure this date is between {spec.earliest} and {latest}.")


def _datetime(spec: Field, value: Any, call: Call) -> str:
    """Return the text as sent; the record's lab decides its time zone (see `localise`)."""
    try:
        time = dt.datetime.fromisoformat(moment.instant(value))
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise ValueError(
            "Datetime has wrong format. Use one of these formats instead: "
            "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
        ) from None
    _in_range(spec, time.date())
    return str(value)


def _json(spec: Field, value: Any, call: Call) -> Any:
    """Return JSON as it was sent; forms send it as text."""
    if call.is_form and isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            value = read_json(value.encode())
        except ValueError:
            raise ValueError("Value must be valid JSON.") from None
    if not _SHAPES[spec.shape](value):
        raise ValueError(f"Expected {_SHAPE_NAMES[spec.shape]}.")
    if spec.items:
        _count(value)
        value = [_item(spec.items, item, i, call) for i, item in enumerate(value)]
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_JSON:
        raise ValueError(f"Ensure this field has no more than {MAX_JSON} bytes.")
    return value


def _item(fields: Mapping[str, Field], item: Body, number: int, call: Call) -> Body:
    """Return the valid fields of an object in a list; unknown ones are ignored."""
    result: Body = {}
    for name, spec in fields.items():
        try:
            if name in item:
                result[name] = read(spec, item[name], call)
            elif spec.required:
                raise ValueError("This field is required.")
            else:
                result[name] = spec.initial(call)
        except ValueError as error:
            raise ValueError(f"Item {number + 1}, {name}: {error}") from None
    return result


def _list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(x, kind) for x in value)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "objects": _list_of(dict),
    "texts": _list_of(str),
    "any": lambda value: True,
}
_SHAPE_NAMES = {
    "object": "a JSON object",
    "objects": "a list of JSON objects",
    "texts": "a list of texts",
}


def _choice(spec: Field, value: Any, call: Call) -> Any:
    for name, stored in (spec.choices or {}).items():
        if value == stored or (isinstance(value, str) and value.upper() == name.upper()):
            return stored
        if isinstance(value, str) and value == str(stored):
            return stored
    raise ValueError(f'"{str(value)[:100]}" is not a valid choice.')


def _uuid(spec: Field, value: Any, call: Call) -> str:
    if not is_uuid(value):
        raise ValueError("Must be a valid UUID.")
    return str(value).lower()


def _floats(spec: Field, value: Any, call: Call) -> list[float]:
    if not isinstance(value, list):
        raise ValueError(f'Expected a list of items but got type "{type(value).__name__}".')
    _count(value)
    return [_float(spec, item, call) for item in value]


def _reference(spec: Field, value: Any, call: Call) -> str:
    """Return the key of the record that a name, id or address means."""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise ValueError("Incorrect type. Expected the name or id of a record.")
    text = str(value)
    key = last_part(text) if "/" in text and spec.by != "name" else text
    stored_key = _key_of(spec, key, call)
    if stored_key is None and "/" in text:
        stored_key = _key_of(spec, last_part(text), call)
    if stored_key is None:
        resource = KINDS[spec.to]
        if spec.by == "url":
            raise ValueError("Invalid hyperlink - Object does not exist.")
        if resource.key == "id":
            raise ValueError(f'Invalid pk "{text[:100]}" - object does not exist.')
        raise ValueError(f"Object with {resource.key}={text[:100]} does not exist.")
    return stored_key


def _key_of(spec: Field, name: str, call: Call) -> str | None:
    hint = call.lab_meant
    return known(
        call,
        spec.to,
        ("key", name, hint or ""),
        lambda: meanings.key_of(spec.to, name, call, hint=hint, is_write=True),
    )


_READERS = {
    "text": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "json": _json,
    "choice": _choice,
    "uuid": _uuid,
    "floats": _floats,
    "ref": _reference,
}
