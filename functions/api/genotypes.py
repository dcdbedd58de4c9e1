"""Genotypes of animals, computed from their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared import catalog
from shared.records.where import Where

Row = Mapping[str, Any]


class Genetics(msgspec.Struct, frozen=True):
    """The rules and alleles of a line.

    Attributes
    ----------
    rules : tuple of rows
        Zygosity rules in their order.
    alleles : tuple of str
        Alleles of the line on no sex chromosome; the parents predict them.
    """

    rules: tuple[Row, ...] = ()
    alleles: tuple[str, ...] = ()


def of_line(line: str | None, extra: Sequence[Row] = (), without: str = "") -> Genetics:
    """Return the genetics of a line, with proposed rules and without a given one."""
    stored_line = catalog.table("line").get(line or "")
    if stored_line is None:
        return Genetics()
    stored = (
        catalog.table("zygosity-rule").select([Where("line", "exact", stored_line["name"])]).all()
    )
    rules = [*(item for item in stored if item["id"] != without), *extra]
    rules.sort(key=lambda rule: (rule.get("order") or 0, str(rule["id"])))
    linked = catalog.table("allele").select([Where("x_linked", "exact", True)]).values("nickname")
    return Genetics(
        tuple(rules), tuple(n for n in stored_line.get("alleles") or () if n not in linked)
    )


def parents(subject: Row) -> tuple[str | None, list[str]]:
    """Return the father and the possible mothers of an animal, from its litter's pair."""
    litter = catalog.table("litter").get(subject.get("litter") or "") or {}
    pair = catalog.table("breeding-pair").get(litter.get("breeding_pair") or "") or {}
    mothers = [str(pair[name]) for name in ("mother1", "mother2") if pair.get(name)]
    return pair.get("father"), mothers


def worked_out(subject: Row, genetics: Genetics, at: str) -> list[dict[str, Any]]:
    """Return the zygosities of an animal: entered by hand, from rules, and from its parents.

    Zygosities entered by hand stay. If a test is missing for the rules, a zygosity is included
    only if every pup of the parents must have it.

    Parameters
    ----------
    subject : mapping
        Its row.
    genetics : Genetics
        Genetics of its line.
    at : str
        The moment of new zygosities.
    """
    from shared.science.colony.genotype import Zygosity, ZygosityRule, from_tests

    before = [entry for entry in subject.get("zygosities") or () if entry.get("allele")]
    zygosities = [dict(entry) for entry in before if entry.get("by", "manual") == "manual"]
    known_alleles = {entry["allele"] for entry in zygosities}
    results = _results(subject["nickname"])
    rules = [
        ZygosityRule(
            str(rule["id"]),
            rule["allele"],
            rule["sequence0"],
            bool(rule["result0"]),
            rule.get("sequence1"),
            None if rule.get("result1") is None else bool(rule["result1"]),
            Zygosity(rule["zygosity"]),
        )
        for rule in genetics.rules
    ]
    for finding in from_tests(results, rules) if results else ():
        if finding.zygosity is not None and finding.allele not in known_alleles:
            known_alleles.add(finding.allele)
            zygosities.append(_said(finding.allele, finding.zygosity, "rule", finding.rule, at))
    father, mothers = parents(subject)
    for allele in genetics.alleles if father and mothers else ():
        foretold = _foretold(allele, father, mothers) if allele not in known_alleles else None
        if foretold is not None:
            zygosities.append(_said(allele, foretold, "parents", None, at))
    return _as_before(zygosities, before)


def _results(nickname: str) -> dict[str, bool]:
    tests = catalog.table("genotype-test").select([Where("subject", "exact", nickname)]).all()
    return {test["sequence"]: bool(test["test_result"]) for test in tests}


def _foretold(allele: str, father: str | None, mothers: Iterable[str]) -> int | None:
    from shared.science.colony.genotype import from_parents

    his = _known(father, allele)
    zygosities = {_known(mother, allele) for mother in mothers}
    (hers,) = zygosities if len(zygosities) == 1 else (None,)
    return from_parents(hers, his) if his is not None or hers is not None else None


def _known(nickname: str | None, allele: str) -> Any:
    from shared.science.colony.genotype import Zygosity

    animal = catalog.table("subject").get(nickname or "") or {}
    entries = [entry for entry in animal.get("zygosities") or () if entry.get("allele") == allele]
    return Zygosity(entries[0]["zygosity"]) if entries else None


def _said(allele: str, zygosity: int, by: str, rule: str | None, at: str) -> dict[str, Any]:
    return {"allele": allele, "zygosity": int(zygosity), "by": by, "rule": rule, "at": at}


def _as_before(found: list[dict[str, Any]], before: Sequence[Row]) -> list[dict[str, Any]]:
    """Return zygosities; those known before keep their time."""

    def same(one: Row, other: Row) -> bool:
        names = ("allele", "zygosity", "by", "rule")
        return all(one.get(name) == other.get(name) for name in names)

    dated = [next((dict(old) for old in before if same(old, each)), each) for each in found]
    return sorted(dated, key=lambda each: str(each["allele"]))
