"""Breeding plans: the pairs that give most pups of a wanted genotype, and the time needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shared.science.colony.genotype import Zygosity, offspring, sons
from shared.science.colony.pedigree import Pedigree, inbreeding

GESTATION_WEEKS = 3
"""Weeks from mating to birth (mouse: 19 to 21 days)."""

LITTER_SIZE = 6
"""Pups of a litter that reach weaning, if a lab's own count is unknown."""

INTERVAL_WEEKS = 4
"""Weeks between litters of a pair."""


@dataclass(frozen=True)
class Animal:
    """A possible parent.

    Attributes
    ----------
    name
        Nickname.
    sex
        ``M`` or ``F``.
    age_weeks
        Age, for the ranking: young pairs breed longer.
    Allele to zygosity; missing alleles are unknown.
        Allele to zygosity; alleles that are missing are not known.
    """

    name: str
    sex: str
    age_weeks: float
    zygosities: Mapping[str, Zygosity]


@dataclass(frozen=True)
class RankedPair:
    """A ranked pair.

    Attributes
    ----------
    mother, father
        Nicknames.
    fraction
        Share of pups of the wanted genotype.
    inbreeding
        Coefficient of the pups.
    litters, weeks
        Number of litters for the wanted number of pups, and weeks until the last one is born.
    """

    mother: str
    father: str
    fraction: Fraction
    inbreeding: float
    litters: int
    weeks: int


def share(
    mother: Animal,
    father: Animal,
    wanted: Mapping[str, Zygosity],
    x_linked: Iterable[str] = (),
) -> Fraction | None:
    """Return the share of a pair's pups with a genotype; None if a parent's is not known enough.

    Alleles are taken as inherited independently. One copy or two meet a wanted *present*.
    """
    on_x = set(x_linked)
    total = Fraction(1)
    for allele, zygosity in wanted.items():
        if allele not in mother.zygosities or allele not in father.zygosities:
            return None
        theirs, his = mother.zygosities[allele], father.zygosities[allele]
        chances = offspring(theirs, his, x_linked=allele in on_x)
        if chances is None:
            return None
        chance = _meeting(chances, zygosity)
        if allele in on_x:
            of_sons = sons(theirs)
            if of_sons is None:
                return None
            chance = (chance + _meeting(of_sons, zygosity)) / 2
        total *= chance
    return total


def _meeting(chances: Mapping[Zygosity, Fraction], wanted: Zygosity) -> Fraction:
    meets = {wanted}
    if wanted is Zygosity.PRESENT:
        meets |= {Zygosity.HETEROZYGOUS, Zygosity.HOMOZYGOUS}
    return sum((chance for zygosity, chance in chances.items() if zygosity in meets), Fraction(0))


def ranked(
    animals: Sequence[Animal],
    wanted: Mapping[str, Zygosity],
    count: int,
    *,
    pedigree: Pedigree | None = None,
    x_linked: Iterable[str] = (),
    litter_size: float = LITTER_SIZE,
) -> list[RankedPair]:
    """Return the pairs that give the wanted genotype: most pups first, then less related, younger.

    Parameters
    ----------
    animals
        Living animals available for pairing.
    wanted
        Allele to zygosity.
    count
        Number of pups needed.
    pedigree
        For the relatedness; without it all animals count as founders.
    litter_size
        Pups that reach weaning, per litter.

    Raises
    ------
    ValueError
        If no pup is wanted.
    """
    if count < 1:
        raise ValueError("Say how many animals are needed: at least one.")
    pairs: list[tuple[tuple[Fraction, float, float], RankedPair]] = []
    x_linked = tuple(x_linked)
    for mother in (each for each in animals if each.sex == "F"):
        for father in (each for each in animals if each.sex == "M"):
            fraction = share(mother, father, wanted, x_linked)
            if not fraction:
                continue
            related = inbreeding(mother.name, father.name, pedigree or {})
            litters = math.ceil(count / (float(fraction) * litter_size))
            weeks = GESTATION_WEEKS + (litters - 1) * INTERVAL_WEEKS
            pair = RankedPair(mother.name, father.name, fraction, related, litters, weeks)
            pairs.append(((-fraction, related, mother.age_weeks + father.age_weeks), pair))
    return [pair for _, pair in sorted(pairs, key=lambda each: each[0])]
