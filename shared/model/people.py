"""People and machines with an account: their roles, and the caller of a request."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """Role of an account; it decides the account's permissions (`shared.access.policy`)."""

    ANONYMOUS = "anonymous"
    MEMBER = "member"
    MANAGER = "manager"
    ADMINISTRATOR = "administrator"
    RIG = "rig"
    WORKER = "worker"


PEOPLE = frozenset({Role.MEMBER, Role.MANAGER, Role.ADMINISTRATOR})
MACHINES = frozenset({Role.RIG, Role.WORKER})


class Caller(msgspec.Struct, frozen=True):
    """The account that makes a request.

    Attributes
    ----------
    username : str
        Empty if anonymous.
    role : Role
    labs : tuple of str
        Labs the account belongs to; a machine has one.
    is_public : bool
        Whether only public data are shown, and nothing may be written.
    is_husbandry : bool
        Whether it keeps animals: it writes cages, litters and breeding pairs.
    is_stock_manager : bool
        Whether it keeps the labs' stock: lines, alleles, animals without a responsible user.
    """

    username: str = ""
    role: str = Role.ANONYMOUS
    labs: tuple[str, ...] = ()
    is_public: bool = True
    is_stock_manager: bool = False
    is_husbandry: bool = False

    def of_lab(self, lab: str | None) -> bool:
        """Return whether the caller may write records of a lab."""
        if self.is_public:
            return False
        return self.role == Role.ADMINISTRATOR or (lab is not None and lab in self.labs)


ANONYMOUS = Caller()
