"""Revisions: the names that new ones get."""

from __future__ import annotations

import string
from collections.abc import Iterator


def next_revision(day: str, used: set[str]) -> str:
    """Return the first free revision of a day that sorts after all others.

    Examples
    --------
    >>> next_revision("2024-03-01", {""}), next_revision("2024-03-01", {"2024-03-01"})
    ('2024-03-01', '2024-03-01a')
    """
    latest = max(used, default="")
    if latest > day and not latest.startswith(day):
        day = latest  # a later date exists already: stay after it
    return next(name for name in _labels(day) if name not in used and name > latest)


def _labels(day: str) -> Iterator[str]:
    """Yield day, day a … day z, day za … day zz, day zza …, in sorted order."""
    yield day
    prefix = day
    while True:
        yield from (prefix + letter for letter in string.ascii_lowercase)
        prefix += "z"
