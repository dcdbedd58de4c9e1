"""No page costs more per row than its row: selections and requests, few rows and many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from functions.api.engine.declarations import RESOURCES, Resource
from shared.catalog.versions import Table
from shared.records.meter import metered
from tests.api.conftest import Api
from tests.api.test_poison import example, world

__all__ = ["world"]

ROWS = 12
DAY = "2024-07-{:02d}"
UNITS_A_ROW = 1.0
"""Units that a further row of a list may take: rows come from the index, or from one query."""
DETAIL_UNITS = 4.0
"""Units of a record's detail beside the feed: its own item, or its session's few kilobytes."""
LOOKS = 3
"""Looks at what seems dear: between two requests the feed may pass into its next part, and cost
another number of units."""
SESSION_UNITS = 12.0
"""Units of a dataset's detail beside the feed: it reads its whole session, strongly."""
LISTS = [each for each in RESOURCES.values() if each.has("list")]
REACHES = (
    "/sessions?subject=FI_001",
    "/sessions?date_range=2024-01-01,2025-01-01&lab=fimbrialab",
    "/sessions?dataset_types=unknown",
    "/sessions?atlas_acronym=root",
    "/insertions?subject=FI_001",
    "/datasets?lab=fimbrialab",
    "/tasks?status=Waiting",
    "/subjects?lab=fimbrialab&alive=True",
    "/water-restricted-subjects",
)
"""Questions that look at other kinds of records for each row."""


@dataclass
class Count:
    """What a request did: selections from the index by kind, and requests to the table."""

    selections: dict[str, int]
    requests: int = 0
    units: float = field(default=0.0, compare=False)  # the feed's part falls as it grows old


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Count]:
    """Count while the block runs."""
    found = Count({})
    select: Callable[..., Any] = Table.select

    def counting(table: Table, *arguments: Any, **named: Any) -> Any:
        found.selections[table.kind] = found.selections.get(table.kind, 0) + 1
        return select(table, *arguments, **named)

    with monkeypatch.context() as patch, metered() as meter:
        patch.setattr(Table, "select", counting)
        yield found
    found.requests, found.units = meter.requests, meter.units


def feed_units(api: Api) -> float:
    """Return what a request takes that reads nothing but the feed."""
    with metered() as meter:
        api.ok("GET", "/labs?limit=1", user="admin")
    return meter.units


def shown(answer: Any) -> list[dict[str, Any]]:
    """Return the rows of a list's answer, paged or not."""
    rows: list[dict[str, Any]] = answer["results"] if isinstance(answer, dict) else answer
    return rows


def made(resource: Resource, place: int, world: dict[str, Any]) -> dict[str, Any]:
    """Return the body of one of several records of a kind, as different as they have to be."""
    body = example(resource, world)
    for name, spec in resource.fields.items():
        value = body.get(name)
        if spec.type == "datetime" and isinstance(value, str):
            body[name] = f"{DAY.format(place + 2)}T10:00:00"
        elif isinstance(value, str) and name in (resource.key, "name", "nickname", "acronym"):
            body[name] = f"{value}_{place}"
    return body


@pytest.fixture
def filled(api: Api, world: dict[str, Any]) -> Api:
    """Give each kind that takes them a dozen records, and the animals' weights and water."""
    for resource in RESOURCES.values():
        if resource.has("create") and resource.has("list"):
            for place in range(ROWS):
                api("POST", f"/{resource.path}", made(resource, place, world), user="admin")
    eids = [row["id"] for row in shown(api.ok("GET", "/sessions", user="admin"))]
    for place, eid in enumerate(eids):
        probe = {"session": eid, "name": f"probe{place:02d}", "model": "3B2"}
        api("POST", "/insertions", probe, user="admin")
        task = {"session": eid, "name": "t", "executable": "task.trials"}
        api("POST", "/tasks", task, user="admin")
    for row in shown(api.ok("GET", "/subjects", user="admin")):
        animal = {"subject": row["nickname"]}
        for day in (3, 4):
            when = f"{DAY.format(day)}T09:00:00"
            for path, fields in (
                ("weighings", {"weight": 20.0 + day, "date_time": when}),
                ("water-administrations", {"water_administered": 1.0, "date_time": when}),
            ):
                api("POST", f"/{path}", animal | fields, user="admin")
        restriction = {**animal, "start_time": f"{DAY.format(2)}T09:00:00"}
        api("POST", "/water-restriction", restriction, user="admin")
    return api


def check_lists(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that no list costs more by the row."""
    many, dear = [], {}
    for path in [*(f"/{each.path}" for each in LISTS), *REACHES]:
        mark = "&" if "?" in path else "?"

        def count_of(limit: int, asked: str = f"{path}{mark}") -> tuple[Count, int]:
            with counted(monkeypatch) as count:
                answer = filled("GET", f"{asked}limit={limit}", user="admin")
            assert answer.status == 200, (asked, answer.raw[:300])
            return count, len(shown(answer.body))

        count_of(2)  # it fills what a process remembers
        for _ in range(LOOKS):
            (few, _), (whole, n_rows) = count_of(2), count_of(ROWS)
            if few == whole and whole.units <= few.units + UNITS_A_ROW * ROWS:
                break
        else:
            dear[path] = [few, whole]
        if n_rows >= ROWS // 2:
            many.append(path)
    assert not dear, "\n".join(f"{k}: {v}" for k, v in dear.items())
    # And that was of many kinds
    assert {f"/{name}" for name in ("subjects", "sessions", "insertions", "tasks")} <= {*many}
    assert len(many) >= len(LISTS) // 2, sorted(many)


def check_details(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that no record reads more than its own."""
    dear, keyless = {}, set()
    for resource in LISTS:
        if not resource.has("read"):
            continue
        rows = shown(filled.ok("GET", f"/{resource.path}?limit=1", user="admin"))
        for row in rows[:1]:
            key = row.get(resource.key) or row.get("url", "").rpartition("/")[2]
            if not key:
                keyless.add(resource.path)
                continue
            path = f"/{resource.path}/{quote(str(key), safe='')}"
            filled.ok("GET", path, user="admin")
            most = SESSION_UNITS if resource.kind == "dataset" else DETAIL_UNITS
            for _ in range(LOOKS):
                with counted(monkeypatch) as count:
                    filled.ok("GET", path, user="admin")
                over = count.units > feed_units(filled) + most
                if not over and count.requests <= 4 and max([0, *count.selections.values()]) <= 3:
                    break
            else:
                dear[path] = count
    assert not dear, "\n".join(f"{k}: {v}" for k, v in dear.items())
    assert keyless == {"water-restriction"}, "as in Alyx, rows of this list name no key"


def test_no_page_costs_more_by_the_row(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    check_lists(filled, monkeypatch)
    check_details(filled, monkeypatch)
