"""The colony: lines, breeding pairs, litters, and requests for animals."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values
from functions.api.engine.declarations import (
    COLONY,
    HUSBANDRY,
    Body,
    Resource,
    Row,
    choice,
    date,
    datetime,
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
from functions.api.resources.of_subject import default_user, now
from functions.api.resources.parts import in_order, own_lab, web_address, with_id
from shared import catalog
from shared.alf import names
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

COUNTERS = ("subject_autoname_index", "breeding_pair_autoname_index", "litter_autoname_index")
"""How many automatic names of each kind a line has given."""

EVENTS = {"plug": "plug", "birth": "birth", "separation": "separation"}

WEAN_AGE = 21
"""Days from birth to weaning where neither line nor lab says (The Jackson Laboratory's usual)."""

SOON = dt.timedelta(days=28)
"""How far a birth may be outside its pair's time before it looks like a slip."""

MAX_PUPS = 100
"""Pups of one litter; more than four times the largest of mice."""


def _nickname(value: str) -> None:
    """Refuse a nickname from which no automatic names can be made."""
    names.check("subject", f"{value}_0001")


def _named(value: str) -> None:
    if value.strip() not in ("", "-"):
        names.check("term", value)


def _show_line(shown: Body, row: Row, call: Call) -> Body:
    return {**with_id(shown, row, call), **{name: row.get(name) or 0 for name in COUNTERS}}


def _parent(body: Body, name: str, sex: str, old: Body | None) -> None:
    """Refuse a parent of the other sex, one that is dead, and one of another lab."""
    nickname = body.get(name)
    if not nickname or (old and old.get(name) == nickname):
        return
    row = catalog.table("subject").get(nickname) or {}
    lab = (catalog.table("line").get(body.get("line") or "") or {}).get("lab")
    if row.get("sex") not in (sex, "U", None):
        raise Invalid({name: [f"{nickname} is {'male' if sex == 'F' else 'female'}."]})
    if row.get("death_date") and not body.get("end_date"):
        raise Invalid({name: [f"{nickname} died on {row['death_date']}; give the pair's end."]})
    if lab and row.get("lab") != lab:
        raise Invalid({name: [f"{nickname} is of {row.get('lab')}, the line of {lab}."]})


def _prepare_pair(body: Body, old: Body | None, call: Call) -> Body:
    in_order(body, "start_date", "end_date", "A pair cannot end before it begins.")
    for name, sex in (("father", "M"), ("mother1", "F"), ("mother2", "F")):
        _parent(body, name, sex, old)
    if body.get("mother1") and body.get("mother1") == body.get("mother2"):
        raise Invalid({"mother2": [f"{body['mother2']} is the first mother already."]})
    return body


def parents(row: Row) -> list[str]:
    """Return the animals of a breeding pair."""
    return [str(row[name]) for name in ("father", "mother1", "mother2") if row.get(name)]


def _pair_warnings(row: Row, call: Call) -> list[str]:
    """Say what looks like a slip, but may be meant."""
    if row.get("end_date"):
        return []
    still = Where("end_date", "isnull", True)
    others = related(call, "breeding-pair", [still]).all()
    return [
        f"{parent} is in {other['name']}, too, which has no end."
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
    if pair.get("line") and line != pair["line"]:
        raise Invalid({"line": [f"{pair['name']} is of {pair['line']}, not of {line}."]})
    born, died = body.get("born"), body.get("died")
    if born is not None and (died or 0) > born:
        raise Invalid({"died": [f"No more than the {born} born can have died."]})
    pups = len(_pups(body["name"])) if old else 0
    if born is not None and born < pups:
        raise Invalid({"born": [f"The litter has {pups} pups; more than {born} were born."]})
    return {**body, "line": line}


def _pups(litter: str) -> list[str]:
    found = catalog.table("subject").select([Where("litter", "exact", litter)])
    return sorted(found.values("nickname"))


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
    mine = [Where("litter", "exact", row["name"])]
    return {**shown, "pups": sorted(related(call, "subject", mine).values("nickname"))}


def _prepare_request(body: Body, old: Body | None, call: Call) -> Body:
    asked = str(body["date_time"])[:10]
    if body.get("due_date") and body["due_date"] < asked:
        raise Invalid({"due_date": [f"It was asked on {asked}; that is later."]})
    return body


def remaining(row: Row) -> int:
    """Return how many animals a request still waits for: of its line, alive, attached to it."""
    mine = [
        Where("request", "exact", row["id"]),
        Where("line", "exact", row["line"]),
        Where("responsible_user", "exact", row["user"]),
        Where("death_date", "isnull", True),
    ]
    return max(0, int(row["count"]) - len(catalog.table("subject").select(mine)))


def _show_request(shown: Body, row: Row, call: Call) -> Body:
    left = remaining(row)
    return {**shown, "status": "open" if left else "closed", "remaining": left}


def _lines_lab(path: str) -> dict[str, Any]:
    return {"lab": f"{path}__lab__iexact"}


def lab_of_line(line: str | None) -> str | None:
    """Return the lab of a line."""
    row = catalog.table("line").get(line or "")
    return read_values.lab_of(_LINES, row) if row else None


_LINES = Resource(
    path="lines",
    kind="line",
    model="subjects.line",
    key="name",
    also="nickname",
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
        "generation_scheme": text(maximum=64),
        **{name: integer(read_only=True) for name in COUNTERS},
        "json": json(),
    },
    unique=(("nickname",),),
    reverse={
        "subject": ("subject", "line", "name"),
        "litter": ("litter", "line", "name"),
        "breedingpair": ("breeding-pair", "line", "name"),
        "subjectrequest": ("subject-request", "line", "name"),
    },
    show=_show_line,
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
        filters=_lines_lab("line"),
        reverse={"litter": ("litter", "breeding_pair", "name")},
        prepare=_prepare_pair,
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
        filters=_lines_lab("line"),
        reverse={"subject": ("subject", "litter", "name")},
        prepare=_prepare_litter,
        show=_show_litter,
        show_detail=_show_litter_detail,
        example={"line": "Pvalb-IRES-Cre", "name": "PV_L_001", "birth_date": "2024-07-01"},
    ),
    Resource(
        path="subject-requests",
        kind="subject-request",
        model="subjects.subjectrequest",
        lab="line",
        fields={
            "user": ref("user", default=default_user, null=False),
            "line": ref("line", required=True, null=False),
            "count": integer(required=True, null=False, minimum=1, maximum=10_000),
            "date_time": datetime(default=now, null=False, earliest="1990-01-01", ahead=1),
            "due_date": date(earliest="1990-01-01"),
            "description": text(),
            "json": json(),
        },
        filters=_lines_lab("line"),
        reverse={"subject": ("subject", "request", "id")},
        prepare=_prepare_request,
        show=_show_request,
        example={"line": "Pvalb-IRES-Cre", "count": 4},
    ),
)
