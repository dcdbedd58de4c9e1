"""People and places: users, labs, projects, rigs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from functions.api import permissions
from functions.api.auth import credentials, passwords, tokens
from functions.api.engine.declarations import (
    KINDS,
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    date,
    declare,
    flag,
    integer,
    json,
    number,
    ref,
    refs,
    text,
)
from functions.api.engine.visible import belonging
from functions.api.errors import Invalid
from functions.api.resources.notifications import quiet_hours
from functions.api.resources.owners import tell_site
from shared import catalog
from shared.access import policy
from shared.alf import names
from shared.model import moment
from shared.model.copies import OWN
from shared.model.people import MACHINES, Role
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

ROLES = tuple(role.value for role in Role if role is not Role.ANONYMOUS)


plain_name = partial(names.check, "label")


def _role(value: str) -> None:
    if value not in ROLES:
        raise ValueError(f'"{value}" is not one of {", ".join(ROLES)}.')


def zone_name(value: str) -> None:
    """Refuse a name that is not an IANA time zone."""
    import zoneinfo  # only people and labs that are written have one

    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is not a time zone; write one like Europe/Lisbon.") from None


def _prepare_lab(body: Body, old: Body | None, call: Call) -> Body:
    """Add the installation's own store to a new lab's repositories."""
    if old is None and OWN not in body["repositories"]:
        body = {**body, "repositories": [*body["repositories"], OWN]}
    return body


def _prepare_user(body: Body, old: Body | None, call: Call) -> Body:
    """Restrict managers to their own lab and to roles below administrator."""
    permissions.require(policy.may_manage_user(call.who, old, body))
    guessable = (body["username"], *(body.get("lab") or ()), body.get("email") or "")
    if (password := body.get("password")) and (weak := passwords.weakness(password, guessable)):
        raise Invalid({"password": [weak]})
    if body.get("role") in MACHINES and len(body.get("lab") or ()) != 1:
        raise Invalid({"lab": [f"A {body['role']} belongs to exactly one lab."]})
    remaining = {name: value for name, value in body.items() if name != "password"}
    return remaining | ({"revoked_at": moment.now().isoformat()} if body.get("password") else {})


def _set_credentials(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Set the password if one was sent; a changed account must log in again.

    A new account gets no credentials of a former one of its name, and a deleted account leaves
    none: they are removed in the same transaction.
    """
    username = str((after or before or {})["username"])
    password = plan.record(KINDS["user"], username).given.get("password")
    if after is None or (before is None and password is None):
        renewal = credentials.Renewal(username, *passwords.NONE)
    elif password is not None:
        renewal = credentials.Renewal(username, *passwords.hashed(password))
    elif not after.get("is_active", True):
        renewal = credentials.Renewal(username)
    else:
        return
    plan.also(renewal.add_to)
    plan.then(lambda: tokens.remove(username))


def _permit_project(old: Body | None, body: Body | None, call: Call) -> None:
    """Allow an embargo only to managers of all labs with sessions of the project."""
    if old is not None and (body or {}).get("embargo_until") != old.get("embargo_until"):
        of_project = Where("projects", "in", frozenset({old["name"]}))
        labs = catalog.table("session").select([of_project]).values("lab")
        if labs:
            permissions.require(policy.may_manage(call.who, labs, "The project"))


def _follow_embargo(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Update the site after a change of an embargo."""
    if after and before and after.get("embargo_until") != before.get("embargo_until"):
        where = Where("projects", "in", frozenset({after["name"]}))
        plan.then(lambda: tell_site(where))


def _show_user(shown: Body, row: Row, call: Call) -> Body:
    if call.who.is_public:
        shown.pop("email", None)
    return {"id": row.get("id"), **shown}


def _subjects_of(shown: Body, row: Row, call: Call) -> Body:
    animals = belonging(call, row, "subject", "responsible_user", by="username")
    shown["subjects_responsible"] = sorted(animal["nickname"] for animal in animals)
    return shown


def _show_user_row(shown: Body, row: Row, call: Call) -> Body:
    return _subjects_of(_show_user(shown, row, call), row, call)


declare(
    Resource(
        path="labs",
        kind="lab",
        model="misc.lab",
        key="name",
        look=names.look,
        access=Access(
            read="public", create="administrator", change="manager", delete="administrator"
        ),
        lab="name",
        fields={
            "name": text(required=True, maximum=255, check=partial(names.check, "lab")),
            "institution": text(maximum=255),
            "address": text(maximum=255),
            "timezone": text(maximum=64, default="UTC", check=zone_name),
            "repositories": refs("data-repository"),
            "reference_weight_pct": number(default=0, minimum=0, maximum=1, null=False),
            "zscore_weight_pct": number(default=0, minimum=0, maximum=1, null=False),
            "open_lab": flag(
                default=True, param=False, help="All members change the records of all animals."
            ),
            "water_type": ref("water-type"),
            "cage_type": ref("cage-type"),
            "enrichment": refs("enrichment"),
            "food": ref("food"),
            "light_cycle": text(maximum=64),
            "cleaning_days": json(shape="texts"),
            "wean_age_days": integer(minimum=0, maximum=365),
            "sample_age_days": integer(minimum=0, maximum=365),
            "report_hour": integer(minimum=0, maximum=23),
            "notice_hour": integer(minimum=0, maximum=23),
            "json": json(),
        },
        reverse={
            "subject": ("subject", "lab", "name"),
            "session": ("session", "lab", "name"),
            "lablocation": ("location", "lab", "name"),
        },
        prepare=_prepare_lab,
        example={"name": "fimbrialab", "timezone": "Europe/Lisbon"},
    ),
    Resource(
        path="users",
        kind="user",
        model="misc.labmember",
        key="username",
        access=Access(create="manager", change="manager", delete="administrator"),
        fields={
            "username": text(required=True, maximum=150, check=partial(names.check, "user")),
            "email": text(maximum=254),
            "first_name": text(maximum=150),
            "last_name": text(maximum=150),
            "lab": refs("lab"),
            "allowed_users": refs("user"),
            "is_stock_manager": flag(),
            "is_husbandry": flag(param=False),
            "preferences": json(),
            "quiet_hours": text(maximum=11, param=False, check=quiet_hours),
            "is_public_user": flag(),
            "is_active": flag(default=True),
            "role": text(default="member", check=_role),
            "password": text(null=True, hidden=True, maximum=1000),
        },
        prepare=_prepare_user,
        effects=(_set_credentials,),
        reverse={
            "subjects_responsible": ("subject", "responsible_user", "username"),
            "session": ("session", "users", "username"),
            "surgery": ("surgery", "users", "username"),
            "weighing": ("weighing", "user", "username"),
            "wateradministration": ("watering", "user", "username"),
            "note": ("note", "user", "username"),
            "project": ("project", "users", "username"),
            "data_dataset_created_by_related": ("dataset", "created_by", "username"),
        },
        look=names.look_of_user,
        show=_show_user_row,
        example={"username": "anna", "lab": ["fimbrialab"], "role": "member"},
    ),
    Resource(
        path="projects",
        django=False,
        kind="project",
        model="subjects.project",
        key="name",
        look=names.look,
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "description": text(maximum=1023),
            "users": refs("user"),
            "embargo_until": date(param=False, latest="9999-12-31"),
        },
        permit=_permit_project,
        effects=(_follow_embargo,),
        example={"name": "ibl_neuropixel_brainwide_01"},
    ),
    Resource(
        path="locations",
        django=False,
        kind="location",
        model="misc.lablocation",
        key="name",
        access=Access(create="manager", delete="manager", rig="read change"),
        lab="lab",
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "lab": ref("lab", required=True),
            "json": json(),
        },
        example={"name": "_iblrig_fimbrialab_behavior_0", "lab": "fimbrialab"},
    ),
)
