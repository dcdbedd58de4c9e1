"""Syntax of the ``?django=`` language (pairs of field path and literal) and of single parameters.

``?django=field__lookup,value[,field__lookup,value…]``: pairs joined by commas; commas inside
brackets do not split; ``~`` before a field excludes the matches. Nothing is evaluated. The literal
of ``__regex`` and ``__iregex`` is a pattern as it stands: commas in its groups, classes and counts
(``{1,3}``) do not split, another comma is written ``[,]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

from functions.api.errors import Invalid
from shared.catalog.rows import Selection
from shared.records.where import Where

MAX_LENGTH = 20_000
MAX_PAIRS = 40
MAX_ITEMS = 2_000

_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z"
_NAME = r"~?[A-Za-z_][A-Za-z0-9_-]*\Z"


Select = Callable[[str, list[Where]], Selection]
"""(kind, conditions) → the matching records that the caller may see."""


class BadFilter(Invalid):
    """400 that names the part of the query that is wrong."""

    def __init__(self, message: str, name: str = "django") -> None:
        super().__init__({name: [message]})


def parse(query: str) -> list[tuple[str, Any, bool]]:
    """Split a ``?django=`` text into (field path, value, whether negated).

    Parameters
    ----------
    query : str

    Returns
    -------
    list of (str, value, bool)

    Raises
    ------
    BadFilter
        If the syntax is wrong; the message names the part.
    """
    if len(query) > MAX_LENGTH:
        raise BadFilter(f"The filter is longer than {MAX_LENGTH} characters.")
    parts = list(_split(query))
    if len(parts) % 2:
        raise BadFilter(f"Fields and values must come in pairs; {parts[-1]!r} has no value.")
    if len(parts) > 2 * MAX_PAIRS:
        raise BadFilter(f"More than {MAX_PAIRS} conditions.")
    pairs = []
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        name = name.strip()
        if not re.match(_NAME, name):
            raise BadFilter(f"{name!r} is not the name of a field.")
        meant = scalar_text(value) if _is_pattern(name) else literal(value)
        pairs.append((name.lstrip("~"), meant, name.startswith("~")))
    return pairs


def _is_pattern(name: str) -> bool:
    return name.strip().endswith(("__regex", "__iregex"))


def _split(query: str) -> Iterator[str]:
    """Yield the parts between commas that are not inside brackets or quotes."""
    depth, quote, start, escaped = 0, "", 0, False
    pattern_ends = 0  # letters before this belong to a pattern, and split nothing
    for i, letter in enumerate(query):
        if i < pattern_ends:
            continue
        if escaped:
            escaped = False
        elif quote:
            if letter == "\\":
                escaped = True
            elif letter == quote:
                quote = ""
        elif depth and letter in "'\"":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            if not depth:
                raise BadFilter(f"{letter!r} at {i} closes nothing.")
            depth -= 1
        elif letter == "," and not depth:
            yield query[start:i]
            if _is_pattern(query[start:i]):
                pattern_ends = _end_of_pattern(query, i + 1)
            start = i + 1
    if depth or quote:
        raise BadFilter(f"A bracket or quote after {query[start : start + 20]!r} is not closed.")
    if query[start:] or query.endswith(","):
        yield query[start:]


def _end_of_pattern(query: str, start: int) -> int:
    """Return where a pattern ends: at the next comma outside its groups, classes and counts."""
    depth, in_class, i = 0, False, start
    while i < len(query):
        letter = query[i]
        if letter == "\\":
            i += 1
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
            i += query[i + 1 : i + 2] == "^"
            i += query[i + 1 : i + 2] == "]"  # the first letter of a class is an ordinary one
        elif letter in "({":
            depth += 1
        elif letter in ")}":
            depth -= 1
        elif letter == "," and depth <= 0:
            return i
        i += 1
    return len(query)


def literal(source: str) -> Any:
    """Return the value of a literal.

    ``None``, ``True``/``true``, numbers, quoted texts, and tuples or lists of these in brackets;
    anything else is the literal itself.

    Raises
    ------
    BadFilter
        If a bracketed list is not one.
    """
    value = source.strip()
    if value[:1] in "([" and value:
        return _items(value)
    return scalar(value)


def _items(source: str) -> list[Any]:
    closing = {"(": ")", "[": "]"}[source[0]]
    if source[-1] != closing:
        raise BadFilter(f"{source[:40]!r} is not a list.")
    inner = source[1:-1]
    items: list[Any] = []
    for part in _split(inner):
        part = part.strip()
        if not part:
            continue
        if part[0] in "([":
            raise BadFilter("A list within a list is not a value.")
        items.append(scalar(part))
        if len(items) > MAX_ITEMS:
            raise BadFilter(f"More than {MAX_ITEMS} values in a list.")
    return items


def scalar_text(value: str) -> str:
    """Return a text without the quotes around it."""
    value = value.strip()
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def scalar(value: str) -> Any:
    """Return the value of a text that is no list."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    lowered = value.lower()
    if lowered in ("none", "null"):
        return None
    if lowered in ("true", "false"):
        return lowered == "true"
    if len(value) < 40 and re.match(_NUMBER, value):
        return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    return value


def flag_of(name: str, value: str) -> bool:
    """Return the yes or no of a query parameter.

    Raises
    ------
    BadFilter
        If it is neither.
    """
    lowered = value.strip().lower()
    if lowered in ("true", "1"):
        return True
    if lowered in ("false", "0"):
        return False
    raise BadFilter("Must be True or False.", name)


def number_of(name: str, value: str) -> float:
    """Return the number of a query parameter.

    Raises
    ------
    BadFilter
        If it is not a number.
    """
    number = scalar(value.strip())
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise BadFilter("Enter a number.", name)
    return number


def days(name: str, value: str) -> tuple[str, str]:
    """Return the first day, and the day after the last, of a ``date_range`` ``a,b``.

    Raises
    ------
    BadFilter
        If it is not two dates.
    """
    parts = [part.strip() for part in value.split(",")]
    try:
        first, last = (date.fromisoformat(part[:10]) for part in parts)
        return first.isoformat(), _day_after(last)
    except ValueError:
        raise BadFilter("Give two dates, first,last, as YYYY-MM-DD.", name) from None


def _day_after(day: date) -> str:
    return (day + timedelta(days=1)).isoformat() if day < date.max else "9999-12-31T99"
