"""Water: the needs of a subject by day, and the restricted subjects."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine import meanings, paging
from functions.api.engine.declarations import KINDS, Body
from functions.api.engine.visible import visible_to
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.catalog import water
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from shared.science.water.control import WaterControl

LONGEST = timedelta(days=3660)
"""Most days of one answer."""

routes = Blueprint(__name__)


def _day(call: Call, name: str) -> date | None:
    value = call.query.get(name)
    if not value:
        return None
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        raise Invalid({name: ["Write the day as YYYY-MM-DD."]}) from None
    if not 1900 <= day.year < 2200:
        raise Invalid({name: ["Ask for days between 1900 and 2199."]})
    return day


def _range(call: Call, control: WaterControl, today: date) -> tuple[date | None, date]:
    """Return the days to show: as requested, else since the first record, at most ten years."""
    start, end = _day(call, "start_date"), _day(call, "end_date") or today
    if start and end - start > LONGEST:
        raise Invalid({"start_date": ["Ask for at most ten years."]})
    first = control.first_moment()
    if start is None and first:
        start = max(first.date(), end - LONGEST)
    return start, end


@routes.route("/water-requirement/{nickname}", methods=["GET"])
def requirement(nickname: str) -> dict[str, Any]:
    """Return weights and water of a subject for every day of a range.

    With ``explain``, also explain each number of that day.
    """
    from shared.science.water.explanation import explain

    call = Call(routes.current_request)
    subject = _subject(call, nickname)
    control = water.control(subject)
    now = water.now_in(subject["lab"])
    lab = catalog.table("lab").get(subject["lab"]) or {}
    start, end = _range(call, control, now.date())
    explained = {}
    if _day(call, "explain"):
        explained["steps"] = explain(control, _moment(call, subject["lab"], "explain"))
    return {
        "subject": nickname_of(subject["nickname"]),
        "implant_weight": control.implant_weight(now),
        "reference_weight_pct": lab.get("reference_weight_pct") or 0,
        "zscore_weight_pct": lab.get("zscore_weight_pct") or 0,
        "records": control.records(start=start, end=end, now=now),
        **explained,
    }


def _subject(call: Call, nickname: str) -> Body:
    """Return a subject that the caller may see.

    Raises
    ------
    ApiError
        404, or 409 if several animals have the name.
    """
    key = meanings.key_in_address(call, KINDS["subject"], unquote(nickname))
    wheres = [Where("nickname", "exact", key)]
    seen = catalog.table("subject").select([*wheres, *visible_to(call.who, KINDS["subject"])])
    if not len(seen):
        raise not_found("Subject")
    (subject,) = seen.all()
    return subject


def _moment(call: Call, lab: str | None, name: str = "date") -> datetime:
    """Return the requested moment: now, or the noon of another day."""
    now, day = water.now_in(lab), _day(call, name)
    return now if day is None or day == now.date() else datetime.combine(day, time(12))


@routes.route("/water-explanation/{nickname}", methods=["GET"])
def explanation(nickname: str) -> dict[str, Any]:
    """Explain each number of a subject's water on a day."""
    from shared.science.water.explanation import explain

    call = Call(routes.current_request)
    subject = _subject(call, nickname)
    when = _moment(call, subject["lab"])
    return {
        "subject": nickname_of(subject["nickname"]),
        "date": when.date().isoformat(),
        "steps": explain(water.control(subject), when),
    }


@routes.route("/water-status", methods=["GET"])
def of_lab() -> dict[str, Any]:
    """Say where each restricted animal of a lab stands: weight, water given and still due."""
    call = Call(routes.current_request)
    lab = call.query.get("lab") or (call.who.labs[0] if len(call.who.labs) == 1 else None)
    if not lab or catalog.table("lab").get(lab) is None:
        raise Invalid({"lab": ["Say which lab, by its name."]})
    when = _moment(call, lab)
    wheres = [Where("lab", "exact", lab), *visible_to(call.who, KINDS["subject"])]
    alive = [
        animal for animal in catalog.table("subject").select(wheres).all() if _lives(animal, when)
    ]
    controls = water.controls(alive) if alive else {}
    restricted = [each for each in controls.values() if each.is_water_restricted(when)]
    rows = {animal["nickname"]: animal for animal in alive}
    return {
        "lab": lab,
        "date": when.date().isoformat(),
        "results": [
            {
                **water.status(each, when),
                "responsible_user": rows[each.nickname].get("responsible_user"),
                "cage": rows[each.nickname].get("cage"),
            }
            for each in sorted(restricted, key=lambda each: each.nickname)
        ],
    }


def _lives(subject: Body, when: datetime) -> bool:
    died = subject.get("death_date")
    return not died or died > when.date().isoformat()


@routes.route("/water-restricted-subjects", methods=["GET"])
def restricted() -> dict[str, Any]:
    """List the subjects with an open water restriction, with what they need today."""
    call = Call(routes.current_request)
    seen = visible_to(call.who, KINDS["water-restriction"])
    still = [Where("end_time", "isnull", True), *seen]
    open_ones = catalog.table("water-restriction").select(still)
    names = sorted(open_ones.values("subject"))
    offset, limit = paging.bounds(call.query)
    rows = []
    subjects = catalog.table("subject")
    page = [animal for name in names[offset : offset + limit] if (animal := subjects.get(name))]
    values = water.summaries(page)
    for subject in page:
        nickname = subject["nickname"]
        lab = catalog.table("lab").get(subject["lab"]) or {}
        amounts = values[nickname]
        rows.append(
            {
                "nickname": nickname_of(nickname),
                "url": call.url(
                    f"/subjects/{meanings.name_in_address(KINDS['subject'], subject, call)}"
                ),
                "expected_water": amounts["expected_water"],
                "remaining_water": amounts["remaining_water"],
                "reference_weight": amounts["reference_weight"],
                "last_water_restriction": amounts["last_water_restriction"],
                "reference_weight_pct": lab.get("reference_weight_pct") or 0,
                "zscore_weight_pct": lab.get("zscore_weight_pct") or 0,
            }
        )
    url = call.url("/water-restricted-subjects")
    return paging.envelope(url, call.query, len(names), rows)
