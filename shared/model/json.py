"""Reading typed objects from JSON, with faults by field.

msgspec silently writes NaN and infinities as null. Code that stores such numbers must round them
first, or check them at the input (`bounded`).
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

import msgspec

from shared.model.limits import JSON_BYTES, JSON_DEPTH

T = TypeVar("T")

_PATH = r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>[^`]*)`)?$"
_NAMED = r"(?:required|unknown) field `(?P<name>[^`]+)`"
_SURROGATE = r"[\ud800-\udfff]"


class Faulty(ValueError):
    """An object does not fit its type.

    Attributes
    ----------
    fields : dict of str to list of str
        Faults by field (``files[7].size``); ``non_field_errors`` for the object as a whole.
    """

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = fields
        super().__init__(
            "; ".join(f"{field}: {' '.join(texts)}" for field, texts in fields.items())
        )


def faults(error: msgspec.ValidationError) -> dict[str, list[str]]:
    """Return the faults of an object by field, as ``{"files[7].size": [text]}``."""
    match = re.match(_PATH, str(error), re.DOTALL)
    assert match is not None  # noqa: S101 - it matches any text
    what, path = match["what"], (match["path"] or "").lstrip(".").replace("[...]", "")
    if named := re.search(_NAMED, what):
        unknown = "unknown" in named[0]
        path = f"{path}.{named['name']}".lstrip(".")
        what = "There is no such field." if unknown else "This field is required."
    return {path or "non_field_errors": [what]}


def read(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Return the typed object of parsed JSON.

    Parameters
    ----------
    value
        Output of ``json.loads``.
    kind
        A struct type.
    strict
        Whether numbers given as text are refused.

    Raises
    ------
    Faulty
        The value is not of that type.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Faulty(faults(error)) from None


def plain(value: Any) -> Any:
    """Return typed objects as plain values, which ``json.dumps`` accepts."""
    return msgspec.to_builtins(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """Return the typed object of JSON text.

    Raises
    ------
    Faulty
        The text is not JSON, or not of that type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Faulty(faults(error)) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Faulty({"non_field_errors": [f"This is no JSON: {error}."]}) from None
    except RecursionError:
        raise Faulty({"non_field_errors": ["This is nested too deep."]}) from None


def encode(value: Any) -> bytes:
    """Return typed objects as JSON text, without spaces."""
    return msgspec.json.encode(value)


def bounded(value: Any, *, size: int = JSON_BYTES, depth: int = JSON_DEPTH) -> Any:
    """Return a value if every later reader can decode it: bounded, finite, encodable.

    Raises
    ------
    ValueError
        It is nested too deep, too large, or has numbers or text that JSON cannot express.
    """
    _check(value, depth)
    try:
        length = len(msgspec.json.encode(value))
    except (TypeError, UnicodeError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(f"This is no JSON: {error}.") from None
    if length > size:
        raise ValueError(f"This is {length} bytes long; at most {size} are kept.")
    return value


def _check(value: Any, depth: int) -> None:
    if depth < 0:
        raise ValueError("This is nested too deep.")
    if isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth)
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, str):
        if not value.isascii() and re.search(_SURROGATE, value):
            raise ValueError("This has half a character (a lone surrogate).")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON has.")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("This number is too large.")
