"""Who may use which route: one rule per route and method; what has no rule is refused.

A rule names the roles that may use the route. ``own_lab`` says that the record must belong to a
lab of the caller's (administrators excepted); the handler checks it with `check_lab`, since only
it knows the record. Reading is open to every account: the laboratories of a collaboration share
their data with each other, and with the public what is marked public.
"""

from __future__ import annotations

import msgspec

from functions.api.auth.identify import require_account
from functions.api.errors import forbidden
from shared.model.people import Caller

MEMBERS = frozenset({"member", "manager", "administrator"})
MANAGERS = frozenset({"manager", "administrator"})
ADMINISTRATORS = frozenset({"administrator"})
RIGS = frozenset({"rig"})
WORKERS = frozenset({"worker"})
ACCOUNTS = MEMBERS | RIGS | WORKERS
EVERYONE = ACCOUNTS | {"anonymous"}


class Rule(msgspec.Struct, frozen=True):
    """Who may use a route with a method.

    Attributes
    ----------
    roles : frozenset of str
    own_lab : bool
        Whether only for records of the caller's own lab.
    reads : bool
        Whether accounts for the public may use it: it changes nothing and shows what is public.
    """

    roles: frozenset[str]
    own_lab: bool = False
    reads: bool = False


READ = Rule(ACCOUNTS, reads=True)
READ_PUBLIC = Rule(EVERYONE, reads=True)

RULES: dict[tuple[str, str], Rule] = {
    ("/health", "GET"): READ_PUBLIC,
    ("/api/schema", "GET"): READ_PUBLIC,
    ("/auth-token", "POST"): Rule(EVERYONE, reads=True),
    ("/auth-token", "DELETE"): Rule(ACCOUNTS, reads=True),
    ("/me", "GET"): READ,
    ("/uploads", "POST"): Rule(ACCOUNTS, own_lab=True),
    ("/uploads", "GET"): Rule(ACCOUNTS, own_lab=True, reads=True),
    ("/uploads/{upload}", "GET"): Rule(ACCOUNTS, own_lab=True, reads=True),
    ("/uploads/{upload}/parts", "POST"): Rule(ACCOUNTS, own_lab=True),
    ("/uploads/{upload}/assemble", "POST"): Rule(ACCOUNTS, own_lab=True),
    ("/uploads/{upload}/complete", "POST"): Rule(ACCOUNTS, own_lab=True),
    ("/tasks/{task}/claim", "POST"): Rule(WORKERS, own_lab=True),
    ("/tasks/{task}/heartbeat", "POST"): Rule(WORKERS, own_lab=True),
    ("/tasks/{task}/log", "POST"): Rule(WORKERS, own_lab=True),
    ("/tasks/{task}/complete", "POST"): Rule(WORKERS, own_lab=True),
    ("/tasks/{task}/release", "POST"): Rule(WORKERS, own_lab=True),
    ("/reindex", "POST"): Rule(ADMINISTRATORS),
    ("/workers/credentials", "POST"): Rule(WORKERS, own_lab=True),
}
"""Rules of the routes that are not resources; `add` puts in those of the resources."""


def add(path: str, method: str, rule: Rule) -> None:
    """Set the rule of a route."""
    RULES[path, method] = rule


def check(path: str, method: str, who: Caller) -> Rule:
    """Refuse a caller who may not use a route at all.

    Returns
    -------
    Rule
        The route's rule.

    Raises
    ------
    ApiError
        403.
    """
    rule = RULES.get((_canonical(path), method))
    if rule is None:
        raise forbidden()
    if who.role not in rule.roles:
        require_account(who)
        raise forbidden()
    if who.is_public and not rule.reads:
        raise forbidden()
    return rule


def check_lab(who: Caller, lab: str | None) -> None:
    """Refuse a caller who does not belong to the lab of a record.

    Raises
    ------
    ApiError
        403 that names the lab.
    """
    if not who.of_lab(lab):
        raise forbidden(f"You may write only records of your own lab, not of {lab}.")


def _canonical(path: str) -> str:
    """Return a route's path with the names of parameters of uploads and tasks made alike."""
    parts = path.split("/")
    for head, name in (("uploads", "{upload}"), ("tasks", "{task}")):
        if (
            len(parts) > 2
            and parts[1] == head
            and parts[2].startswith("{")
            and (head == "uploads" or len(parts) > 3)
        ):
            parts[2] = name
    return "/".join(parts)
