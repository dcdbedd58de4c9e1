"""Breeding plans from records: which living animals of a lab give a wanted genotype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api import genotypes
from functions.api.engine.visible import related
from functions.api.errors import Invalid
from functions.api.resources.parts import own_lab
from shared import catalog
from shared.catalog import water
from shared.model.colony import BreedingPlanRequest
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

MOST = 60
"""Most animals of each sex that are paired with each other; the youngest."""

SHOWN = 50
"""Pairs of an answer."""

Row = dict[str, Any]


def plan(call: Call, wanted: BreedingPlanRequest) -> dict[str, Any]:
    """Return the best pairs for a genotype: by share of pups, then unrelatedness, then youth.

    Raises
    ------
    Invalid
        400 if the lab or an allele does not exist.
    """
    from shared.science.colony.genotype import Zygosity
    from shared.science.colony.plan import ranked

    lab = wanted.lab or own_lab(call)
    if not lab or catalog.table("lab").get(lab) is None:
        raise Invalid({"lab": ["Say which lab, by its name."]})
    alleles = {name: catalog.table("allele").get(name) for name in wanted.wanted}
    if unknown := [name for name, animal in alleles.items() if animal is None]:
        raise Invalid({"wanted": [f"There is no allele {', '.join(unknown)}."]})
    animals, left_out = _animals(call, lab, wanted)
    rows = [animal for group in animals.values() for animal in group]
    pairs = ranked(
        [_as_animal(animal, lab) for animal in rows],
        {name: Zygosity(number) for name, number in wanted.wanted.items()},
        wanted.count,
        pedigree=_pedigree(rows),
        x_linked=[name for name, animal in alleles.items() if animal and animal.get("x_linked")],
    )
    return {
        "lab": lab,
        "count": len(pairs),
        "left_out": left_out,
        "pairs": [
            {
                "mother": pair.mother,
                "father": pair.father,
                "fraction": str(pair.fraction),
                "share": round(float(pair.fraction), 6),
                "inbreeding": pair.inbreeding,
                "litters": pair.litters,
                "weeks": pair.weeks,
            }
            for pair in pairs[:SHOWN]
        ],
    }


def _animals(
    call: Call, lab: str, wanted: BreedingPlanRequest
) -> tuple[dict[str, list[Row]], int]:
    """Return a lab's living animals with known alleles by sex, and how many have unknown ones."""
    wheres = [Where("lab", "exact", lab), Where("death_date", "isnull", True)]
    if wanted.subjects:
        wheres.append(Where("nickname", "in", set(wanted.subjects)))
    rows = related(call, "subject", wheres).all()
    rows.sort(key=lambda row: (row.get("birth_date") or "", row["nickname"]), reverse=True)
    by_sex: dict[str, list[Row]] = {"F": [], "M": []}
    for row in rows:
        alleles = {zygosity.get("allele") for zygosity in row.get("zygosities") or ()}
        sex = by_sex.get(row.get("sex") or "U")
        if sex is not None and alleles >= wanted.wanted.keys() and len(sex) < MOST:
            sex.append(row)
    return by_sex, len(rows) - sum(map(len, by_sex.values()))


def _as_animal(row: Row, lab: str) -> Any:
    from datetime import date

    from shared.science.colony.genotype import Zygosity
    from shared.science.colony.plan import Animal

    born = row.get("birth_date")
    days = (water.now_in(lab).date() - date.fromisoformat(born)).days if born else 0
    zygosities = {
        entry["allele"]: Zygosity(entry["zygosity"]) for entry in row.get("zygosities") or ()
    }
    return Animal(row["nickname"], row["sex"], days / 7, zygosities)


def _pedigree(rows: list[Row]) -> dict[str, Any]:
    """Return the parents of all ancestors; two possible mothers count as unknown."""
    from shared.science.colony.pedigree import Parents

    pedigree: dict[str, Any] = {}
    level = [str(animal["nickname"]) for animal in rows]
    while level:
        nickname = level.pop()
        if nickname in pedigree:
            continue
        father, mothers = genotypes.parents(catalog.table("subject").get(nickname) or {})
        mother = mothers[0] if len(mothers) == 1 else None
        pedigree[nickname] = Parents(mother=mother, father=father)
        level += [parent for parent in (father, *mothers) if parent]
    return pedigree
