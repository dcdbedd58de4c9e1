"""Pedigree: ancestors, relatedness, backcross generation."""

from __future__ import annotations

from collections.abc import Mapping
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


def backcross_generation(animal: str, pedigree: Pedigree, backcrossed: Mapping[str, bool]) -> int:
    """Return how many generations in a row one parent was of the inbred strain.

    Parameters
    ----------
    animal
        Whose generation (the 4 of N4F2).
    backcrossed
        Animal to whether it is of the strain that the line is crossed back to.
    """
    count = 0
    while True:
        parents = pedigree.get(animal, Parents())
        pair = [parent for parent in (parents.mother, parents.father) if parent is not None]
        pure = [parent for parent in pair if backcrossed.get(parent)]
        others = [parent for parent in pair if not backcrossed.get(parent)]
        if len(pair) != 2 or len(pure) != 1:
            return count
        count += 1
        animal = others[0]
