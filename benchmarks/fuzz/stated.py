"""Differences from ibllib that are meant, each with its reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fuzz.rounds import Found

STATED: dict[str, str] = {}
"""Reasons by the pattern of a difference."""


def reason(found: Found, difference: str) -> str:
    """Return why a difference is meant; empty if it is not known."""
    for pattern, why in STATED.items():
        if re.search(pattern, difference):
            return why
    return ""
