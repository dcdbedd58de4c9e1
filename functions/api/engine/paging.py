"""Pages of a list: exact count, any offset, and a token in ``next`` that fixes the moment.

The ONE client takes the page size from the first answer, then asks for pages in any order, and
drops blank or odd values. So the token has digits and letters only: the moment, and a signature
for the caller and the query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from functions.api.auth import signing
from functions.api.errors import Invalid
from shared.model import moment

PAGE = 250
"""Rows of a page by default."""

MOST = 1000
"""Most rows of a page."""

TOKEN = "as_of"  # noqa: S105 - the parameter's name
_OF_THE_PAGE = ("limit", "offset", TOKEN)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def bounds(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the (offset, limit) of a query; invalid numbers count as absent."""
    limit = _whole(query.get("limit"))
    offset = _whole(query.get("offset"))
    return max(offset or 0, 0), min(limit, MOST) if limit and limit > 0 else PAGE


def _whole(value: str | None) -> int | None:
    return (
        int(value) if value and value.isascii() and value.isdigit() and len(value) < 12 else None
    )


def token(stamp: str, caller: str, path: str, query: Mapping[str, str]) -> str:
    """Return the token of a moment, valid for all pages of one caller's query.

    Parameters
    ----------
    stamp : str
        The moment.
    caller : str
        User name; empty for anybody.
    path : str
        The list's.
    query : mapping
        Its parameters, without those of the page.
    """
    digits = _base36(round(moment.of_stamp(stamp).timestamp() * 1e6))
    return digits + signing.sign("page", _bound(digits, caller, path, query))


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _bound(digits: str, caller: str, path: str, query: Mapping[str, str]) -> str:
    """Return the text that a token signs; blank parameters count as absent."""
    parameters = sorted((k, v) for k, v in query.items() if v and k not in _OF_THE_PAGE)
    return "\n".join([digits, caller, path, urlencode(parameters)])


def read_token(value: str | None, caller: str, path: str, query: Mapping[str, str]) -> str | None:
    """Return the moment of a token; None without a token.

    Raises
    ------
    Invalid
        400 if the token was not made for this caller and query.
    """
    if not value:
        return None
    digits, signature = value[:-32], value[-32:]
    is_stamp = 0 < len(digits) <= 12 and not set(digits) - set(_DIGITS)
    if not is_stamp or not signing.is_good("page", _bound(digits, caller, path, query), signature):
        raise Invalid({TOKEN: ["This is no page token for this list; begin without one."]})
    now = moment.now()
    return moment.stamp(now.fromtimestamp(int(digits, 36) / 1e6, now.tzinfo))


def envelope(
    url: str,
    query: Mapping[str, str],
    count: int,
    results: list[Any],
    as_of: Callable[[], str] | None = None,
) -> dict[str, Any]:
    """Return the answer of a list.

    Parameters
    ----------
    url : str
        Absolute address of the list.
    query : mapping
        Its parameters.
    count : int
        Number of all rows.
    results : list
        Rows of this page.
    as_of : callable, optional
        Returns the token of the rows' moment, which later pages show too.
    """
    offset, limit = bounds(query)
    rest = {k: v for k, v in query.items() if k not in _OF_THE_PAGE}

    def page(start: int) -> str:
        parameters = {**rest, "limit": limit, **({"offset": start} if start else {})}
        return f"{url}?{urlencode({**parameters, **({TOKEN: as_of()} if as_of else {})})}"

    return {
        "count": count,
        "next": page(offset + limit) if offset + limit < count else None,
        "previous": page(max(offset - limit, 0)) if offset > 0 else None,
        "results": results,
    }
