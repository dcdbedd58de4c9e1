"""Reports of a colony, from its records as the caller may list them."""

from __future__ import annotations

import calendar
import datetime as dt
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from functions.api.engine.visible import related
from functions.api.resources.colony import wean_age
from functions.api.resources.culls import SEVERITY
from shared.catalog import water
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

Row = Mapping[str, Any]

LONGEST = 3_660
"""Most days of one report."""

TRAINED = 5
"""Fewest days of training a week for a restricted animal (Alyx's training view marks fewer)."""

WILD = "C57"
"""Part of the names of lines that are not transgenic, as in Alyx's annual return."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of texts that spreadsheets read as formulas (OWASP, CSV injection)."""


class Asked(msgspec.Struct, frozen=True):
    """The question of a report: a lab, the first and the last day, and today."""

    lab: str
    first: dt.date
    last: dt.date
    today: dt.date


class ReportTable(msgspec.Struct, frozen=True):
    """The rows of a report, its columns in order, and a summary."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    summary: dict[str, Any] = {}


def _table(
    columns: tuple[str, ...], rows: list[dict[str, Any]], summary: dict[str, Any] | None = None
) -> ReportTable:
    """Return a report whose rows name animals by their nicknames."""
    named = [{**animal, "nickname": nickname_of(animal["nickname"])} for animal in rows]
    return ReportTable(columns, named, summary or {})


def usual(name: str, today: dt.date) -> tuple[dt.date, dt.date]:
    """Return the days that a report covers by default."""
    if name == "week":
        first = today - dt.timedelta(days=today.weekday())
        return first, first + dt.timedelta(days=6)
    if name == "year":
        return dt.date(today.year, 1, 1), dt.date(today.year, 12, 31)
    return today, today


def as_csv(report: ReportTable) -> str:
    """Return the rows as CSV; spreadsheets read no cell as a formula."""
    import csv  # most reports are asked for as JSON

    buffer = io.StringIO()
    lines = csv.writer(buffer, lineterminator="\r\n")
    lines.writerow(report.columns)
    for line in report.rows:
        lines.writerow([_cell(line.get(name)) for name in report.columns])
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    if isinstance(value, str) and value.lstrip().startswith(FORMULAS):
        return f"'{value}"
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return value


def _subjects(call: Call, asked: Asked, *wheres: Where) -> list[Row]:
    animals = related(call, "subject", [Where("lab", "exact", asked.lab), *wheres]).all()
    return sorted(animals, key=lambda row: str(row["nickname"]))


def _alive(row: Row, day: dt.date) -> bool:
    died = row.get("death_date")
    return not died or died > day.isoformat()


def _names(rows: Iterable[Row]) -> set[str]:
    return {str(row["nickname"]) for row in rows}


def restrictions(call: Call, asked: Asked) -> ReportTable:
    """Return the animals under water restriction now: weight, share of the expected, water due."""
    alive = [row for row in _subjects(call, asked) if _alive(row, asked.today)]
    now = water.now_in(asked.lab)
    controls = water.controls(alive) if alive else {}
    rows = []
    for row in alive:
        control = controls[row["nickname"]]
        restriction = control.restriction_at(now)
        if restriction is None:
            continue
        state = water.status(control, now)
        rows.append(
            {
                "responsible_user": row.get("responsible_user"),
                "nickname": row["nickname"],
                "since": restriction.start.date().isoformat(),
                **{name: state[name] for name in _OF_STATUS},
            }
        )
    rows.sort(key=lambda row: (row["responsible_user"] or "", row["nickname"]))
    return _table(("responsible_user", "nickname", "since", *_OF_STATUS), rows)


_OF_STATUS = (
    *("weight", "weighed_at", "expected_weight", "percentage_weight", "status"),
    *("given_water", "expected_water", "remaining_water", "last_water"),
)


def week(call: Call, asked: Asked) -> ReportTable:
    """Return the training days of a week for each restricted animal.

    It is the week of the first day; an animal trained on fewer than `TRAINED` days is ``few``.
    """
    monday = asked.first - dt.timedelta(days=asked.first.weekday())
    days = [monday + dt.timedelta(days=n) for n in range(7)]
    words = [calendar.day_name[n] for n in range(7)]
    subjects = _subjects(call, asked)
    names = _names(subjects)
    begin, end = days[0].isoformat(), (days[-1] + dt.timedelta(days=1)).isoformat()
    within = [Where("subject", "in", names), Where("start_time", "gte", begin)]
    sessions = related(call, "session", [*within, Where("start_time", "lt", end)])
    trained: dict[str, set[str]] = {}
    for session in sessions.all(("subject", "start_time")):
        trained.setdefault(session["subject"], set()).add(str(session["start_time"])[:10])
    restricted = {
        record["subject"]
        for record in related(call, "water-restriction", [Where("subject", "in", names)]).all()
        if str(record["start_time"])[:10] < end
        and (not record.get("end_time") or str(record["end_time"])[:10] >= begin)
    }
    rows = []
    for record in subjects:
        days_trained = trained.get(record["nickname"], set())
        if record["nickname"] not in restricted and not days_trained:
            continue
        ticks = {
            word: day.isoformat() in days_trained for word, day in zip(words, days, strict=True)
        }
        rows.append(
            {
                "nickname": record["nickname"],
                "responsible_user": record.get("responsible_user"),
                **ticks,
                "days": len(days_trained),
                "few": len(days_trained) < TRAINED,
            }
        )
    columns = ("nickname", "responsible_user", *words, "days", "few")
    return _table(columns, rows, {"monday": monday.isoformat()})


def todo(call: Call, asked: Asked) -> ReportTable:
    """Return the tasks due for animals: wean, genotype, cull, reduce."""
    rows: list[dict[str, Any]] = []

    def add(task: str, row: Row, since: str | None) -> None:
        rows.append(
            {
                "task": task,
                "nickname": row["nickname"],
                "since": since,
                **{name: row.get(name) for name in ("responsible_user", "cage", "line", "litter")},
            }
        )

    for row in _subjects(call, asked):
        alive, born = _alive(row, asked.today), row.get("birth_date")
        if alive and row.get("litter") and born and not row.get("wean_date"):
            due = dt.date.fromisoformat(born) + dt.timedelta(days=wean_age(row.get("line")))
            if due <= asked.last:
                add("wean", row, due.isoformat())
        if alive and row.get("to_be_genotyped"):
            add("genotype", row, row.get("birth_date"))
        if alive and row.get("to_be_culled"):
            add("cull", row, None)
        if not alive and not row.get("reduced_date"):
            add("reduce", row, row["death_date"])
    order = {"wean": 0, "genotype": 1, "cull": 2, "reduce": 3}
    rows.sort(key=lambda row: (order[row["task"]], row["since"] or "", row["nickname"]))
    columns = ("task", "nickname", "since", "responsible_user", "cage", "line", "litter")
    return _table(columns, rows)


def year(call: Call, asked: Asked) -> ReportTable:
    """Return the lists of the annual return, each with its count and its share of males.

    An animal counts if it lived on one of the days. *Used* is any surgery of the period;
    *killed*, *genotyped* and the severities are of the period, too. Missing data are listed:
    animals without a sex, dead ones without a severity or without a cull.
    """
    first, last = asked.first.isoformat(), asked.last.isoformat()
    rows = [
        animal
        for animal in _subjects(call, asked)
        if (not animal.get("birth_date") or animal["birth_date"] <= last)
        and (not animal.get("death_date") or animal["death_date"] >= first)
    ]
    names = _names(rows)
    killed = [
        animal for animal in rows if animal.get("death_date") and animal["death_date"] <= last
    ]
    wheres = [Where("subject", "in", names)]
    used = _in_period(related(call, "surgery", wheres).all(), "start_time", first, last)
    restricted = _in_period(
        related(call, "water-restriction", wheres).all(), "start_time", first, last
    )
    culled = {animal["subject"] for animal in related(call, "cull", wheres).all()}
    lists = _year_lists(rows, killed, used, restricted, first, last)
    missing = {
        "sex": _names(animal for animal in rows if animal.get("sex") not in ("M", "F")),
        "severity": _names(animal for animal in killed if not animal.get("actual_severity")),
        "cull": _names(killed) - culled,
    }
    counted = [
        {"list": name, "count": len(nicknames), "percent_male": _percent_male(nicknames)}
        for name, nicknames in lists.items()
    ]
    lines = [
        _return_row(name, n, animal)
        for name, nicknames in lists.items()
        for n, animal in _number(nicknames)
    ]
    return _table(
        _RETURN,
        lines,
        {
            "lists": counted,
            "missing": {
                fault: sorted(map(nickname_of, nicknames)) for fault, nicknames in missing.items()
            },
        },
    )


_RETURN = (
    *("list", "number", "responsible_user", "protocol_number", "birth_date", "genotype_date"),
    *("death_date", "ear_mark", "nickname", "sex"),
)


def _number(rows: Sequence[Row]) -> Iterable[tuple[int, Row]]:
    return enumerate(rows, start=1)


def _return_row(name: str, number: int, row: Row) -> dict[str, Any]:
    return {"list": name, "number": number, **{column: row.get(column) for column in _RETURN[2:]}}


def _in_period(rows: Iterable[Row], field: str, first: str, last: str) -> set[str]:
    return {
        str(row["subject"]) for row in rows if row.get(field) and first <= row[field][:10] <= last
    }


def _percent_male(rows: Sequence[Row]) -> float | None:
    sexes = [animal["sex"] for animal in rows if animal.get("sex") in ("M", "F")]
    return round(100 * sexes.count("M") / len(sexes), 1) if sexes else None


def _year_lists(
    rows: Sequence[Row],
    killed: Sequence[Row],
    used: Collection[str],
    restricted: Collection[str],
    first: str,
    last: str,
) -> dict[str, list[Row]]:
    """Return the sixteen lists of the return by their names."""

    def among(test: Callable[[Row], bool]) -> list[Row]:
        return [row for row in rows if test(row)]

    def genotyped(row: Row) -> bool:
        return bool(row.get("genotype_date")) and first <= row["genotype_date"] <= last

    def negative(row: Row) -> bool:
        return all(zygosity.get("zygosity") == 0 for zygosity in row.get("zygosities") or ())

    def is_used(row: Row) -> bool:
        return row["nickname"] in used

    def worked_with(row: Row) -> bool:
        protocol = row.get("protocol_number") in ("2", "3")
        return protocol or is_used(row) or row["nickname"] in restricted

    return {
        "all": list(rows),
        "killed": list(killed),
        "transgenic": among(lambda row: bool(row.get("line")) and WILD not in str(row["line"])),
        "used": among(is_used),
        "protocol 4": among(lambda row: row.get("protocol_number") == "4"),
        "genotyped": among(genotyped),
        "negative": among(negative),
        "not used": among(lambda row: not is_used(row)),
        "genotyped and used": among(lambda row: genotyped(row) and is_used(row)),
        "not genotyped": among(lambda row: not genotyped(row)),
        **{
            f"severity {n}": [row for row in killed if row.get("actual_severity") == n]
            for n in SEVERITY.values()
        },
        "sex bias": among(lambda row: (row.get("birth_date") or "") >= first and worked_with(row)),
    }


REPORTS: Mapping[str, Callable[[Call, Asked], ReportTable]] = {
    "week": week,
    "year": year,
    "restrictions": restrictions,
    "todo": todo,
}
"""Reports by their names in addresses."""
