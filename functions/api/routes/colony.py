"""Actions on a colony: each is one request, one transaction, one undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote

from chalice.app import Blueprint

from functions.api import breeding, genotypes, permissions
from functions.api.call import Call
from functions.api.engine import meanings, read_values, show_values
from functions.api.engine.declarations import KINDS, Body, Resource
from functions.api.engine.plan import Plan, PlannedRecord, planned
from functions.api.engine.renaming import rename
from functions.api.engine.writes import find, write
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.resources.colony import lab_of_line
from functions.api.resources.genotyping import outdated, set_genotype
from functions.api.resources.of_subject import now, replacing
from functions.api.resources.subjects import check_free, key_for
from shared import catalog
from shared.access import policy
from shared.alf import names
from shared.model import moment
from shared.model.colony import (
    BreedingPlanRequest,
    CullRequest,
    PupsRequest,
    RenameRequest,
    TransferRequest,
    WeanedCage,
    WeanRequest,
    ZygositiesRequest,
)
from shared.model.identity import nickname_of
from shared.model.json import Faulty, read
from shared.records.where import Where
from shared.science.colony.names import is_automatic

routes = Blueprint(__name__)
T = TypeVar("T")

PAGE = 60
"""Most animals whose zygosities one request computes."""

SUBJECT = KINDS["subject"]


def asked(call: Call, kind: type[T]) -> T:
    """Return the typed body of a request.

    Raises
    ------
    Invalid
        400 with messages per field.
    """
    try:
        return read(call.body, kind)
    except Faulty as error:
        raise Invalid(error.fields) from None


def together(call: Call, steps: Callable[[Plan], list[PlannedRecord]]) -> dict[str, Any]:
    """Plan and write; return the audit group and the records as they are shown."""
    group, records = planned(call, lambda plan: (plan.group, steps(plan)))
    rows = [(record.resource, record.body) for record in records if record.body is not None]
    return {
        "group": group,
        "rows": [show_values.show(resource, body, call, detail=True) for resource, body in rows],
    }


def _written(record: PlannedRecord | None) -> PlannedRecord:
    assert record is not None  # noqa: S101 - only a deletion returns none
    return record


def _known(call: Call, names: list[str]) -> list[str]:
    """Return the nicknames of animals, each once.

    Raises
    ------
    Invalid
        400 that names the missing ones.
    """
    lab = call.query.get("lab")
    keys = {
        name: meanings.key_of("subject", name, call, lab=lab, is_write=True)
        for name in dict.fromkeys(names)
    }
    if missing := [name for name, key in keys.items() if key is None]:
        raise Invalid({"subjects": [f"There is no animal {name}." for name in missing]})
    return list(dict.fromkeys(str(key) for key in keys.values()))


@routes.route("/litters/{name}/pups", methods=["POST"])
def add_pups(name: str) -> dict[str, Any]:
    """Add pups to a litter, named by the line's counter."""
    call = Call(routes.current_request)
    wanted = asked(call, PupsRequest)
    sexes = ["M"] * wanted.male + ["F"] * wanted.female + ["U"] * wanted.unknown
    if not sexes:
        raise Invalid({"male": ["Say how many pups of which sex: male, female, unknown."]})

    def add(plan: Plan) -> list[PlannedRecord]:
        litter = find(KINDS["litter"], unquote(name))
        present = len(plan.select("subject", [Where("litter", "exact", litter["name"])]))
        born = litter.get("born")
        if born is not None and present + len(sexes) > born:
            text = (
                f"{litter['name']} has {present} pups of {born} born; correct that number first."
            )
            raise Invalid({"non_field_errors": [text]})
        father, mothers = genotypes.parents({"litter": litter["name"]})
        dad = catalog.table("subject").get(father or "") or {}
        mum = catalog.table("subject").get(mothers[0] if mothers else "") or {}
        pup = {
            "litter": litter["name"],
            "lab": lab_of_line(litter["line"]) or dad.get("lab") or mum.get("lab"),
            "projects": dad.get("projects") or mum.get("projects") or [],
        }
        if owner := dad.get("responsible_user") or mum.get("responsible_user"):
            pup["responsible_user"] = owner
        if mum.get("cage"):
            pup["cage"] = mum["cage"]
        return [
            _written(write(plan, "create", SUBJECT, None, {**pup, "sex": sex})) for sex in sexes
        ]

    return together(call, add)


@routes.route("/litters/{name}/wean", methods=["POST"])
def wean(name: str) -> dict[str, Any]:
    """Wean pups of a litter into cages."""
    call = Call(routes.current_request)
    wanted = asked(call, WeanRequest)

    def move(plan: Plan) -> list[PlannedRecord]:
        litter = find(KINDS["litter"], unquote(name))
        lab = lab_of_line(litter["line"])
        wheres = [Where("litter", "exact", litter["name"]), Where("death_date", "isnull", True)]
        keys = {
            nickname_of(animal["nickname"]): animal["nickname"]
            for animal in plan.select("subject", wheres)
        }
        pups = sorted(keys)
        chosen = [pup for cage in wanted.cages for pup in cage.subjects] or pups
        if strangers := sorted(set(chosen) - set(pups)):
            text = f"No living pup of {litter['name']}: {', '.join(strangers)}."
            raise Invalid({"cages": [text]})
        if twice := sorted({pup for pup in chosen if chosen.count(pup) > 1}):
            raise Invalid({"cages": [f"In two cages: {', '.join(twice)}."]})
        if not chosen:
            raise Invalid({"non_field_errors": [f"{litter['name']} has no living pups."]})
        weaned = {"wean_date": wanted.date}
        records = [_written(write(plan, "update", SUBJECT, keys[pup], weaned)) for pup in chosen]
        for cage in wanted.cages:
            records += _fill(plan, cage, [keys[pup] for pup in cage.subjects], lab, wanted)
        return records

    return together(call, move)


def _fill(
    plan: Plan, cage: WeanedCage, pups: list[str], lab: str | None, wanted: WeanRequest
) -> list[PlannedRecord]:
    """Plan a cage, if it does not exist, and the stays of its animals."""
    wheres = [Where("name", "exact", cage.name), Where("lab", "exact", lab)]
    cages = plan.select("cage", wheres)
    records = []
    if cages:
        key = str(cages[0]["id"])
    else:
        new_cage = _written(
            write(plan, "create", KINDS["cage"], None, {"name": cage.name, "lab": lab})
        )
        key = new_cage.key
        records.append(new_cage)
    today = moment.now().date().isoformat()
    for pup in pups:
        stay: Body = {"subject": meanings.exact(pup), "cage": key, "confirmed": wanted.confirmed}
        if wanted.date < today:
            stay["start"] = f"{wanted.date}T12:00:00"
        records.append(_written(write(plan, "create", KINDS["stay"], None, stay)))
    return records


@routes.route("/subjects/transfer", methods=["POST"])
def transfer() -> dict[str, Any]:
    """Give animals to another user, for a request."""
    call = Call(routes.current_request)
    wanted = asked(call, TransferRequest)
    subjects = _known(call, wanted.subjects)
    user = catalog.table("user").get(wanted.to)
    if user is None or not user.get("is_active", True):
        raise Invalid({"to": [f"There is no active account {wanted.to}."]})
    if wanted.rename:
        raise Invalid({"rename": ["Rename animals by POST /subjects/{nickname}/rename."]})
    change: Body = {"responsible_user": wanted.to}
    if wanted.request:
        change["request"] = wanted.request

    def give(plan: Plan) -> list[PlannedRecord]:
        return [_written(write(plan, "update", SUBJECT, subject, change)) for subject in subjects]

    return together(call, give)


@routes.route("/subjects/cull", methods=["POST"])
def cull() -> dict[str, Any]:
    """Cull animals, all or none."""
    call = Call(routes.current_request)
    wanted = asked(call, CullRequest)
    subjects = _known(call, wanted.subjects)
    fields = {
        "date": wanted.date,
        "cull_method": wanted.method,
        "cull_reason": wanted.reason,
        "severity": wanted.severity,
        "description": wanted.description,
    }

    def kill(plan: Plan) -> list[PlannedRecord]:
        resource: Resource = KINDS["cull"]
        return [
            _written(
                write(
                    plan, "create", resource, None, {**fields, "subject": meanings.exact(subject)}
                )
            )
            for subject in subjects
        ]

    return together(call, kill)


@routes.route("/subjects/{nickname}/rename", methods=["POST"])
def rename_subject(nickname: str) -> dict[str, Any]:
    """Give an animal another name; the old one goes on meaning it.

    An animal with sessions keeps its nickname, which is in folder names; it may get an additional
    name.
    """
    call = Call(routes.current_request)
    wanted = asked(call, RenameRequest)

    def give(plan: Plan) -> list[PlannedRecord]:
        present = find(SUBJECT, meanings.key_in_address(call, SUBJECT, unquote(nickname)))
        permissions.require(policy.may_rename(call.who, present))
        write(plan, "update", SUBJECT, present["nickname"], {})  # whether the caller may
        body = plan.record(SUBJECT, present["nickname"]).body or {}
        new = _new_name(call, body, wanted.nickname)
        sessions = catalog.table("session").select([Where("subject", "exact", body["nickname"])])
        if wanted.alias:
            return [plan.change(SUBJECT, body["nickname"], replacing(name=new))]
        if len(sessions):
            animal = nickname_of(body["nickname"])
            text = f"{animal} has {len(sessions)} sessions, whose folders have its name;"
            raise ApiError(409, f"{text} send alias: true to give it {new} besides.")
        former = [record for record in body.get("former_names") or [] if record != new]
        changed = {
            **body,
            "nickname": key_for(new, body["id"]),
            "former_names": [*former, nickname_of(body["nickname"])],
        }
        return [rename(plan, SUBJECT, body["nickname"], changed)]

    group, records = planned(call, lambda plan: (plan.group, give(plan)), whole=True)
    (renamed,) = [
        show_values.show(SUBJECT, record.body or {}, call, detail=True) for record in records
    ]
    return {"group": group, "rows": [renamed]}


def _new_name(call: Call, subject: Body, new: str) -> str:
    """Return a valid new name of an animal.

    Raises
    ------
    Invalid
        400 if it is invalid or taken.
    """
    spec = SUBJECT.fields["nickname"]
    try:
        read_values.read(spec, new, call)
        if is_automatic(new):
            raise ValueError("Give a name.")
        if names.look(new) == names.look(nickname_of(subject["nickname"])):
            raise ValueError("It looks the same as the present one.")
    except ValueError as error:
        raise Invalid({"nickname": [str(error)]}) from None
    check_free(new, subject["lab"], subject["nickname"])
    return new


@routes.route("/breeding-plans", methods=["POST"])
def plan_breeding() -> dict[str, Any]:
    """Rank the pairs that give a wanted genotype."""
    call = Call(routes.current_request)
    return breeding.plan(call, asked(call, BreedingPlanRequest))


@routes.route("/lines/{name}/zygosities", methods=["POST"])
def apply_rules(name: str) -> dict[str, Any]:
    """Apply a line's rules to its tested animals, or say what would change."""
    call = Call(routes.current_request)
    wanted = asked(call, ZygositiesRequest)
    line = catalog.table("line").get(unquote(name))
    if line is None:
        raise not_found("Line")
    proposed = _proposed(call, line["name"], wanted)
    genetics = genotypes.of_line(line["name"], proposed, wanted.without or "")
    changes = outdated(line["name"], genetics, now(call))
    if wanted.dry_run:
        return {"line": line["name"], "changes": changes, "next": None}
    if proposed or wanted.without:
        raise Invalid({"dry_run": ["Only a dry run takes a rule; save the rule itself."]})
    left = [
        difference["subject"] for difference in changes if difference["subject"] > wanted.after
    ]
    page = left[:PAGE]

    def work_out(plan: Plan) -> None:
        write(plan, "update", KINDS["line"], line["name"], {})  # whether the caller may
        for nickname in page:
            set_genotype(plan, nickname, call)

    planned(call, work_out)
    done = [difference for difference in changes if difference["subject"] in page]
    after = page[-1] if len(left) > PAGE else None
    return {"line": line["name"], "changes": done, "next": after}


def _proposed(call: Call, line: str, wanted: ZygositiesRequest) -> list[Body]:
    if wanted.rule is None:
        return []
    rule = KINDS["zygosity-rule"]
    body = read_values.read_body(rule, {**wanted.rule, "line": line}, call, partial=False)
    assert rule.prepare is not None  # noqa: S101 - it is declared with one
    return [{**rule.prepare(body, None, call), "id": "proposed"}]
