"""Whatever a write accepts, every read answers: a seeded generator over every declared route."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from functions.api.engine.declarations import RESOURCES, Field, Resource
from shared.records import queues
from shared.records.meter import metered
from tests.api.conftest import Answer, Api

POISON: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**64, 10**40, 1.5, -0.0, 1e308, 1e-308),
    *("", " ", "x", "None", "null", "0", "-1", "1e999", "nan", "inf", "../..", ".", "..", "a/b"),
    *("\0", "\n", "\ud800", "a\ud800b", "\uffff", "\u202e\U0001f42d", "%2F", "a#b", "a,b", "C:\\"),
    *("a" * 300, "a" * 3000, "\U0001f42d" * 30_000, "x" * 250_000),
    *("2024-07-01", "2024-02-30", "0001-01-01", "0204-07-01", "9999-12-31", "2199-12-31"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0204-07-01T10:00:00"),
    *("1900-01-01T00:00:00+14:00", "2024-07-01T10:00:00.123456789Z", "24:00"),
    *([], [None], [1], ["x"], [[]], [{}], {}, {"": ""}, {"a": {"b": [1]}}, {"id": None}),
    *({"a": "\ud800"}, {"\ud800": 1}, {"a": 10**40}, {"a": 1e308}, {"a": "x" * 290_000}),
    *({"bucket_name": 5}, {"plain_names": []}, [{"allele": 5}], [{"allele": {"a": 1}}, {}]),
)

DEEP = (b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"1e999", b"1" * 4000)
"""JSON values as bytes: what `json.dumps` cannot write."""

BUDGET = 150.0
"""Read units of one request: the feed's, and some dozens of records; no scan grows into it."""


EVERY = 5
"""Accepted writes after which everything is read."""


@pytest.fixture
def world(api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give ids of records of each kind that others refer to."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)
    session = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    eid = api.ok("POST", "/sessions", session)["id"]
    api.ok("PATCH", f"/sessions/{eid}", {"public": True}, user="fimbrialab_manager")
    made: dict[str, Any] = {"<session id>": eid}

    def add(name: str, path: str, **more: Any) -> None:
        body = {**RESOURCES[path].example, **more}
        body = {key: made.get(str(value), value) for key, value in body.items()}
        made[name] = api.ok("POST", f"/{path}", body, user="admin").get("id")

    api.ok("POST", "/brain-regions", RESOURCES["brain-regions"].example, user="admin")
    add("<dataset id>", "datasets")
    add("<insertion id>", "insertions")
    add("<trajectory id>", "trajectories")
    add("<field of view id>", "fields-of-view")
    add("", "sequences")
    add("", "alleles")
    add("", "lines", alleles=["Pvalb-Cre"])
    add("<cage id>", "cages")
    return made


def example(resource: Resource, world: dict[str, Any]) -> dict[str, Any]:
    """Return a body that creates a record."""
    return {key: world.get(str(value), value) for key, value in resource.example.items()}


def spoilt(spec: Field, draw: random.Random) -> Any:
    """Return a value for a field: one of its type's own kind, or anything."""
    value = draw.choice(POISON)
    if spec.many and draw.random() < 0.3:
        return [value]
    if spec.type == "json" and draw.random() < 0.5:
        return {"a": value}
    if spec.choices and draw.random() < 0.3:
        return draw.choice(list(spec.choices))
    return value


def encoded(body: dict[str, Any], draw: random.Random) -> bytes:
    """Return a body's bytes, now and then with a value that only bytes can say."""
    raw = json.dumps(body, ensure_ascii=True).encode()
    if draw.random() < 0.05:
        name = draw.choice(list(body) or ["json"])
        whole = json.dumps({**body, name: "@@"}).encode()
        return whole.replace(b'"@@"', draw.choice(DEEP))
    return raw


def strictly(raw: bytes) -> Any:
    """Return JSON as any language's parser would read it."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(raw.decode(), parse_constant=refuse) if raw else None


def own(resource: Resource, key: str | None) -> Iterator[str]:
    """Yield the paths that show a record that was written."""
    if resource.has("list"):
        yield f"/{resource.path}"
    if key is not None and resource.has("read"):
        yield f"/{resource.path}/{quote(key, safe='')}"


def others(world: dict[str, Any]) -> Iterator[str]:
    """Yield the paths of what may show something of any record."""
    eid = world["<session id>"]
    yield from ("/sessions", f"/sessions/{eid}", "/sessions?lab=fimbrialab", "/datasets")
    yield from ("/subjects", "/subjects/FI_001", "/water-requirement/FI_001", "/insertions")
    yield from ("/water-restricted-subjects", "/data-repository", "/brain-regions?ancestors=root")
    yield from ("/sessions?atlas_acronym=root", "/datasets?exists=True", f"/tasks?session={eid}")


def check(api: Api, paths: Iterable[str], why: Any) -> None:
    """Assert that paths can be read, by members and by anybody, at a bounded price."""
    for path in dict.fromkeys(paths):
        for user in ("fimbrialab_member", None):
            with metered() as cost:
                answer: Answer = api("GET", path, user=user)
            assert answer.status < 500, (path, user, why, answer.raw[:300])
            strictly(answer.raw)
            assert cost.units <= BUDGET, (path, user, why, cost)


def run(api: Api, world: dict[str, Any], resource: Resource, cases: int, seed: str) -> int:
    """Write spoilt records of a resource and read each that was accepted, and what may show it.

    Of what may show something of any record two are read at once, all after every `EVERY` writes
    and at the end: most of what was accepted is still there then.
    """
    draw = random.Random(f"{resource.path} {seed}")
    everything = list(others(world))
    accepted = 0
    recent: list[Any] = []
    for _ in range(cases):
        body = example(resource, world)
        if resource.key in body and resource.key != "id" and draw.random() < 0.9:
            body[resource.key] = f"{body[resource.key]}_{draw.randrange(10**9)}"
        for name in draw.sample(sorted(resource.fields), draw.randint(1, 2)):
            body[name] = spoilt(resource.fields[name], draw)
        method, path = "POST", f"/{resource.path}"
        if resource.has("partial_update") and draw.random() < 0.5:
            rows = api.ok("GET", f"/{resource.path}", user="admin")["results"]
            if rows and resource.key in rows[0]:
                row = draw.choice(rows)
                path = f"{path}/{quote(str(row[resource.key]), safe='')}"
                method = draw.choice(["PATCH", "PUT"])
                if resource.key != "id" and draw.random() < 0.9:
                    body[resource.key] = row[resource.key]
        elif not resource.has("create"):
            continue
        raw = encoded(body, draw)
        answer = api(method, path, raw, user="admin")
        assert answer.status < 500, (method, path, raw[:500], answer.raw[:300])
        if answer.status < 400:
            accepted += 1
            shown = strictly(answer.raw)
            key = str(shown.get(resource.key, "")) or None
            recent.append((method, path, raw[:500]))
            whole = len(recent) >= EVERY
            some = everything if whole else draw.sample(everything, 2)
            check(api, [*own(resource, key), *some], recent)
            if whole:
                recent.clear()
    check(api, everything, recent)
    return accepted


WRITTEN = sorted(
    path for path, each in RESOURCES.items() if each.has("create") or each.has("partial_update")
)


@pytest.mark.parametrize("path", WRITTEN)
def test_what_a_write_accepts_every_read_can_show(
    api: Api, world: dict[str, Any], path: str
) -> None:
    run(api, world, RESOURCES[path], cases=12, seed="1")


@pytest.mark.proof
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("path", WRITTEN)
def test_what_thousands_of_writes_accept_every_read_can_show(
    api: Api, world: dict[str, Any], path: str
) -> None:
    run(api, world, RESOURCES[path], cases=150, seed="proof")
