"""Automatic names: ``<line>_0012``, litters ``<line>_L_003``, breeding pairs ``<line>_BP_004``."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

Kind = Literal["subject", "litter", "breeding-pair"]

PATTERNS: dict[Kind, str] = {
    "subject": "{line}_{number:04d}",
    "litter": "{line}_L_{number:03d}",
    "breeding-pair": "{line}_BP_{number:03d}",
}
"""How Alyx names what belongs to a line."""

AUTOMATIC = ("", "-")
"""Names that ask for an automatic one (Alyx's forms start with a hyphen)."""


def is_automatic(name: str | None) -> bool:
    """Return whether a name asks for an automatic one."""
    return (name or "").strip() in AUTOMATIC


def next_name(
    kind: Kind, line_nickname: str, counter: int, taken: Container[str]
) -> tuple[str, int]:
    """Return the next automatic name of a line, and the counter after it.

    Parameters
    ----------
    kind
        What is named.
    line_nickname
        Short name of the line.
    counter
        How many names of this kind the line has given so far.
    taken
        Names in use; they are skipped.

    Returns
    -------
    name : str
    counter : int
        To be stored with the line, so that a name of a deleted animal is not given again.
    """
    while True:
        counter += 1
        name = PATTERNS[kind].format(line=line_nickname, number=counter)
        if name not in taken:
            return name, counter
