"""The colony's arithmetic: names, genotypes, relatedness, plans."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.science.colony.genotype import (
    GenotypeFinding,
    Zygosity,
    ZygosityRule,
    from_parents,
    from_tests,
    offspring,
    sons,
)
from shared.science.colony.names import is_automatic, next_name
from shared.science.colony.pedigree import (
    CircularPedigree,
    Family,
    Generation,
    Parents,
    ancestors,
    generation,
    inbreeding,
)
from shared.science.colony.plan import Animal, ranked, share

ABSENT, HET, HOMO, PRESENT = Zygosity
HALF = Fraction(1, 2)


def test_a_name_skips_those_taken_and_is_never_given_again():
    name, counter = next_name("subject", "PV-Cre", 11, {"PV-Cre_0012"})

    assert (name, counter) == ("PV-Cre_0013", 13)
    assert next_name("litter", "PV-Cre", 0, ()) == ("PV-Cre_L_001", 1)
    assert next_name("breeding-pair", "PV-Cre", 3, ())[0] == "PV-Cre_BP_004"


@pytest.mark.parametrize(
    ("name", "automatic"), [(None, True), ("", True), (" - ", True), ("M1", False)]
)
def test_a_hyphen_and_nothing_ask_for_a_name(name, automatic):
    assert is_automatic(name) is automatic


def rule(id, seq1=None, res1=None, zygosity=HET, res0=True):
    return ZygosityRule(id, "Cre", "tg", res0, seq1, res1, zygosity)


RULES = [
    rule("both", "wt", True, HET),
    rule("only", "wt", False, HOMO),
    rule("none", zygosity=ABSENT, res0=False),
]


@pytest.mark.parametrize(
    ("results", "finding"),
    [
        ({"tg": True, "wt": True}, GenotypeFinding("Cre", HET, "both")),
        ({"tg": True, "wt": False}, GenotypeFinding("Cre", HOMO, "only")),
        ({"tg": False}, GenotypeFinding("Cre", ABSENT, "none")),
        ({"tg": True}, GenotypeFinding("Cre", None, None, ("wt",))),
        ({}, GenotypeFinding("Cre", None, None, ("tg", "wt"))),
    ],
)
def test_a_zygosity_names_its_rule_or_the_tests_that_are_missing(results, finding):
    assert from_tests(results, RULES) == [finding]


def test_of_rules_that_match_the_first_counts():
    assert from_tests({"tg": True}, [rule("a"), rule("b", zygosity=HOMO)])[0].rule == "a"


def test_mendel():
    assert offspring(HET, HET) == {ABSENT: Fraction(1, 4), HET: HALF, HOMO: Fraction(1, 4)}
    assert offspring(HOMO, ABSENT) == {HET: 1}
    assert offspring(PRESENT, HET) is None


@given(st.sampled_from([ABSENT, HET, HOMO]), st.sampled_from([ABSENT, HET, HOMO]))
def test_chances_add_up_and_do_not_ask_who_is_the_mother(one, other):
    assert sum(offspring(one, other).values()) == 1
    assert offspring(one, other) == offspring(other, one)


def test_an_allele_on_the_x_chromosome():
    # Given a carrier mother and a father without it
    assert offspring(HET, ABSENT, x_linked=True) == {ABSENT: HALF, HET: HALF}
    assert sons(HET) == {ABSENT: HALF, PRESENT: HALF}
    # and a father with it, all daughters carry it and no son has it of him
    assert offspring(ABSENT, PRESENT, x_linked=True) == {HET: 1}
    assert sons(ABSENT) == {ABSENT: 1}


def test_what_parents_foretell_is_what_every_pup_has():
    for mother, father in product([*Zygosity, None], repeat=2):
        foretold = from_parents(mother, father)
        pairs = product(
            [ABSENT, HET, HOMO] if mother is None else [Zygosity(c) for c in mother.copies],
            [ABSENT, HET, HOMO] if father is None else [Zygosity(c) for c in father.copies],
        )
        pups = {pup for pair in pairs for pup in offspring(*pair)}
        if foretold is None:
            assert ABSENT in pups
            assert len(pups) > 1
        elif foretold is PRESENT:
            assert ABSENT not in pups
            assert len(pups) > 1
        else:
            assert pups == {foretold}


FAMILY = {
    "son": Parents("mum", "dad"),
    "daughter": Parents("mum", "dad"),
    "cousin": Parents("aunt", "stranger"),
    "aunt": Parents("gran", "grandpa"),
    "mum": Parents("gran", "grandpa"),
    "inbred": Parents("daughter", "son"),
}


@pytest.mark.parametrize(
    ("mother", "father", "coefficient"),
    [
        ("daughter", "son", 1 / 4),
        ("mum", "son", 1 / 4),
        ("daughter", "cousin", 1 / 16),
        ("gran", "son", 1 / 8),
        ("mum", "dad", 0),
        ("inbred", "dad", 1 / 4),
    ],
)
def test_relatedness_is_wrights(mother, father, coefficient):
    assert inbreeding(mother, father, FAMILY) == pytest.approx(coefficient)


def test_a_circle_is_named():
    with pytest.raises(CircularPedigree, match="among its own ancestors"):
        ancestors("a", {"a": Parents("b"), "b": Parents("a")})
    assert ancestors("son", FAMILY) == ["mum", "dad", "gran", "grandpa"]


LINE = {
    "n1": Family("founder", ("b6",)),
    "n2": Family("b6", ("n1",)),
    "n1 too": Family("founder", ("b6",)),
    "n2f1": Family("n2", ("n2",)),
    "n2f2": Family("n2f1", ("n2f1",)),
    "n3": Family("n2f2", ("b6", "b6 too")),
    "uneven": Family("n2f2", ("n1 too",)),
    "either": Family("n2", ("b6", "n2f1")),
    "half": Family("n2", ()),
    "of b6": Family("b6", ("b6 too",)),
}
"""A line that is crossed back to a strain and within itself."""


@pytest.mark.parametrize(
    ("animal", "said"),
    [
        ("founder", ""),
        ("n1", "N1"),
        ("n2", "N2"),
        ("n2f1", "N2F1"),
        ("n2f2", "N2F2"),
        ("n3", "N3"),  # the filial count begins anew
        ("uneven", "N1F1"),  # the less advanced parent counts
        ("either", "N2F1"),  # as does the less advanced of two possible mothers
        ("half", ""),
        ("of b6", ""),
    ],
)
def test_the_generation_is_counted_from_the_pedigree(animal, said):
    assert str(generation(animal, LINE, {"b6", "b6 too"})) == said


def test_without_a_strain_only_filial_generations_are_counted():
    assert str(generation("n2f2", LINE)) == "F3"


def test_a_long_pedigree_is_no_matter_and_a_circle_is_named():
    long = {f"a{i}": Family(f"a{i - 1}", (f"a{i - 1}",)) for i in range(1, 3000)}
    assert generation("a2999", long) == Generation(0, 2999)
    with pytest.raises(CircularPedigree, match="among its own ancestors"):
        generation("a", {"a": Family("b", ("c",)), "b": Family("a", ("c",))})


def animal(name, sex, age=10, **zygosities):
    return Animal(name, sex, age, zygosities)


def test_a_plan_ranks_pairs_by_share_relatedness_and_age():
    # Given two mothers that give as many, one of them the father's sister, and a third of unknown
    animals = [
        animal("daughter", "F", Cre=HET),
        animal("stranger", "F", age=30, Cre=HET),
        animal("untested", "F"),
        animal("son", "M", Cre=HET),
        animal("homo", "M", Cre=HOMO),
    ]
    # When twelve carriers are wanted
    pairs = ranked(animals, {"Cre": PRESENT}, 12, pedigree=FAMILY)
    # Then the homozygous father comes first, and the sister last
    assert [(p.mother, p.father) for p in pairs] == [
        ("daughter", "homo"),
        ("stranger", "homo"),
        ("stranger", "son"),
        ("daughter", "son"),
    ]
    assert pairs[0].fraction == 1
    assert (pairs[0].litters, pairs[0].weeks) == (2, 7)
    assert (pairs[2].fraction, pairs[2].litters) == (Fraction(3, 4), 3)


def test_alleles_are_inherited_apart():
    mother, father = animal("m", "F", a=HET, b=HET), animal("f", "M", a=HET, b=HET)

    assert share(mother, father, {"a": HOMO, "b": HOMO}) == Fraction(1, 16)
    assert share(mother, animal("f", "M", a=HET), {"a": HOMO, "b": HOMO}) is None


def test_no_pup_is_no_plan():
    with pytest.raises(ValueError, match="at least one"):
        ranked([], {"a": HOMO}, 0)
