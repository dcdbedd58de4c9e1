"""No page costs more per row than its row: selections and requests, few rows and many."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
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
ROWS_A_REQUEST = 100
"""Stored items that one request to the table reads by their keys (DynamoDB's limit)."""
DETAIL_UNITS = 4.0
"""Units of a record's detail beside the feed: its own item, or its session's few kilobytes; a
dataset's is not its session's."""
LOOKS = 3
"""Looks at what seems dear: between two requests the feed may pass into its next part, and cost
another number of units."""
LIMITS = (1, 10, 100)
"""Rows of a page at most; kinds of `MANY` have as many."""
MANY = ("datasets", "weighings", "water-administrations", "tasks")
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
    animal = shown(api.ok("GET", "/subjects", user="admin"))[0]["nickname"]
    for path, rows in a_hundred(eids, animal).items():
        api.ok("POST", "/import", {"resource": path, "rows": rows}, user="admin")
    return api


def a_hundred(eids: list[str], animal: str) -> dict[str, list[dict[str, Any]]]:
    """Return a hundred rows of each kind that labs have many of, by path."""
    made: dict[str, list[dict[str, Any]]] = {path: [] for path in MANY}
    for place in range(100):
        eid = eids[place % len(eids)]
        when = f"2024-08-{1 + place % 28:02d}T{8 + place // 28:02d}:00:00"
        made["datasets"].append({"session": eid, "name": f"a.b{place}.npy", "collection": "alf"})
        made["tasks"].append({"session": eid, "name": f"t{place}", "status": "Complete"})
        about = {"subject": animal, "date_time": when}
        made["weighings"].append({**about, "weight": 20.0})
        made["water-administrations"].append({**about, "water_administered": 1.0})
    for rows in made.values():
        for row in rows:
            row["id"] = str(uuid.uuid4())
    return made


def is_by_the_row(counts: Sequence[Count], n_rows: Sequence[int]) -> bool:
    """Return whether the pages of a list look as often at other records, and read but their rows.

    A page of one row may look less often: it may show nothing of a kind.
    """
    one, *more = counts
    fewer = all(one.selections.get(kind, 0) <= n for kind, n in more[0].selections.items())
    return (
        fewer
        and all(count.selections == more[0].selections for count in more)
        and all(
            count.requests <= one.requests + n // ROWS_A_REQUEST
            and count.units <= one.units + UNITS_A_ROW * n
            for count, n in zip(counts, n_rows, strict=True)
        )
    )


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
            counts, n_rows = zip(*(count_of(limit) for limit in LIMITS), strict=True)
            if is_by_the_row(counts, n_rows):
                break
        else:
            dear[path] = counts
        if n_rows[-1] >= ROWS // 2:
            many.append(path)
        if path[1:] in MANY:
            assert n_rows == LIMITS, path
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
            for _ in range(LOOKS):
                with counted(monkeypatch) as count:
                    filled.ok("GET", path, user="admin")
                over = count.units > feed_units(filled) + DETAIL_UNITS
                if not over and count.requests <= 4 and max([0, *count.selections.values()]) <= 3:
                    break
            else:
                dear[path] = count
    assert not dear, "\n".join(f"{k}: {v}" for k, v in dear.items())
    assert keyless == {"water-restriction"}, "as in Alyx, rows of this list name no key"


def test_no_page_costs_more_by_the_row(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    check_lists(filled, monkeypatch)
    check_details(filled, monkeypatch)
