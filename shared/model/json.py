"""Reading typed objects from JSON, with faults told by field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>[^`]+)`")


class Faulty(ValueError):
    """An object is not what its type says.

    Attributes
    ----------
    fields : dict of str to list of str
        What is wrong, by field as ``files[7].size``; ``non_field_errors`` for the whole.
    """

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = fields
        super().__init__(
            "; ".join(f"{field}: {' '.join(texts)}" for field, texts in fields.items())
        )


def faults(error: msgspec.ValidationError) -> dict[str, list[str]]:
    """Return the faults of an object by field, as ``{"files[7].size": [text]}``."""
    match = _PATH.match(str(error))
    assert match is not None  # noqa: S101 - it matches any text
    what, path = match["what"], (match["path"] or "").lstrip(".").replace("[...]", "")
    if named := _NAMED.search(what):
        unknown = "unknown" in named[0]
        path = f"{path}.{named['name']}".lstrip(".")
        what = "There is no such field." if unknown else "This field is required."
    return {path or "non_field_errors": [what]}


def read(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Return the typed object of parsed JSON.

    Parameters
    ----------
    value
        What ``json.loads`` has made.
    kind
        A struct type.
    strict
        Whether text is no number.

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
    """Return typed objects as what ``json.dumps`` takes."""
    return msgspec.to_builtins(value)
