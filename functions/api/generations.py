"""Generations of animals and of litters' pups, from the recorded pedigree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from functions.api import genotypes
from shared import catalog

if TYPE_CHECKING:
    from functions.api.call import Call
    from shared.science.colony.pedigree import Family

BACKCROSS, INTERCROSS = "backcross", "intercross"
SCHEMES = {BACKCROSS: BACKCROSS, INTERCROSS: INTERCROSS}
"""Schemes of counting a line's generations: with backcrosses to its strain, or only within it."""

Row = Mapping[str, Any]


def of_animal(subject: Row, call: Call) -> str | None:
    """Return the generation of an animal, such as N4F2.

    An animal belongs to the strain if its strain is the line's and it is not of the line itself.

    Returns
    -------
    str or None
        None if the line has no scheme, and for founders, whose parents are unknown.
    """
    from shared.science.colony.pedigree import CircularPedigree, generation

    line = catalog.table("line").get(subject.get("line") or "") or {}
    if not line.get("generation_scheme"):
        return None
    # Relatives share ancestors; one request reads each once.
    ancestry: _Ancestry = call.once(f"ancestry in {line['name']}", _Ancestry)
    _read(ancestry, subject, line)
    try:
        count = generation(subject["nickname"], ancestry.families, ancestry.strain)
    except CircularPedigree:
        return None
    return str(count) or None


def of_pups(litter: Row, call: Call) -> str | None:
    """Return the generation of a litter's pups; see `of_animal`."""
    name = f"a pup of {litter['name']}"
    return of_animal(
        {"nickname": name, "litter": litter["name"], "line": litter.get("line")}, call
    )


@dataclass
class _Ancestry:
    """Families of a line's animals, and which of the parents are of the strain."""

    families: dict[str, Family] = field(default_factory=dict)
    strain: set[str] = field(default_factory=set)


def _read(ancestry: _Ancestry, subject: Row, line: Row) -> None:
    """Read an animal's ancestors up to those outside of the line."""
    from shared.science.colony.pedigree import Family

    is_backcrossed = line["generation_scheme"] == BACKCROSS
    background = line.get("strain") if is_backcrossed else None
    waiting = [subject]
    while waiting:
        animal = waiting.pop()
        if animal["nickname"] in ancestry.families:
            continue
        father, mothers = genotypes.parents(animal)
        ancestry.families[animal["nickname"]] = Family(father, tuple(mothers))
        for name in (father, *mothers):
            parent = catalog.table("subject").get(name or "") or {}
            if parent.get("line") == line["name"]:
                waiting.append(parent)
            elif background and parent.get("strain") == background:
                ancestry.strain.add(parent["nickname"])
