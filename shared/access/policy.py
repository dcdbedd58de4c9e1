"""The permissions: one table by route, one by field; a route in neither is refused.

A route's rule names the roles that may use it. Rules of resources come from their declarations
(`functions.api.engine.rules`), all others are in `ROUTES`. Some fields of a record need more
permission than its route: its visibility, the place of its bytes, its owner. They are in
`FIELDS`. A field with such a name but without a rule is for administrators only.

Every person with an account may read: the laboratories of a collaboration share their data with
each other, and public data with everybody. Machines see their own lab.

One file, because whoever asks what a role may do reads it all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.model.people import MACHINES, PEOPLE, Caller, Role

MEMBERS = PEOPLE
MANAGERS = frozenset({Role.MANAGER, Role.ADMINISTRATOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
RIGS = frozenset({Role.RIG})
WORKERS = frozenset({Role.WORKER})
ACCOUNTS = MEMBERS | MACHINES
EVERYONE = ACCOUNTS | {Role.ANONYMOUS}
NOBODY: frozenset[Role] = frozenset()


class Decision(msgspec.Struct, frozen=True):
    """Whether something is allowed; if not, why and who may.

    Attributes
    ----------
    allowed : bool
    reason : str
        The refusal, as a sentence.
    who_may : str
        The accounts that may do it, as a sentence.
    """

    allowed: bool
    reason: str = ""
    who_may: str = ""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def message(self) -> str:
        """Both sentences, for the caller."""
        return " ".join(part for part in (self.reason, self.who_may) if part)


ALLOWED = Decision(True)
REFUSED = "You do not have permission to perform this action."
"""The text of a refusal in the Alyx REST contract."""


class Rule(msgspec.Struct, frozen=True):
    """The accounts that may use a route with a method.

    Attributes
    ----------
    roles : frozenset of Role
    own_lab : bool
        Whether it is only for records of the caller's own lab (administrators excepted). The
        handler checks this, because only it knows the record's lab.
    reads : bool
        Whether accounts for the public may use it: it changes nothing and shows public data.
    asks : bool
        Whether anonymous callers are asked to sign in (401), as browsers expect, instead of
        refused (403), as the ONE client expects.
    stock : bool
        Whether members need to be stock managers.
    """

    roles: frozenset[Role]
    own_lab: bool = False
    reads: bool = False
    asks: bool = False
    stock: bool = False


READ = Rule(ACCOUNTS, reads=True)
READ_PUBLIC = Rule(EVERYONE, reads=True)
LAB = Rule(ACCOUNTS, own_lab=True)
LAB_WORKER = Rule(WORKERS, own_lab=True)

ROUTES: Mapping[str, Rule] = {
    "GET /health": READ_PUBLIC,
    "GET /api/schema": READ_PUBLIC,
    "POST /auth-token": READ_PUBLIC,
    "GET /public-account": READ_PUBLIC,
    "DELETE /auth-token": READ,
    "GET /session": READ_PUBLIC,
    "POST /session": READ_PUBLIC,
    "DELETE /session": READ_PUBLIC,
    "GET /changes": Rule(MEMBERS),
    "GET /changes/subjects": Rule(MEMBERS),
    "POST /batch": Rule(MEMBERS),
    "GET /audit": Rule(MEMBERS),
    "POST /audit/{}/undo": Rule(MEMBERS),
    "GET /forms": READ_PUBLIC,
    "GET /me": READ,
    "PATCH /me": Rule(MEMBERS),
    "POST /me/password": Rule(MEMBERS),
    "POST /uploads": LAB,
    "GET /uploads": LAB,
    "GET /uploads/{}": LAB,  # shows where files may be put
    "POST /uploads/{}/parts": LAB,
    "POST /uploads/{}/assemble": LAB,
    "POST /uploads/{}/complete": LAB,
    "POST /tasks/{}/claim": LAB_WORKER,
    "POST /tasks/{}/heartbeat": LAB_WORKER,
    "POST /tasks/{}/log": LAB_WORKER,
    "POST /tasks/{}/complete": LAB_WORKER,
    "POST /tasks/{}/release": LAB_WORKER,
    "POST /workers/credentials": LAB_WORKER,
    "POST /workers/report": LAB_WORKER,
    "GET /board": Rule(ACCOUNTS, own_lab=True),
    "GET /board/{}": Rule(ACCOUNTS, own_lab=True),
    "GET /lab-pages/{}/{}": Rule(MEMBERS, own_lab=True, asks=True),
    "GET /queues": Rule(ADMINISTRATORS),
    "POST /queues/{}/redrive": Rule(ADMINISTRATORS),
    "GET /data/{}": READ_PUBLIC,
    "HEAD /data/{}": READ_PUBLIC,
    "GET /datasets/{}/index": READ_PUBLIC,
    "GET /datasets/{}/run-record": READ_PUBLIC,
    "GET /uploaded/{}": READ_PUBLIC,
    "POST /new-download": Rule(ACCOUNTS),
    "POST /register-file": LAB,
    "GET /check-protected": Rule(ACCOUNTS),
    "GET /cache/info": READ_PUBLIC,
    "GET /cache/info/{}": READ_PUBLIC,
    "GET /cache.zip": READ_PUBLIC,
    "GET /cache-files/{}/cache.zip": READ_PUBLIC,
    "GET /water-requirement/{}": Rule(ACCOUNTS),
    "GET /water-restricted-subjects": Rule(ACCOUNTS),
    "GET /water-status": Rule(ACCOUNTS),
    "GET /water-explanation/{}": Rule(ACCOUNTS),
    "GET /reports/{}": Rule(MEMBERS),
    "GET /training-prediction/{}": Rule(MEMBERS),
    "POST /litters/{}/pups": Rule(MEMBERS, own_lab=True),
    "POST /litters/{}/wean": Rule(MEMBERS, own_lab=True),
    "POST /subjects/transfer": Rule(MEMBERS, own_lab=True),
    "POST /subjects/cull": Rule(MEMBERS, own_lab=True),
    "POST /subjects/{}/rename": Rule(MEMBERS, own_lab=True),
    "POST /breeding-plans": Rule(MEMBERS),
    "GET /images/{}": Rule(ACCOUNTS),
    "POST /lines/{}/zygosities": Rule(MEMBERS, own_lab=True, stock=True),
    "POST /import": Rule(ADMINISTRATORS),
    "POST /import/end": Rule(ADMINISTRATORS),
    "GET /export": Rule(ADMINISTRATORS),
    "GET /webhooks/{}/deliveries": Rule(MANAGERS, own_lab=True),
    "POST /webhooks/{}/deliveries/{}": Rule(MANAGERS, own_lab=True),
    "POST /webhooks/{}/test": Rule(MANAGERS, own_lab=True),
    "GET /releases": READ_PUBLIC,
    "GET /releases/{}": READ_PUBLIC,
    "GET /releases/{}/{}": READ_PUBLIC,
    "GET /releases/{}/{}/nwb": READ_PUBLIC,
    "GET /releases/{}/{}/{}": READ_PUBLIC,
    "POST /tags/{}/datasets": Rule(MEMBERS),
    "POST /releases": Rule(MANAGERS),
    "PATCH /releases/{}/{}": Rule(MANAGERS),
    "POST /releases/{}/{}/publish": Rule(MANAGERS),
    "GET /releases/{}/{}/reviewers": Rule(MANAGERS),
    "POST /releases/{}/{}/reviewers": Rule(MANAGERS),
    "DELETE /releases/{}/{}/reviewers/{}": Rule(MANAGERS),
    "POST /releases/{}/{}/withdraw": Rule(MANAGERS),
}
"""Rules of the routes that are not resources, by method and path."""


class FieldRule(msgspec.Struct, frozen=True):
    """The roles that may set a field of a new record, and those that may change it later.

    Attributes
    ----------
    create, change : frozenset of Role
    holder : str
        Field with the name of a user who may change it, too.
    stock : bool
        Whether stock managers may change it, too.
    """

    create: frozenset[Role]
    change: frozenset[Role]
    holder: str = ""
    stock: bool = False


MANAGED = FieldRule(MANAGERS, MANAGERS)
FREE_AT_FIRST = FieldRule(ACCOUNTS, MANAGERS)
SEALED = FieldRule(ADMINISTRATORS, ADMINISTRATORS)

FIELDS: Mapping[tuple[str, str], FieldRule] = {
    ("session", "public"): MANAGED,
    ("session", "embargo_until"): MANAGED,
    ("session", "lab"): FREE_AT_FIRST,
    ("subject", "lab"): FREE_AT_FIRST,
    ("subject", "embargo_until"): MANAGED,
    ("project", "embargo_until"): MANAGED,
    ("subject", "responsible_user"): FieldRule(
        MEMBERS, MANAGERS, holder="responsible_user", stock=True
    ),
    ("location", "lab"): MANAGED,
    ("surgery", "lab"): FREE_AT_FIRST,
    ("water-restriction", "lab"): FREE_AT_FIRST,
    ("chronic-insertion", "lab"): FREE_AT_FIRST,
    **{
        (kind, "lab"): FREE_AT_FIRST
        for kind in (
            "cage",
            "image",
            "line",
            "other-action",
            "subject-tag",
            "view",
            "virus-injection",
        )
    },
    **{
        (kind, "lab"): MANAGED
        for kind in ("lab-membership", "licence", "own-field", "template", "webhook")
    },
    ("line", "is_active"): FieldRule(MEMBERS, MEMBERS),
    ("lab-membership", "role"): MANAGED,
    ("signature", "password"): FieldRule(MEMBERS, NOBODY),  # the signer proves the identity
    ("signature", "lab"): SEALED,
    ("notification", "lab"): SEALED,
    ("note", "lab"): SEALED,  # the engine fills it in
    ("file", "data_repository"): FieldRule(ACCOUNTS, MEMBERS | WORKERS),
    ("lab", "repositories"): MANAGED,
    ("dataset", "tags"): FieldRule(MEMBERS, MEMBERS),  # see `may_tag`
    ("tag", "public"): MANAGED,
    ("tag", "embargo_until"): MANAGED,
    ("tag", "protected"): MANAGED,
    ("data-repository", "data_url"): MANAGED,
    ("data-repository", "hostname"): MANAGED,
    ("data-repository", "globus_path"): MANAGED,
    ("data-repository", "globus_endpoint_id"): MANAGED,
    ("data-repository", "globus_is_personal"): MANAGED,
    ("user", "lab"): MANAGED,
    ("user", "role"): MANAGED,
    ("user", "password"): MANAGED,
    ("user", "is_active"): MANAGED,
    ("user", "is_public_user"): MANAGED,
    ("user", "is_stock_manager"): MANAGED,
    ("user", "is_husbandry"): MANAGED,
    ("lab", "open_lab"): MANAGED,
    ("user", "allowed_users"): MANAGED,
    ("task", "arguments"): FieldRule(MEMBERS | WORKERS, MEMBERS),
    ("task", "executable"): FieldRule(MEMBERS | WORKERS, MEMBERS),
    ("task", "session"): FieldRule(MEMBERS | WORKERS, MEMBERS),
    ("task", "data_repository"): FieldRule(MEMBERS | WORKERS, MEMBERS),
    ("task", "hold"): FieldRule(MEMBERS, MEMBERS),
}
"""Fields that take more than their route, by kind of record and name."""

DECIDED_APART = frozenset(name for _, name in FIELDS) - {"session"}
"""Names of fields that need a rule wherever they stand."""


def rule_of(path: str, method: str) -> Rule | None:
    """Return the rule of a route that is no resource; None if there is none."""
    return ROUTES.get(f"{method} {plain_path(path)}")


def plain_path(path: str) -> str:
    """Return a route's path without the names of its parameters."""
    return re.sub(r"{[^}]*}", "{}", path)


def may_use(rule: Rule | None, caller: Caller) -> Decision:
    """Decide whether a caller may use a route at all."""
    if rule is None:
        return Decision(False, REFUSED, "No rule says who may use this route.")
    if caller.role not in rule.roles:
        return Decision(False, REFUSED, _who(rule.roles, "use it"))
    if rule.stock and caller.role == Role.MEMBER and not caller.is_stock_manager:
        return Decision(False, REFUSED, "Stock managers, managers and administrators may use it.")
    if caller.is_public and not rule.reads:
        return Decision(False, REFUSED, "Accounts for the public only read.")
    return ALLOWED


def may_write(caller: Caller, lab: str | None) -> Decision:
    """Decide whether a caller may write records of a lab."""
    if caller.of_lab(lab):
        return ALLOWED
    return Decision(
        False, f"You may write only records of your own lab, not of {lab}.", _of_lab(lab)
    )


def may_rename(caller: Caller, subject: Mapping[str, Any]) -> Decision:
    """Decide whether a caller may rename an animal of the own lab."""
    mine = subject.get("responsible_user") == caller.username
    if mine or caller.is_stock_manager or caller.role in MANAGERS:
        return ALLOWED
    who = f"{subject.get('responsible_user')}, stock managers, managers and administrators may."
    return Decision(False, f"You may not rename {subject.get('nickname')}.", who)


def may_change_own(caller: Caller, owner: Any, what: str) -> Decision:
    """Decide whether a caller may change a record that belongs to one user."""
    if owner == caller.username or caller.role in ADMINISTRATORS:
        return ALLOWED
    return Decision(
        False, f"You may not change a {what} of {owner}.", f"{owner} and administrators may."
    )


def may_see_pages(caller: Caller, lab: str) -> Decision:
    """Decide whether a caller may see the pages that a lab keeps to itself."""
    if caller.role in MEMBERS and not caller.is_public and caller.of_lab(lab):
        return ALLOWED
    reason = f"You may see the pages of your own lab, not those of {lab}."
    return Decision(False, reason, f"Members of {lab} and administrators may.")


def may_set(
    caller: Caller,
    kind: str,
    before: Mapping[str, Any] | None,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any] = {},
) -> Decision:
    """Decide whether a caller may give fields of a record these values.

    Parameters
    ----------
    caller : Caller
    kind : str
        Kind of the record.
    before : mapping, optional
        The record as it is; None if it is new.
    given : mapping
        Fields and their values; unchanged values need no permission.
    defaults : mapping
        Default values of a new record's fields.
    """
    old = defaults if before is None else before
    for name, value in given.items():
        rule = FIELDS.get((kind, name)) or (SEALED if name in DECIDED_APART else None)
        if rule is None or _same(old.get(name), value):
            continue
        roles = rule.create if before is None else rule.change
        if caller.role in roles:
            continue
        holder = before.get(rule.holder) if before is not None and rule.holder else None
        if holder == caller.username or (
            before is not None and rule.stock and caller.is_stock_manager
        ):
            continue
        others = ["stock managers"] if rule.stock and before is not None else []
        others += [f"{holder}"] if holder else []
        who = _who(roles, f"{'set' if before is None else 'change'} it", others)
        return Decision(False, f"You may not set {name} of a {kind}.", who)
    return ALLOWED


def may_tag(
    caller: Caller,
    before: Iterable[str],
    after: Iterable[str],
    released: Collection[str],
    protecting: Collection[str],
) -> Decision:
    """Decide whether a caller may change the tags of a dataset.

    Parameters
    ----------
    caller : Caller
    before, after : iterable of str
        Its present tags and its new ones.
    released, protecting : collection of str
        Tags that are public releases, and tags that protect datasets.
    """
    had, wanted = set(before), set(after)
    changed = had ^ wanted
    if not changed:
        return ALLOWED
    adds_only = had <= wanted and caller.role in MANAGERS  # to a further release
    if had & set(protecting) and not adds_only and caller.role not in ADMINISTRATORS:
        reason = "The dataset is protected; its tags stay."
        return Decision(False, reason, _who(ADMINISTRATORS, "unprotect it"))
    if changed & (set(released) | set(protecting)) and caller.role not in MANAGERS:
        reason = "You may not publish or protect a dataset by a tag."
        return Decision(False, reason, _who(MANAGERS, "do"))
    if caller.role not in MEMBERS:
        return Decision(False, "You may not change the tags of a dataset.", _who(MEMBERS, "do"))
    return ALLOWED


def may_unprotect(caller: Caller) -> Decision:
    """Decide whether a caller may end the protection that a tag gives."""
    if caller.role in ADMINISTRATORS:
        return ALLOWED
    return Decision(False, "The tag protects datasets.", _who(ADMINISTRATORS, "unprotect them"))


def may_delete_protected(caller: Caller) -> Decision:
    """Decide whether a caller may delete a record that has protected datasets."""
    if caller.role in ADMINISTRATORS:
        return ALLOWED
    return Decision(False, "It has protected datasets.", _who(ADMINISTRATORS, "delete it"))


def may_manage(caller: Caller, labs: Iterable[str], what: str) -> Decision:
    """Decide whether a caller may change a record that some labs share."""
    wanted = set(labs)
    if caller.role in ADMINISTRATORS or (
        caller.role in MANAGERS and wanted and wanted <= set(caller.labs)
    ):
        return ALLOWED
    if not wanted:
        return Decision(False, f"{what} belongs to no lab.", _who(ADMINISTRATORS, "change it"))
    names = ", ".join(sorted(wanted))
    who = f"Managers of all of these labs may, and administrators: {names}."
    return Decision(False, f"{what} is not only your lab's.", who)


OWN_ACCOUNT = frozenset({"first_name", "last_name", "email", "preferences", "quiet_hours"})
"""Fields of an account that its user changes."""


def may_set_own(names: Iterable[str]) -> Decision:
    """Decide whether a user may change these fields of the own account."""
    others = sorted(set(names) - OWN_ACCOUNT)
    if not others:
        return ALLOWED
    reason = f"You may not set {', '.join(others)[:200]} of your own account."
    return Decision(False, reason, _who(MANAGERS, "change it"))


def may_manage_user(
    caller: Caller, before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> Decision:
    """Decide whether a caller may make or change an account; managers may in their labs."""
    old = before or {}
    changed = {name for name, value in after.items() if not _same(old.get(name), value)}
    if before is not None and old.get("username") == caller.username and changed <= OWN_ACCOUNT:
        return ALLOWED
    if caller.role in ADMINISTRATORS:
        return ALLOWED
    if Role.ADMINISTRATOR in (after.get("role"), old.get("role")):
        who = _who(ADMINISTRATORS, "do")
        return Decision(False, "You may not manage administrators.", who)
    return may_manage(caller, {*(after.get("lab") or ()), *(old.get("lab") or ())}, "The account")


ADDRESSING = ("bucket", "region", "plain_names", "key", "url", "host", "path")
"""Words in the names of those ``json`` entries of a repository that locate its files."""


def may_change_repository(
    caller: Caller, labs: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Decision:
    """Decide whether a caller may change a data repository.

    A worker may report the state of its lab's repository in ``json``, as ibllib does. It may not
    change the entries that locate files.

    Parameters
    ----------
    caller : Caller
    labs : collection of str
        Labs that have the repository or files on it.
    before, after : mapping
        The repository as it is and as it is to be.
    """
    if caller.role not in WORKERS:
        return may_manage(caller, labs, "The repository") if labs else ALLOWED
    reason = "You may report in json of your lab's repository, not change where files are."
    refused = Decision(False, reason, _who(MANAGERS, "do"))
    if not set(labs) <= set(caller.labs):
        return refused
    same = all(_same(before.get(name), after.get(name)) for name in after if name != "json")
    return ALLOWED if same and _places(before) == _places(after) else refused


def may_change_subject(
    caller: Caller, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Decision:
    """Decide whether a caller may change a subject so; workers may only change its ``json``.

    There ibllib's pipeline keeps the dates on which a mouse reached each training status.
    """
    if caller.role not in WORKERS:
        return ALLOWED
    if all(_same(before.get(name), after.get(name)) for name in after if name != "json"):
        return ALLOWED
    reason = "You may report in json of your lab's mice, and change nothing else of them."
    return Decision(False, reason, _who(MEMBERS, "do"))


def _places(repository: Mapping[str, Any]) -> dict[str, Any]:
    described = repository.get("json")
    entries = described.items() if isinstance(described, Mapping) else ()
    return {name: v for name, v in entries if any(word in name.lower() for word in ADDRESSING)}


def sees_own_lab_only(caller: Caller) -> bool:
    """Return whether a caller is shown records of its own lab and no other."""
    return caller.role in MACHINES


def may_see_files(caller: Caller, lab: str | None) -> bool:
    """Return whether a caller may read files of a lab that are not public."""
    if caller.is_public:
        return False
    return not sees_own_lab_only(caller) or caller.of_lab(lab)


def _same(old: Any, new: Any) -> bool:
    """Return whether a value stays the same; None, empty and false count as equal."""
    if isinstance(new, (list, tuple)) or isinstance(old, (list, tuple)):
        return sorted(map(str, old or ())) == sorted(map(str, new or ()))
    return old == new or (not old and not new)


_PLURALS = {
    Role.MEMBER: "members",
    Role.MANAGER: "managers",
    Role.ADMINISTRATOR: "administrators",
    Role.RIG: "rigs",
    Role.WORKER: "workers",
}


def _who(roles: Collection[Role], what: str, others: Sequence[str] = ()) -> str:
    """Return the sentence that names those who may."""
    names = [*(name for role, name in _PLURALS.items() if role in roles), *others]
    if not names:
        return f"Nobody may {what}."
    listed = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return f"{listed[:1].upper()}{listed[1:]} may {what}."


def _of_lab(lab: str | None) -> str:
    return f"Accounts of {lab} and administrators may." if lab else "Administrators may."
