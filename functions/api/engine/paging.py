"""Pages of a list: exact count, any offset, and a token in ``next`` that keeps the moment.

The ONE client fixes the page size by the first answer, then asks for any page in any order, and
drops blank or odd values on the way: so the token is digits and letters only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from shared.model import moment

PAGE = 250
"""Rows of a page unless asked otherwise."""

MOST = 1000
"""Rows of a page at most."""

TOKEN = "as_of"  # noqa: S105 - the parameter's name
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def bounds(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the (offset, limit) that a query asks for; what is no number counts as absent."""
    limit = _whole(query.get("limit"))
    offset = _whole(query.get("offset"))
    return max(offset or 0, 0), min(limit, MOST) if limit and limit > 0 else PAGE


def _whole(value: str | None) -> int | None:
    return (
        int(value) if value and value.isascii() and value.isdigit() and len(value) < 12 else None
    )


def token(stamp: str) -> str:
    """Return the token of a moment."""
    microseconds = round(moment.of_stamp(stamp).timestamp() * 1e6)
    digits = ""
    while microseconds:
        microseconds, digit = divmod(microseconds, 36)
        digits = _DIGITS[digit] + digits
    return digits


def read_token(value: str | None) -> str | None:
    """Return the moment of a token; None if it has none or it is not one."""
    if not value or len(value) > 12 or set(value) - set(_DIGITS):
        return None
    microseconds = int(value, 36)
    now = moment.now()
    if microseconds > now.timestamp() * 1e6:
        return None
    return moment.stamp(now.fromtimestamp(microseconds / 1e6, now.tzinfo))


def envelope(
    url: str,
    query: Mapping[str, str],
    count: int,
    results: list[Any],
    as_of: str | None,
) -> dict[str, Any]:
    """Return the answer of a list.

    Parameters
    ----------
    url : str
        Absolute address of the list.
    query : mapping
        Its parameters.
    count : int
        Rows in all.
    results : list
        Rows of this page.
    as_of : str, optional
        The moment the rows are of, which later pages are to show too.
    """
    offset, limit = bounds(query)
    rest = {k: v for k, v in query.items() if k not in ("limit", "offset", TOKEN)}

    def page(start: int) -> str:
        shown = {**rest, "limit": limit, **({"offset": start} if start else {})}
        return f"{url}?{urlencode({**shown, **({TOKEN: token(as_of)} if as_of else {})})}"

    return {
        "count": count,
        "next": page(offset + limit) if offset + limit < count else None,
        "previous": page(max(offset - limit, 0)) if offset > 0 else None,
        "results": results,
    }
