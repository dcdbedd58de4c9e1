"""Genotypes: from tests and rules for an animal, and from its parents for their pups.

An allele has a place on a chromosome, of which an animal has two copies. A zygosity says how many
of them carry it: none, one, both, or *present* if a test cannot tell one from two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from itertools import product


class Zygosity(IntEnum):
    """Copies of an allele, with the numbers Alyx stores."""

    ABSENT = 0
    HETEROZYGOUS = 1
    HOMOZYGOUS = 2
    PRESENT = 3

    @property
    def copies(self) -> tuple[int, ...]:
        """Numbers of copies that the zygosity allows."""
        return ((0,), (1,), (2,), (1, 2))[self]


@dataclass(frozen=True)
class ZygosityRule:
    """One line of a table that turns test results into a zygosity.

    Attributes
    ----------
    id
        Identifies the rule, so that a zygosity can name it.
    allele
        The allele whose zygosity the rule gives.
    sequence0, result0
        First test, and the result it must have (True: the sequence is present).
    sequence1, result1
        Second test; None where one suffices.
    zygosity
        The resulting zygosity.
    """

    id: str
    allele: str
    sequence0: str
    result0: bool
    sequence1: str | None
    result1: bool | None
    zygosity: Zygosity

    def matches(self, results: Mapping[str, bool]) -> bool:
        """Return whether both tests were done and have the rule's results.

        Alyx applies a rule of two tests when only the first was done. Here the animal's zygosity
        stays unknown until the second one is done: a guess is not a genotype.
        """
        if results.get(self.sequence0) != self.result0:
            return False
        return self.sequence1 is None or results.get(self.sequence1) == self.result1


@dataclass(frozen=True)
class GenotypeFinding:
    """The result of the rules for one allele of an animal.

    Attributes
    ----------
    allele
        The allele.
    zygosity
        None if the rules cannot decide.
    rule
        Id of the matching rule.
    missing
        Tests without which no rule can match.
    """

    allele: str
    zygosity: Zygosity | None
    rule: str | None
    missing: tuple[str, ...] = ()


def from_tests(
    results: Mapping[str, bool], rules: Sequence[ZygosityRule]
) -> list[GenotypeFinding]:
    """Return the result of a line's rules for an animal, for each allele that has rules.

    Parameters
    ----------
    results
        Sequence to whether it is present.
    rules
        The line's rules in order; the first one that matches counts.
    """
    findings = []
    for allele in dict.fromkeys(rule.allele for rule in rules):
        own = [rule for rule in rules if rule.allele == allele]
        matching = next((rule for rule in own if rule.matches(results)), None)
        if matching is not None:
            findings.append(GenotypeFinding(allele, matching.zygosity, matching.id))
            continue
        open_tests = (
            name
            for rule in own
            for name in (rule.sequence0, rule.sequence1)
            if name is not None and name not in results
        )
        findings.append(GenotypeFinding(allele, None, None, tuple(dict.fromkeys(open_tests))))
    return findings


Chances = dict[Zygosity, Fraction]
"""Zygosity to its probability among the pups."""


def offspring(mother: Zygosity, father: Zygosity, *, x_linked: bool = False) -> Chances | None:
    """Return the zygosities of a pair's pups with their probabilities, by Mendel's law.

    Parameters
    ----------
    mother, father
        Zygosities of the parents.
    x_linked
        Whether the allele is on the X chromosome, of which a father has one; then the result
        is for daughters (see `sons` for the others).

    Returns
    -------
    dict or None
        Only possible outcomes; None where *present* leaves a parent's copies open.
    """
    if len(mother.copies) > 1 or (len(father.copies) > 1 and not x_linked):
        return None
    from_mother = Fraction(mother.copies[0], 2)
    has_it = father is not Zygosity.ABSENT
    from_father = Fraction(int(has_it)) if x_linked else Fraction(father.copies[0], 2)
    chances = {
        Zygosity.ABSENT: (1 - from_mother) * (1 - from_father),
        Zygosity.HETEROZYGOUS: from_mother * (1 - from_father) + (1 - from_mother) * from_father,
        Zygosity.HOMOZYGOUS: from_mother * from_father,
    }
    return {zygosity: chance for zygosity, chance in chances.items() if chance}


def sons(mother: Zygosity) -> Chances | None:
    """Return the zygosities of sons for an allele on the X chromosome.

    They have one copy, their mother's: absent or present.
    """
    if len(mother.copies) > 1:
        return None
    chance = Fraction(mother.copies[0], 2)
    chances = {Zygosity.ABSENT: 1 - chance, Zygosity.PRESENT: chance}
    return {zygosity: each for zygosity, each in chances.items() if each}


def from_parents(mother: Zygosity | None, father: Zygosity | None) -> Zygosity | None:
    """Return the zygosity that all pups of a pair must have; None if pups may differ.

    A parent of unknown zygosity may have any. The result is *present* if every pup has one copy
    or two.
    """
    possible: set[int] = set()
    for theirs, his in product(_copies(mother), _copies(father)):
        gifts = product(_gifts(theirs), _gifts(his))
        possible |= {one + other for one, other in gifts}
    if len(possible) == 1:
        return Zygosity(possible.pop())
    return Zygosity.PRESENT if 0 not in possible else None


def _copies(parent: Zygosity | None) -> tuple[int, ...]:
    return (0, 1, 2) if parent is None else parent.copies


def _gifts(copies: int) -> tuple[int, ...]:
    """Return the numbers of copies that a parent with so many may pass on."""
    return ((0,), (0, 1), (1,))[copies]
