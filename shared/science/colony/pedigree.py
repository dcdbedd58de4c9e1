"""Pedigree: ancestors, relatedness, generation."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Parents:
    """Who an animal descends from; None where that is not known."""

    mother: str | None = None
    father: str | None = None


Pedigree = Mapping[str, Parents]
"""Animal to its parents; animals that are missing are founders."""


class CircularPedigree(ValueError):
    """An animal is its own ancestor; the message names it."""


def ancestors(animal: str, pedigree: Pedigree) -> list[str]:
    """Return an animal's ancestors, the nearest first.

    Raises
    ------
    CircularPedigree
        If the animal is among them.
    """
    found: dict[str, None] = {}
    level = [animal]
    while level:
        parents = [
            parent
            for each in level
            for parent in (
                pedigree.get(each, Parents()).mother,
                pedigree.get(each, Parents()).father,
            )
            if parent is not None
        ]
        if animal in parents:
            raise CircularPedigree(f"{animal} is among its own ancestors; mend the litter's pair.")
        level = [parent for parent in dict.fromkeys(parents) if parent not in found]
        found |= dict.fromkeys(level)
    return list(found)


def inbreeding(mother: str, father: str, pedigree: Pedigree) -> float:
    """Return the coefficient of inbreeding of a pair's pups: their parents' kinship.

    Wright's coefficient, by the recursion over the younger of two animals: 0 for unrelated
    founders, 1/4 for full siblings or parent and child.

    Raises
    ------
    CircularPedigree
        If an animal is among its own ancestors.
    """
    known = {
        each for animal in (mother, father) for each in (animal, *ancestors(animal, pedigree))
    }
    depth = {each: len(ancestors(each, pedigree)) for each in known}

    @cache
    def kinship(one: str, other: str) -> float:
        if one == other:
            parents = pedigree.get(one, Parents())
            if parents.mother is None or parents.father is None:
                return 0.5
            return 0.5 * (1 + kinship(parents.mother, parents.father))
        if depth[one] < depth[other]:  # a descendant has more ancestors than each of them
            one, other = other, one
        parents = pedigree.get(one, Parents())
        of_parents = [
            kinship(parent, other)
            for parent in (parents.mother, parents.father)
            if parent is not None
        ]
        return sum(of_parents) / 2

    return kinship(mother, father)


@dataclass(frozen=True)
class Family:
    """Who an animal's parents are or, where two females were with a male, may be."""

    father: str | None = None
    mothers: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Generation:
    """How far an animal is from the founders of its line, such as N4F2.

    Attributes
    ----------
    backcross
        Crosses in a row with the inbred strain (N); the first one is N1.
    filial
        Crosses within the line since the last of these (F).
    """

    backcross: int = 0
    filial: int = 0

    def __str__(self) -> str:
        """As colonies write it; empty for a founder."""
        parts = (("N", self.backcross), ("F", self.filial))
        return "".join(f"{letter}{count}" for letter, count in parts if count)


def generation(
    animal: str, families: Mapping[str, Family], strain: Container[str] = ()
) -> Generation:
    """Return the generation of an animal of a line, from its pedigree.

    A cross with the strain counts one backcross more than the other parent, and the filial count
    begins anew. A cross within the line counts one filial generation more. Where parents, or
    possible mothers, differ, the less advanced one counts.

    Parameters
    ----------
    animal
        Of the line.
    families
        Animal to its parents; those that are missing are founders, as are those of whom one
        parent is not known.
    strain
        Animals of the inbred strain that the line is crossed back to.

    Raises
    ------
    CircularPedigree
        If an animal is among its own ancestors.
    """
    known: dict[str, Generation] = {}
    begun: set[str] = set()
    stack = [animal]
    while stack:
        each = stack[-1]
        family = families.get(each, Family())
        parents = [name for name in (family.father, *family.mothers) if name]
        waiting = [name for name in parents if name not in known and name not in strain]
        if each not in known and waiting:
            if each in begun:
                text = f"{each} is among its own ancestors; mend the litter's pair."
                raise CircularPedigree(text)
            begun.add(each)
            stack += waiting
            continue
        known[stack.pop()] = _of_family(family, known, strain)
    return known[animal]


def _of_family(
    family: Family, known: Mapping[str, Generation], strain: Container[str]
) -> Generation:
    if family.father is None or not family.mothers:
        return Generation()
    return min(_of_pair(family.father, mother, known, strain) for mother in family.mothers)


def _of_pair(
    father: str, mother: str, known: Mapping[str, Generation], strain: Container[str]
) -> Generation:
    of_line = [known[each] for each in (father, mother) if each not in strain]
    if len(of_line) == 1:
        return Generation(of_line[0].backcross + 1)
    if not of_line:
        return Generation()
    return Generation(
        min(each.backcross for each in of_line), 1 + min(each.filial for each in of_line)
    )
