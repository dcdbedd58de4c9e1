"""Pedigree: ancestors, relatedness, generation."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Parents:
    """The parents of an animal; None for an unknown one."""

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
    nearest_first: dict[str, None] = {}
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
        level = [parent for parent in dict.fromkeys(parents) if parent not in nearest_first]
        nearest_first |= dict.fromkeys(level)
    return list(nearest_first)


def inbreeding(mother: str, father: str, pedigree: Pedigree) -> float:
    """Return the coefficient of inbreeding of a pair's pups: their parents' kinship.

    Wright's coefficient, by the recursion over the younger of two animals: 0 for unrelated
    founders, 1/4 for full siblings or parent and child.

    Raises
    ------
    CircularPedigree
        If an animal is among its own ancestors.
    """
    animals = {
        relative
        for animal in (mother, father)
        for relative in (animal, *ancestors(animal, pedigree))
    }
    depth = {relative: len(ancestors(relative, pedigree)) for relative in animals}

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
    """The certain or, if two females were with a male, possible parents of an animal."""

    father: str | None = None
    mothers: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Generation:
    """The distance of an animal from the founders of its line, such as N4F2.

    Attributes
    ----------
    backcross
        Consecutive crosses with the inbred strain (N); the first one is N1.
    filial
        Crosses within the line since the last backcross (F).
    """

    backcross: int = 0
    filial: int = 0

    def __str__(self) -> str:
        """Colony notation; empty for a founder."""
        parts = (("N", self.backcross), ("F", self.filial))
        return "".join(f"{letter}{count}" for letter, count in parts if count)


def generation(
    animal: str, families: Mapping[str, Family], strain: Container[str] = ()
) -> Generation:
    """Return the generation of an animal of a line, from its pedigree.

    A cross with the strain counts one backcross more than the other parent, and the filial count
    starts again. A cross within the line counts one filial generation more. If parents, or
    possible mothers, differ, the less advanced one counts.

    Parameters
    ----------
    animal
        An animal of the line.
    families
        Animal to its parents; missing animals are founders, and so are animals with an unknown
        parent.
    strain
        Animals of the inbred strain used for backcrosses.

    Raises
    ------
    CircularPedigree
        If an animal is among its own ancestors.
    """
    generations: dict[str, Generation] = {}
    begun: set[str] = set()
    stack = [animal]
    while stack:
        each = stack[-1]
        family = families.get(each, Family())
        parents = [name for name in (family.father, *family.mothers) if name]
        waiting = [name for name in parents if name not in generations and name not in strain]
        if each not in generations and waiting:
            if each in begun:
                text = f"{each} is among its own ancestors; mend the litter's pair."
                raise CircularPedigree(text)
            begun.add(each)
            stack += waiting
            continue
        generations[stack.pop()] = _of_family(family, generations, strain)
    return generations[animal]


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
