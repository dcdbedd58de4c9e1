"""The colony: lines, breeding pairs and litters."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.api import generations, genotypes
from functions.api.engine import zones
from functions.api.engine.declarations import (
    COLONY,
    HUSBANDRY,
    KINDS,
    Body,
    Resource,
    Row,
    choice,
    date,
    declare,
    flag,
    integer,
    json,
    listing,
    ref,
    refs,
    text,
)
from functions.api.engine.visible import related
from functions.api.errors import Invalid
from functions.api.resources.naming import COUNTERS, named
from functions.api.resources.of_subject import replacing
from functions.api.resources.parts import in_order, own_lab, web_address, with_id
from shared import catalog
from shared.alf import names
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

EVENTS = {"plug": "plug", "birth": "birth", "separation": "separation"}

WEAN_AGE = 21
"""Default days from birth to weaning (The Jackson Laboratory's usual)."""

SOON = dt.timedelta(days=28)
"""Most time between a birth and its pair's time that needs no confirmation."""

MAX_PUPS = 100
"""Most pups of one litter; more than four times the largest litter of mice."""


def _nickname(value: str) -> None:
    """Refuse a nickname that cannot be the beginning of automatic names."""
    names.check("subject", f"{value}_0001")


def _named(value: str) -> None:
    if value.strip() not in ("", "-"):
        names.check("term", value)


def _parent(body: Body, name: str, sex: str, old: Body | None) -> None:
    """Refuse a parent of the wrong sex, a dead one, and one of another lab."""
    nickname = body.get(name)
    if not nickname or (old and old.get(name) == nickname):
        return
    parent, shown_name = catalog.table("subject").get(nickname) or {}, nickname_of(nickname)
    lab = (catalog.table("line").get(body.get("line") or "") or {}).get("lab")
    if parent.get("sex") not in (sex, "U", None):
        raise Invalid({name: [f"{shown_name} is {'male' if sex == 'F' else 'female'}."]})
    if parent.get("death_date") and not body.get("end_date"):
        raise Invalid(
            {name: [f"{shown_name} died on {parent['death_date']}; give the pair's end."]}
        )
    if lab and parent.get("lab") != lab:
        raise Invalid({name: [f"{shown_name} is of {parent.get('lab')}, the line of {lab}."]})


def _prepare_pair(body: Body, old: Body | None, call: Call) -> Body:
    body = named("breeding-pair", body, call) if old is None else body
    if call.is_import:
        return body
    in_order(body, "start_date", "end_date", "A pair cannot end before it begins.")
    for name, sex in (("father", "M"), ("mother1", "F"), ("mother2", "F")):
        _parent(body, name, sex, old)
    if body.get("mother1") and body.get("mother1") == body.get("mother2"):
        raise Invalid(
            {"mother2": [f"{nickname_of(body['mother2'])} is the first mother already."]}
        )
    return body


def parents(row: Row) -> list[str]:
    """Return the animals of a breeding pair."""
    return [str(row[name]) for name in ("father", "mother1", "mother2") if row.get(name)]


def _pair_warnings(row: Row, call: Call) -> list[str]:
    """Refuse unusual values until the client confirms them."""
    if row.get("end_date"):
        return []
    still = Where("end_date", "isnull", True)
    others = call.once("pairs", lambda: related(call, "breeding-pair", [still]).all())
    return [
        f"{nickname_of(parent)} is in {other['name']}, too, which has no end."
        for parent in parents(row)
        for other in others
        if other["name"] != row["name"] and parent in parents(other)
    ]


def _show_pair(shown: Body, row: Row, call: Call) -> Body:
    return {**with_id(shown, row, call), "warnings": _pair_warnings(row, call)}


def _prepare_litter(body: Body, old: Body | None, call: Call) -> Body:
    pair = catalog.table("breeding-pair").get(body.get("breeding_pair") or "") or {}
    line = body.get("line") or pair.get("line")
    if not line:
        raise Invalid({"line": ["Give the line, or a breeding pair that has one."]})
    if pair.get("line") and line != pair["line"] and not call.is_import:
        raise Invalid({"line": [f"{pair['name']} is of {pair['line']}, not of {line}."]})
    born, died = body.get("born"), body.get("died")
    if born is not None and (died or 0) > born:
        raise Invalid({"died": [f"No more than the {born} born can have died."]})
    pups = len(_pups(body["name"])) if old else 0
    if born is not None and born < pups:
        raise Invalid({"born": [f"The litter has {pups} pups; more than {born} were born."]})
    body = {**body, "line": line}
    return named("litter", body, call) if old is None else body


def _pups(litter: str) -> list[str]:
    pups = catalog.table("subject").select([Where("litter", "exact", litter)])
    return sorted(pups.values("nickname"))


def wean_age(line: str | None) -> int:
    """Return the days from birth to weaning: the line's, the lab's, or the usual."""
    own = catalog.table("line").get(line or "") or {}
    lab = catalog.table("lab").get(own.get("lab") or "") or {}
    return int(own.get("wean_age_days") or lab.get("wean_age_days") or WEAN_AGE)


def _litter_warnings(row: Row) -> list[str]:
    pair = catalog.table("breeding-pair").get(row.get("breeding_pair") or "")
    if not pair or not row.get("birth_date"):
        return []
    born = dt.date.fromisoformat(row["birth_date"])
    for name, sign, word in (("start_date", -1, "before"), ("end_date", 1, "after")):
        if pair.get(name):
            day = dt.date.fromisoformat(pair[name])
            if (born - day) * sign > SOON:
                return [f"Born on {born}, {word} the time of {pair['name']}."]
    return []


def _show_litter(shown: Body, row: Row, call: Call) -> Body:
    born = row.get("birth_date")
    age = dt.timedelta(days=wean_age(row.get("line")))
    return {
        **with_id(shown, row, call),
        "expected_wean_date": (dt.date.fromisoformat(born) + age).isoformat() if born else None,
        "warnings": _litter_warnings(row),
    }


def _show_litter_detail(shown: Body, row: Row, call: Call) -> Body:
    wheres = [Where("litter", "exact", row["name"])]
    return {
        **shown,
        "generation": generations.of_pups(row, call),
        "pups": sorted(map(nickname_of, related(call, "subject", wheres).values("nickname"))),
    }


def end_with_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """End a breeding pair when its father or all of its mothers have died."""
    if after is None or not after.get("death_date") or (before and before.get("death_date")):
        return
    for pair in plan.select("breeding-pair", [Where("end_date", "isnull", True)]):
        if after["nickname"] not in parents(pair):
            continue
        mothers = [plan.get("subject", pair.get(name) or "") for name in ("mother1", "mother2")]
        alive = [mother for mother in mothers if mother and not mother.get("death_date")]
        if pair.get("father") == after["nickname"] or not alive:
            day = max(after["death_date"], pair.get("start_date") or "")
            plan.change(KINDS["breeding-pair"], pair["name"], replacing(end_date=day))


def _follow_litter(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Update the birth date of pups when that of their litter changes."""
    if before is None or after is None or before.get("birth_date") == after.get("birth_date"):
        return
    for pup in plan.select("subject", [Where("litter", "exact", after["name"])]):
        if pup.get("birth_date") == before.get("birth_date"):
            born = replacing(birth_date=after["birth_date"])
            plan.change(KINDS["subject"], pup["nickname"], born)


def inherit(body: Body, old: Body | None) -> Body:
    """Fill in the empty fields of an animal from its litter, its line and its parents.

    Line and birth date come from the litter; species, strain and source from the line, else from
    the father, else from a mother.
    """
    if old is not None and all(old.get(n) == body.get(n) for n in ("litter", "line")):
        return body
    litter = catalog.table("litter").get(body.get("litter") or "") or {}
    line = catalog.table("line").get(body.get("line") or litter.get("line") or "") or {}
    father, mothers = genotypes.parents(body)
    relatives = [catalog.table("subject").get(name or "") or {} for name in (father, *mothers)]
    filled = {"line": litter.get("line"), "birth_date": litter.get("birth_date")}
    for name in ("species", "strain", "source"):
        filled[name] = next(
            (relative[name] for relative in (line, *relatives) if relative.get(name)), None
        )
    return {**body, **{n: v for n, v in filled.items() if v is not None and not body.get(n)}}


def _house_parents(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Move the parents of a pair into its cage when the pair gets one."""
    if after is None or not after.get("cage") or (before or {}).get("cage") == after["cage"]:
        return
    lab = lab_of_line(after["line"])
    wheres = [Where("name", "exact", after["cage"]), Where("lab", "exact", lab)]
    cages = plan.select("cage", wheres)
    for nickname in parents(after):
        if cages:
            stay = {"subject": nickname, "cage": cages[0]["id"]}
            plan.create(KINDS["stay"], stay, given={"confirmed": True})
        else:
            plan.change(KINDS["subject"], nickname, replacing(cage=after["cage"]))


def lines_lab(path: str) -> dict[str, Any]:
    """Return the filter by the lab of the line that records name."""
    return {"lab": f"{path}__lab__iexact"}


def lab_of_line(line: str | None) -> str | None:
    """Return the lab of a line."""
    line_row = catalog.table("line").get(line or "")
    return zones.lab_of(_LINES, line_row) if line_row else None


def _prepare_line(body: Body, old: Body | None, call: Call) -> Body:
    if body.get("generation_scheme") == generations.BACKCROSS and not body.get("strain"):
        raise Invalid({"strain": ["Name the strain that the line is crossed back to."]})
    return body


_LINES = Resource(
    path="lines",
    kind="line",
    model="subjects.line",
    key="name",
    also=("nickname",),
    access=COLONY,
    lab="lab",
    fields={
        "name": text(required=True, maximum=255, check=partial(names.check, "term")),
        "nickname": text(required=True, maximum=56, check=_nickname),
        "description": text(),
        "target_phenotype": text(maximum=1023),
        "alleles": refs("allele"),
        "strain": ref("strain"),
        "species": ref("species"),
        "source": ref("source"),
        "source_identifier": text(maximum=64),
        "source_url": text(maximum=1023, check=web_address),
        "expression_data_url": text(maximum=1023, check=web_address),
        "lab": ref("lab", default=own_lab),
        "is_active": flag(default=True),
        "wean_age_days": integer(minimum=0, maximum=365),
        "sample_age_days": integer(minimum=0, maximum=365),
        "generation_scheme": choice(generations.SCHEMES),
        **{name: integer(read_only=True, imported=True, default=0) for name in COUNTERS.values()},
        "json": json(),
    },
    unique=(("nickname",),),
    prepare=_prepare_line,
    reverse={
        "subject": ("subject", "line", "name"),
        "litter": ("litter", "line", "name"),
        "breedingpair": ("breeding-pair", "line", "name"),
        "subjectrequest": ("subject-request", "line", "name"),
    },
    show=with_id,
    example={"name": "Pvalb-IRES-Cre", "nickname": "PV", "lab": "fimbrialab"},
)

declare(
    _LINES,
    Resource(
        path="breeding-pairs",
        kind="breeding-pair",
        access=HUSBANDRY,
        model="subjects.breedingpair",
        key="name",
        lab="line",
        fields={
            "name": text(maximum=64, check=_named),
            "line": ref("line", required=True, null=False),
            "start_date": date(earliest="1990-01-01", ahead=366),
            "end_date": date(earliest="1990-01-01", ahead=366),
            "father": ref("subject", on_delete="keep"),
            "mother1": ref("subject", on_delete="keep"),
            "mother2": ref("subject", on_delete="keep"),
            "cage": text(maximum=64),
            "description": text(),
            "events": listing(
                {
                    "date": date(required=True, null=False, earliest="1990-01-01", ahead=366),
                    "event": choice(EVENTS, required=True, null=False),
                }
            ),
            "json": json(),
        },
        filters=lines_lab("line"),
        reverse={"litter": ("litter", "breeding_pair", "name")},
        prepare=_prepare_pair,
        effects=(_house_parents,),
        show=_show_pair,
        example={"line": "Pvalb-IRES-Cre", "name": "PV_BP_001"},
    ),
    Resource(
        path="litters",
        kind="litter",
        access=HUSBANDRY,
        model="subjects.litter",
        key="name",
        lab="line",
        fields={
            "name": text(maximum=64, check=_named),
            "line": ref("line"),
            "breeding_pair": ref("breeding-pair"),
            "birth_date": date(earliest="1990-01-01", ahead=1),
            "born": integer(minimum=0, maximum=MAX_PUPS),
            "died": integer(minimum=0, maximum=MAX_PUPS),
            "description": text(),
            "json": json(),
        },
        filters=lines_lab("line"),
        reverse={"subject": ("subject", "litter", "name")},
        prepare=_prepare_litter,
        effects=(_follow_litter,),
        show=_show_litter,
        show_detail=_show_litter_detail,
        example={"line": "Pvalb-IRES-Cre", "name": "PV_L_001", "birth_date": "2024-07-01"},
    ),
)
