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
"""Alyx's formats for the names of a line's animals, litters and pairs."""

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
        The kind of thing to name.
    line_nickname
        Short name of the line.
    counter
        Number of names of this kind that the line has given so far.
    taken
        Names in use; they are skipped.

    Returns
    -------
    name : str
    counter : int
        Stored with the line, so that the name of a deleted animal is not given again.
    """
    while True:
        counter += 1
        name = PATTERNS[kind].format(line=line_nickname, number=counter)
        if name not in taken:
            return name, counter
