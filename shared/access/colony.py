"""Permission to write a record of a lab's colony and notebook: one decision, with its reason.

Routes of single records, batches, undo and the marks in a device's replica ask it. A lab is open
unless it says otherwise: all its members write its records. In a closed lab, an animal's records
are written by its responsible user, that user's delegates, the users that a record names, and
those who keep the colony. Records that an animal's welfare depends on are open to every member:
weights, water, the end of a restriction.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.access.policy import ADMINISTRATORS, ALLOWED, MANAGERS, Decision, may_write
from shared.model.people import MACHINES, Caller


class Standing(msgspec.Struct, frozen=True):
    """The facts that the decision about a record depends on.

    Attributes
    ----------
    lab : str, optional
        Lab that owns the record; None if none does.
    is_open : bool
        Whether all members of that lab write its records.
    responsible : tuple of str
        Users responsible for the record's animal or animals.
    delegates : tuple of str
        Users whom the responsible users allow to write.
    users : tuple of str
        Users that the record itself names.
    is_husbandry : bool
        Whether animal keepers write it: animals, litters, pairs, cages, genotypes.
    is_welfare : bool
        Whether an animal's welfare depends on it.
    """

    lab: str | None
    is_open: bool = True
    responsible: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    is_husbandry: bool = False
    is_welfare: bool = False


def may_write_record(caller: Caller, about: Standing) -> Decision:
    """Decide whether a caller may write a record: make, change or delete it.

    Parameters
    ----------
    caller : Caller
    about : Standing

    Returns
    -------
    Decision
        If it is a refusal, ``who_may`` names the users that may.
    """
    of_lab = may_write(caller, about.lab)
    if not of_lab or caller.role in ADMINISTRATORS or caller.role in MACHINES:
        return of_lab  # the routes decide what machines may do
    if about.is_open or about.is_welfare or caller.role in MANAGERS:
        return ALLOWED
    named = {*about.responsible, *about.delegates, *about.users}
    if not named or caller.username in named:
        return ALLOWED
    if caller.is_stock_manager or (about.is_husbandry and caller.is_husbandry):
        return ALLOWED
    return Decision(False, _reason(about), _who_may(about))


def _reason(about: Standing) -> str:
    if about.responsible:
        return f"{about.lab} has its members change only animals they are responsible for."
    return f"{about.lab} has its members change only records that name them."


def _who_may(about: Standing) -> str:
    named = dict.fromkeys([*about.responsible, *about.delegates, *about.users])
    keepers = ["its stock managers", *(["its husbandry"] if about.is_husbandry else [])]
    return f"{_listed([*named, *keepers])}, its managers and administrators may."


def _listed(names: Iterable[str]) -> str:
    sentence = ", ".join(names)
    return sentence[:1].upper() + sentence[1:] if sentence.startswith("its") else sentence
