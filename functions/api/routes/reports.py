"""Reports of a colony: the week, the annual return, restrictions, tasks due."""

from __future__ import annotations

from datetime import date
from typing import Any

from chalice.app import Blueprint, Response

from functions.api import reports
from functions.api.call import Call
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.catalog import water

routes = Blueprint(__name__)


def _asked(call: Call, name: str) -> reports.Asked:
    """Return the lab and the days of a request.

    Raises
    ------
    Invalid
        400 that names the parameter.
    """
    lab = call.query.get("lab") or (call.who.labs[0] if len(call.who.labs) == 1 else None)
    if not lab or catalog.table("lab").get(lab) is None:
        raise Invalid({"lab": ["Say which lab, by its name."]})
    today = water.now_in(lab).date()
    first, last = reports.usual(name, today)
    wanted = reports.Asked(lab, _day(call, "from") or first, _day(call, "to") or last, today)
    if not wanted.first <= wanted.last:
        raise Invalid({"to": ["It is before the first day."]})
    if (wanted.last - wanted.first).days > reports.LONGEST:
        raise Invalid({"to": [f"Ask for at most {reports.LONGEST} days."]})
    return wanted


def _day(call: Call, name: str) -> date | None:
    value = call.query.get(name)
    try:
        day = date.fromisoformat(value) if value else None
    except ValueError:
        day = date.min
    if day is not None and not 1900 <= day.year < 2200:
        raise Invalid({name: ["Write a day as YYYY-MM-DD, between 1900 and 2199."]})
    return day


@routes.route("/reports/{name}", methods=["GET"])
def report(name: str) -> Any:
    """Return a report of a lab as JSON, or its rows as CSV."""
    call = Call(routes.current_request)
    make = reports.REPORTS.get(name)
    if make is None:
        raise not_found("Report")
    form = call.query.get("format") or "json"
    if form not in ("json", "csv"):
        raise Invalid({"format": ["Ask for json or csv."]})
    wanted = _asked(call, name)
    table = make(call, wanted)
    if form == "csv":
        file = f"{name}_{wanted.lab}_{wanted.first}_{wanted.last}.csv"
        headers: dict[str, str | list[str]] = {
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{file}"',
        }
        return Response(reports.as_csv(table), headers=headers)
    return {
        "report": name,
        "lab": wanted.lab,
        "from": wanted.first.isoformat(),
        "to": wanted.last.isoformat(),
        **table.summary,
        "rows": table.rows,
    }
