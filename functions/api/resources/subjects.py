"""Subjects, and the lists that describe them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from functions.api import generations, genotypes, permissions
from functions.api.engine import meanings, read_values, show_values, zones
from functions.api.engine.declarations import (
    KINDS,
    REFERENCE,
    Access,
    Body,
    Field,
    Resource,
    Row,
    choice,
    date,
    datetime,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.engine.filter_grammar import flag_of
from functions.api.engine.filters import Select
from functions.api.engine.visible import belonging, related
from functions.api.errors import Invalid
from shared import catalog
from shared.access import policy
from shared.alf import names
from shared.model import moment
from shared.model.identity import animal_key, nickname_of
from shared.records.where import Where
from shared.science.colony.names import is_automatic

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
from functions.api.resources import cages, colony, culls, genotyping, licences, lives, requests
from functions.api.resources.culls import SEVERITY
from functions.api.resources.naming import named
from functions.api.resources.of_subject import default_user, now
from functions.api.resources.owners import tell_site

ZYGOSITY: dict[str, Field] = {
    "allele": ref("allele", required=True, null=False),
    "zygosity": integer(required=True, null=False, minimum=0, maximum=3),
    "by": choice({by: by for by in ("manual", "rule", "parents")}, default="manual", null=False),
    "rule": ref("zygosity-rule", by="id", on_delete="keep"),
    "at": datetime(default=now),
}
"""Copies of an allele in an animal (`shared.science.colony.genotype.Zygosity`)."""


def _alive(value: str, call: Call, select: Select) -> list[Where]:
    return lives.living(negate=not flag_of("alive", value))


def _stock(value: str, call: Call, select: Select) -> list[Where]:
    managers = select("user", [Where("is_stock_manager", "exact", True)]).values("username")
    return [Where("responsible_user", "in", managers, not flag_of("stock", value))]


def _restricted(value: str, call: Call, select: Select) -> list[Where]:
    open_ones = select("water-restriction", [Where("end_time", "isnull", True)]).values("subject")
    wanted = flag_of("water_restricted", value)
    wheres = [Where("nickname", "in", open_ones, not wanted)]
    return [*wheres, *lives.living()] if wanted else wheres


def _tags(value: str, call: Call, select: Select) -> list[Where]:
    tagged = select("subject-tag", [Where("name", "in", read_values.listed(value))])
    return [Where("nickname", "in", tagged.values("subjects"))]


ADDRESSES = ("cull", "transfer")
"""Words in addresses below ``/subjects/`` that are not animals."""


def _nickname(value: str) -> None:
    if value in ADDRESSES:
        raise ValueError(f"No animal is called {' or '.join(ADDRESSES)}: these are addresses.")
    if not is_automatic(value):
        names.check("subject", value)


def check_free(nickname: str, lab: str | None, known_as: str | None = None) -> None:
    """Refuse a present, former or additional name of another animal of the lab.

    Parameters
    ----------
    nickname, lab : str
        The name, and the lab whose animals must not have it.
    known_as : str, optional
        Key of the animal that gets the name, if it exists.

    Raises
    ------
    Invalid
        400.
    """
    subject = KINDS["subject"]
    others = [Where("lab", "exact", lab), Where("nickname", "exact", known_as, negate=True)]
    called = Where("nickname", "in", meanings.keys_called(subject, nickname))
    if len(catalog.table("subject").select([called, *others])) and known_as is None:
        raise Invalid({"nickname": ["subject with this nickname already exists."]})
    for where in (called, *(Where(field, "exact", nickname) for field in subject.also)):
        owners = catalog.table("subject").select([where, *others]).all()
        if owners:
            owner = subject.title_of(owners[0]["nickname"])
            raise Invalid({"nickname": [f"{nickname} is a name of {owner}; choose another."]})
    _check_folders(nickname, lab, known_as)


def _check_folders(nickname: str, lab: str | None, known_as: str | None) -> None:
    """Refuse a name that has session folders of another animal that has left the lab."""
    others = [key for key in meanings.keys_called(KINDS["subject"], nickname) if key != known_as]
    if others:
        wheres = [Where("subject", "in", others), Where("lab", "exact", lab)]
        if count := len(catalog.table("session").select(wheres)):
            text = f"{lab} has {count} sessions of another {nickname}; choose another name."
            raise Invalid({"nickname": [text]})


def key_for(nickname: str, identity: str) -> str:
    """Return the key of an animal that gets a nickname."""
    if catalog.table("subject").get(nickname) is None:
        return nickname
    return animal_key(nickname, identity)


def _prepare_subject(body: Body, old: Body | None, call: Call) -> Body:
    if old is not None:
        permissions.require(policy.may_change_subject(call.who, old, body))
    if not call.is_import:  # history without a value stays empty
        body = colony.inherit(body, old)
    if old is None:
        body = named("subject", body, call)
        check_free(body["nickname"], body["lab"])
        body["nickname"] = key_for(body["nickname"], body["id"])
    elif body["lab"] != old["lab"]:
        check_free(nickname_of(body["nickname"]), body["lab"], body["nickname"])
    if old is None and not body.get("species"):
        body = {**body, "species": None}
    lives.check_days(body, old, call)
    if body.get("genotype_date") and not (old or {}).get("genotype_date") and not call.is_import:
        body = {**body, "to_be_genotyped": False}
    return body


def _end_with_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """End open water restrictions when an animal has died."""
    if after is None or not after.get("death_date") or (before and before.get("death_date")):
        return
    wheres = [Where("subject", "exact", after["nickname"]), Where("end_time", "isnull", True)]
    end = moment.instant(after["death_date"], zones.zone_of(after.get("lab")))
    for restriction in plan.select("water-restriction", wheres):
        plan.change(
            KINDS["water-restriction"], restriction["id"], lambda each: {**each, "end_time": end}
        )


def _follow_embargo(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Update the site after a change of an embargo."""
    if after and before and after.get("embargo_until") != before.get("embargo_until"):
        where = Where("subject", "exact", after["nickname"])
        plan.then(lambda: tell_site(where))


def _show_subject(shown: Body, row: Row, call: Call) -> Body:
    birth = row.get("birth_date")
    father, mothers = genotypes.parents(row)
    alive = lives.is_alive(row)
    last = dt.date.fromisoformat(lives.today_in(row.get("lab")) if alive else row["death_date"])
    age = (last - dt.date.fromisoformat(birth)).days // 7 if birth else 0
    shown = {
        "nickname": shown.pop("nickname"),
        "url": call.url(f"/subjects/{meanings.name_in_address(KINDS['subject'], row, call)}"),
        "id": row.get("id"),
        **shown,
        "age_weeks": age,
        "alive": alive,
        "session_projects": _projects_of_sessions(row, call),
        "father": nickname_of(father) if father else None,
        "mother": nickname_of(mothers[0]) if len(mothers) == 1 else None,
        "tags": sorted(_tags_of(row, call)),
        "genotype": [zygosity.get("allele") for zygosity in row.get("zygosities") or []],
        **_water_of(row, call),
    }
    shown.pop("zygosities", None)
    return shown


def _tags_of(row: Row, call: Call) -> set[str]:
    """Return the tags that an animal has; read once for a page's subjects."""

    def read() -> dict[str, set[str]]:
        tags: dict[str, set[str]] = {}
        for tag in related(call, "subject-tag").all(("name", "subjects")):
            for nickname in tag.get("subjects") or ():
                tags.setdefault(nickname, set()).add(tag["name"])
        return tags

    return call.once("tags of subjects", read).get(row["nickname"], set())


def _projects_of_sessions(row: Row, call: Call) -> list[str]:
    """Return the projects that a subject's sessions belong to; read once for a page's subjects."""
    read = ("subject", "projects")
    sessions = belonging(call, row, "session", "subject", by="nickname", fields=read)
    return sorted({project for session in sessions for project in session.get("projects") or ()})


def _water_of(row: Row, call: Call) -> Body:
    """Return the water values of a subject; computed once for a page's subjects."""
    from shared.catalog import water

    if call.who.is_public:
        return dict(water.EMPTY)
    rows = call.beside(row)
    summaries: dict[str, Body] = call.once(f"water of {id(rows)}", lambda: water.summaries(rows))
    return summaries[row["nickname"]]


def _show_subject_detail(shown: Body, row: Row, call: Call) -> Body:
    wheres = [Where("subject", "exact", row["nickname"])]
    for name, kind in (("weighings", "weighing"), ("water_administrations", "watering")):
        rows = sorted(related(call, kind, wheres).all(), key=lambda each: str(each["date_time"]))
        shown[name] = [show_values.show(KINDS[kind], each, call) for each in rows]
    shown["genotype"] = row.get("zygosities") or []
    shown["generation"] = generations.of_animal(row, call)
    return shown


declare(
    Resource(
        path="species",
        django=False,
        kind="species",
        model="subjects.species",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=255), "nickname": text(maximum=255)},
        example={"name": "Mus musculus", "nickname": "mouse"},
    ),
    *(
        Resource(
            path=path,
            kind=kind,
            django=False,
            model=f"subjects.{kind}",
            key="name",
            access=REFERENCE,
            fields={"name": text(required=True, maximum=255), "description": text()},
            example={"name": example},
        )
        for path, kind, example in (
            ("strains", "strain", "C57BL/6J"),
            ("sources", "source", "Jax"),
        )
    ),
    Resource(
        path="subjects",
        live=True,  # the ONE client expects a warning when the list of animals has changed
        kind="subject",
        model="subjects.subject",
        key="nickname",
        also=("name", "former_names"),
        look=names.look,
        within="lab",
        title=nickname_of,
        access=Access(delete="manager", worker="read change", husbandry=True),
        lab="lab",
        fields={
            "nickname": text(
                required=True, unless=("line", "litter"), maximum=64, check=_nickname
            ),
            "responsible_user": ref("user", default=default_user),
            **{
                f"{name}_date": date(earliest="1990-01-01", ahead=366)
                for name in ("birth", "death", "wean", "genotype", "reduced")
            },
            "species": ref("species"),
            "sex": choice({"M": "M", "F": "F", "U": "U"}, default="U", null=False),
            "litter": ref("litter"),
            "strain": ref("strain"),
            "source": ref("source"),
            "line": ref("line"),
            "projects": refs("project"),
            "lab": ref("lab", required=True, null=False),
            "cage": text(null=True, maximum=64),
            "ear_mark": text(maximum=64),
            "protocol_number": text(default="1", maximum=1, read_only=True),
            "description": text(),
            "adverse_effects": text(),
            "actual_severity": choice(SEVERITY),
            "to_be_genotyped": flag(),
            "to_be_culled": flag(),
            "zygosities": json(shape="objects", items=ZYGOSITY),
            "request": ref("subject-request", by="id"),
            "licence": ref("licence"),
            "embargo_until": date(param=False, latest="9999-12-31"),
            "name": text(read_only=True, null=True, maximum=64),
            "former_names": json(shape="texts", read_only=True),
            "json": json(),
        },
        filters={
            "tags": _tags,
            "alive": _alive,
            "stock": _stock,
            "water_restricted": _restricted,
            "project": "projects",
        },
        reverse={
            "actions_sessions": ("session", "subject", "nickname"),
            "weighings": ("weighing", "subject", "nickname"),
            "water_administrations": ("watering", "subject", "nickname"),
            "actions_waterrestrictions": ("water-restriction", "subject", "nickname"),
            "actions_surgerys": ("surgery", "subject", "nickname"),
            "actions_chronicrecordings": ("chronic-insertion", "subject", "nickname"),
            "notes": ("note", "object_id", "id"),
        },
        prepare=_prepare_subject,
        effects=(
            _end_with_death,
            _follow_embargo,
            cages.end_with_death,
            colony.end_with_death,
            requests.follow_owner,
            culls.follow_death,
            genotyping.follow_line,
            licences.count,
        ),
        allow_delete=lives.keep_with_records,
        show=_show_subject,
        show_detail=_show_subject_detail,
        example={"nickname": "FI_001", "lab": "fimbrialab", "sex": "M"},
    ),
)
