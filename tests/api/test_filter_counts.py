"""``?django=`` against a reading of every record: what a filter finds is what the records say.

Values are taken from the records themselves, and some that none of them has; each condition is
asked as it is, left out (``~``), and together with others. What the records say comes from their
details, one by one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from shared import catalog
from shared.catalog import versions
from tests.api.conftest import Api

Row = dict[str, Any]


class Form(NamedTuple):
    """A field path, and the values that a record has there (None: it has none)."""

    path: str
    values: Callable[[Row], list[Any]]
    kind: str = "text"


def one(name: str) -> Callable[[Row], list[Any]]:
    return lambda row: [row[name]]


def each(name: str, *inside: str) -> Callable[[Row], list[Any]]:
    """Values of a list of records in the record, or of a list of names; none counts as None."""

    def values(row: Row) -> list[Any]:
        found = row[name] or [None]
        for key in inside:
            found = [None if each is None else each[key] for each in found]
        return found

    return values


def key_of(name: str, *keys: str) -> Callable[[Row], list[Any]]:
    def values(row: Row) -> list[Any]:
        value = row[name]
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return [value]

    return values


TEXT = {
    "": lambda x, v: x == v,
    "__iexact": lambda x, v: x.lower() == v.lower(),
    "__contains": lambda x, v: v in x,
    "__icontains": lambda x, v: v.lower() in x.lower(),
    "__startswith": lambda x, v: x.startswith(v),
    "__istartswith": lambda x, v: x.lower().startswith(v.lower()),
    "__endswith": lambda x, v: x.endswith(v),
    "__iendswith": lambda x, v: x.lower().endswith(v.lower()),
}
ORDER = {
    "": lambda x, v: x == v,
    "__lt": lambda x, v: x < v,
    "__lte": lambda x, v: x <= v,
    "__gt": lambda x, v: x > v,
    "__gte": lambda x, v: x >= v,
}
NAME = {"": TEXT[""]}
LOOKUPS = {"text": TEXT, "name": TEXT, "number": ORDER, "time": ORDER, "id": NAME, "bool": NAME}
ABSENT = {
    "text": ["nowhere"],
    "name": ["nowhere"],
    "number": [-7, 1e6],
    "time": ["2024-07-02", "2023-01-01", "2024-07-03 10:00:00", "2024-07-03T10:00"],
    "id": ["cf264653-2deb-44cb-aa84-89b82507028a"],
    "bool": [],
}

SESSIONS = [
    Form("pk", one("id"), "id"),
    Form("subject__nickname", one("subject"), "name"),
    Form("subject__lab__name", one("lab"), "name"),
    Form("lab__name", one("lab"), "name"),
    Form("projects__name", each("projects"), "name"),
    Form("users__username", each("users"), "name"),
    Form("procedures__name", each("procedures"), "name"),
    Form("location__name", one("location"), "name"),
    Form("task_protocol", one("task_protocol")),
    Form("narrative", one("narrative")),
    Form("number", one("number"), "number"),
    Form("n_trials", one("n_trials"), "number"),
    Form("start_time", one("start_time"), "time"),
    Form("end_time", one("end_time"), "time"),
    Form("json__SESSION_DELAY_START", key_of("json", "SESSION_DELAY_START"), "number"),
    Form("json__IBLRIG__VERSION", key_of("json", "IBLRIG", "VERSION"), "text"),
    Form("extended_qc__x", key_of("extended_qc", "x"), "number"),
    *(
        Form(f"{relation}__{name}", each("data_dataset_session_related", name), "name")
        for relation in ("data_dataset_session_related", "datasets")
        for name in ("name", "collection", "dataset_type")
    ),
    Form("probe_insertion__name", each("probe_insertion", "name"), "text"),
]
DATASETS = [
    Form("id", lambda row: [row["url"][-36:]], "id"),
    Form("name", one("name")),
    Form("collection", one("collection")),
    Form("dataset_type__name", one("dataset_type"), "name"),
    Form("tags__name", each("tags"), "name"),
    Form("session__id", lambda row: [row["session"] and row["session"][-36:]], "id"),
    Form("session__subject__nickname", lambda row: [row["of"]["subject"]], "name"),
    Form("session__start_time", lambda row: [row["of"]["start_time"]], "time"),
    Form("session__projects__name", lambda row: row["of"]["projects"] or [None], "name"),
    Form("file_size", one("file_size"), "number"),
    Form("default_dataset", one("default_dataset"), "bool"),
]
TASKS = [
    Form("session__lab__name", lambda row: [row["of"]["lab"]], "name"),
    Form("session", one("session"), "id"),
    Form("data_repository__name", one("data_repository"), "name"),
    Form("name", one("name")),
    Form("graph", one("graph")),
    Form("priority", one("priority"), "number"),
]
NOTES = [
    Form("text", one("text")),
    Form("object_id", one("object_id"), "id"),
    Form("json__name", key_of("json", "name"), "text"),
    Form("user__username", one("user"), "name"),
]
FORMS = {"sessions": SESSIONS, "datasets": DATASETS, "tasks": TASKS, "notes": NOTES}


@pytest.fixture
def world(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Sessions of all sorts with what belongs to them; held as rows and as columns."""
    monkeypatch.setattr(versions, "SMALL", 2)
    api.ok("POST", "/projects", {"name": "Matlab_demo"}, user="admin")
    api.ok("POST", "/locations", {"name": "rig_Ephys_0", "lab": "fimbrialab"}, user="admin")
    api.ok("POST", "/tags", {"name": "2022_Q2_release"}, user="admin")
    api.ok("POST", "/data-repository", {"name": "fimbria_server"}, user="admin")
    different: list[Row] = [
        {"projects": ["demo"], "narrative": "A long Session", "n_trials": 700, "qc": "PASS"},
        {"projects": ["demo", "Matlab_demo"], "users": ["admin"], "location": "rig_Ephys_0"},
        {"json": {"SESSION_DELAY_START": 900, "IBLRIG": {"VERSION": "8.1.0"}}, "n_trials": 0},
        {"json": {"SESSION_DELAY_START": 30.5}, "extended_qc": {"x": 0.5}, "qc": "CRITICAL"},
        {"start_time": "2024-07-03T00:00:00", "end_time": "2024-07-03T01:00:00"},
        {"procedures": ["Histology"], "task_protocol": "_iblrig_tasks_ephysChoiceWorld6.4.2"},
        {"start_time": "2024-07-03T10:00:00.250000", "task_protocol": "Habituation"},
    ]
    for i, more in enumerate(different):
        subject = ("FI_001", "FI_002", "SE_001")[i % 3]
        body = {"subject": subject, "start_time": f"2024-07-0{i + 1}T10:00:00", "users": []}
        eid = api.ok("POST", "/sessions", {**body, **more}, user="admin")["id"]
        for n in range(i % 3):
            name = ("spikes.times.npy", "_ibl_trials.table.pqt", "Wheel.position.npy")[n]
            dataset = {"session": eid, "name": name, "collection": ("alf", "", "alf/probe00")[n]}
            dataset |= {"file_size": 10 * i + n, "tags": ["2022_Q2_release"] if n == i % 2 else []}
            url = api.ok("POST", "/datasets", dataset, user="admin")["url"]
            record = {"dataset": url, "data_repository": "fimbria_server", "exists": True}
            api.ok("POST", "/files", record, user="admin")
            task = {"session": eid, "name": f"Task_{n}", "executable": "a", "priority": 10 * n}
            task |= {"graph": "Pipeline"} | ({"data_repository": "fimbria_server"} if n else {})
            api.ok("POST", "/tasks", task, user="admin")
        if i % 2:
            api.ok("POST", "/insertions", {"session": eid, "name": f"probe0{i % 4}"}, user="admin")
        note = {"content_type": "session", "object_id": eid, "text": f"Drift {i % 3}"}
        note |= {"user": "admin", "json": {"name": f"plot{i}"} if i % 2 else None}
        api.ok("POST", "/notes", note, user="admin")
    catalog.reset_for_tests()
    return api


def everything(api: Api, path: str) -> dict[str, Row]:
    """Read every record of a list, by its id."""
    rows = api.ok("GET", f"/{path}?limit=1000", user="admin")["results"]
    ids = [row.get("id") or row["url"][-36:] for row in rows]
    found = {i: api.ok("GET", f"/{path}/{i}", user="admin") for i in ids}
    if path in ("datasets", "tasks"):
        for row in found.values():
            row["of"] = api.ok("GET", f"/sessions/{row['session'][-36:]}", user="admin")
    return found


def found_by(api: Api, path: str, query: str) -> list[str]:
    url = f"/{path}?limit=1000&django={quote(query, safe='')}"
    answer = api.ok("GET", url, user="admin")
    ids = [row.get("id") or row["url"][-36:] for row in answer["results"]]
    assert answer["count"] == len(ids)
    return sorted(ids)


def holding(form: Form, holds: Callable[[Any, Any], bool], value: Any, row: Row) -> bool:
    """Return whether any value that a record has there passes a lookup."""
    given = [x for x in form.values(row) if x is not None]
    if form.kind == "time":
        given, value = [datetime.fromisoformat(x) for x in given], datetime.fromisoformat(value)
    return any(holds(x, value) for x in given)


def conditions(path: str, rows: dict[str, Row]) -> Iterator[tuple[str, Callable[[Row], bool]]]:
    """Yield conditions of every form with what they say of a record."""
    for form in FORMS[path]:
        there = {v for row in rows.values() for v in form.values(row) if v is not None}
        some = sorted(there, key=str)[:4]
        middle = [v[1:-1] for v in some[:2] if form.kind in ("text", "name") and len(v) > 3]
        for lookup, holds in LOOKUPS[form.kind].items():
            for value in [*some, *middle, *ABSENT[form.kind]]:
                if value == "" or (isinstance(value, str) and "," in value):
                    continue

                yield f"{form.path}{lookup},{value}", partial(holding, form, holds, value)
        if form.kind != "bool":
            for listed in ([], some[:1], some[1:3]):
                among = partial(holding, form, lambda x, v: x in v, tuple(listed))
                if form.kind != "time":
                    yield f"{form.path}__in,{tuple(listed)!r}", among
                    yield f"{form.path}__in,{listed!r}", among
        if form.kind in ("number", "time") and len(some) > 1:
            first, last = sorted(some)[:2]
            above = partial(holding, form, ORDER["__gte"], first)
            below = partial(holding, form, ORDER["__lte"], last)
            if len(form.values(next(iter(rows.values())))) == 1:
                query = f"{form.path}__range,{(first, last)!r}"
                yield query, lambda row, a=above, b=below: a(row) and b(row)


@pytest.mark.parametrize("path", sorted(FORMS))
def test_what_a_filter_finds_is_what_the_records_say(world: Api, path: str) -> None:
    rows = everything(world, path)
    assert len(rows) > 5
    asked = list(conditions(path, rows))
    assert len(asked) > 50
    for query, says in asked:
        yes = sorted(i for i, row in rows.items() if says(row))
        assert found_by(world, path, query) == yes, query
        assert found_by(world, path, f"~{query}") == sorted(set(rows) - set(yes)), f"~{query}"
    # And several together
    chance = random.Random(5)
    for _ in range(60):
        chosen = [(chance.choice(("", "~")), *chance.choice(asked)) for _ in range(3)]
        query = ",".join(f"{no}{one}" for no, one, _ in chosen)
        yes = [
            i for i, row in rows.items() if all(says(row) != bool(no) for no, _, says in chosen)
        ]
        assert found_by(world, path, query) == sorted(yes), query


@pytest.mark.parametrize(
    ("query", "empty"),
    [
        ("projects__isnull,True", lambda row: not row["projects"]),
        ("location__isnull,False", lambda row: row["location"] is not None),
        ("n_trials__isnull,True", lambda row: row["n_trials"] is None),
        ("end_time__isnull,True", lambda row: row["end_time"] is None),
        ("probe_insertion__isnull,False", lambda row: bool(row["probe_insertion"])),
        ("datasets__isnull,True", lambda row: not row["data_dataset_session_related"]),
        ("qc__lt,50", lambda row: row["qc"] != "CRITICAL"),
        ("qc,PASS", lambda row: row["qc"] == "PASS"),
        ("start_time__date,2024-07-03", lambda row: row["start_time"][:10] == "2024-07-03"),
        ("start_time__date__gte,2024-07-04", lambda row: row["start_time"] >= "2024-07-04"),
        ("json__IBLRIG__isnull,False", lambda row: bool((row["json"] or {}).get("IBLRIG"))),
    ],
)
def test_what_is_not_there_is_found_too(world: Api, query: str, empty: Any) -> None:
    rows = everything(world, "sessions")
    yes = sorted(i for i, row in rows.items() if empty(row))
    assert 0 < len(yes) < len(rows)
    assert found_by(world, "sessions", query) == yes
    assert found_by(world, "sessions", f"~{query}") == sorted(set(rows) - set(yes))
