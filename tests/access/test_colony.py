"""Who may write records of a colony: the whole matrix of the decision, and what a refusal says."""

from __future__ import annotations

import itertools

import pytest

from shared.access.colony import Standing, may_write_record
from shared.model.people import ANONYMOUS, Caller, Role

LAB = "fimbrialab"


def caller(role: str, name: str = "max", labs: tuple[str, ...] = (LAB,), **more: bool) -> Caller:
    return Caller(name, role, labs, more.pop("is_public", False), **more)


CALLERS = {
    "anonymous": ANONYMOUS,
    "public": caller("member", is_public=True),
    "member": caller("member"),
    "elsewhere": caller("member", labs=("septumlab",)),
    "responsible": caller("member", "anna"),
    "delegate": caller("member", "bob"),
    "user": caller("member", "carl"),
    "stock": caller("member", is_stock_manager=True),
    "husbandry": caller("member", is_husbandry=True),
    "manager": caller("manager"),
    "admin": caller("administrator", labs=()),
    "rig": caller("rig", "rig_0"),
    "worker": caller("worker", "worker_0"),
}
ANNAS = Standing(LAB, responsible=("anna",), delegates=("bob",), users=("carl",))
CLOSED = Standing(LAB, is_open=False, responsible=("anna",), delegates=("bob",), users=("carl",))
ALWAYS = "manager admin rig worker"
TABLE = {
    "an open lab's": (ANNAS, "member responsible delegate user stock husbandry " + ALWAYS),
    "a closed lab's": (CLOSED, "responsible delegate user stock " + ALWAYS),
    "an animal's cage": (
        Standing(LAB, is_open=False, responsible=("anna",), is_husbandry=True),
        "responsible stock husbandry " + ALWAYS,
    ),
    "a weight": (
        Standing(LAB, is_open=False, responsible=("anna",), is_welfare=True),
        "member responsible delegate user stock husbandry " + ALWAYS,
    ),
    "nobody's": (
        Standing(LAB, is_open=False),
        "member responsible delegate user stock husbandry " + ALWAYS,
    ),
    "no lab's": (Standing(None), "admin"),
    "another lab's": (Standing("septumlab"), "elsewhere admin"),
}


@pytest.mark.parametrize(("record", "who"), list(itertools.product(TABLE, CALLERS)))
def test_who_may_write_what(record: str, who: str) -> None:
    about, may = TABLE[record]

    decision = may_write_record(CALLERS[who], about)

    assert bool(decision) == (who in may.split()), (record, who, decision.message)


@pytest.mark.parametrize(("record", "who"), list(itertools.product(TABLE, CALLERS)))
def test_every_refusal_says_why_and_who_may(record: str, who: str) -> None:
    decision = may_write_record(CALLERS[who], TABLE[record][0])

    if not decision:
        assert decision.reason.endswith(".")
        assert decision.who_may.endswith(" may.")


def test_a_refusal_names_the_people() -> None:
    said = may_write_record(CALLERS["member"], CLOSED).message

    assert said == (
        "fimbrialab has its members change only animals they are responsible for. "
        "anna, bob, carl, its stock managers, its managers and administrators may."
    )


def test_every_role_is_in_the_matrix() -> None:
    assert {each.role for each in CALLERS.values()} == set(Role)
