"""Requests that no client of ours sends: odd headers, addresses, encodings, and names of others.

Bodies field by field are in `test_hostile_bodies`, values in `test_poison`. Here every route is
asked, and every field that names another record.
"""

from __future__ import annotations

import gzip
import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest

from functions.api.app import app
from functions.api.engine.declarations import KINDS, RESOURCES, Field, Resource
from functions.api.engine.plan import is_document
from shared.records import queues
from tests.api.conftest import Api, bring

OF_THE_CLOUD = ("/workers/credentials", "/board", "/queues")
"""Who is let in reaches services that only the whole system has."""

ROUTES = sorted(
    (method, path)
    for path, entries in app.routes.items()
    for method in entries
    if not path.startswith(OF_THE_CLOUD)
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)


Some = Callable[[list[tuple[str, str]], Sequence[Any]], Iterator[Any]]
"""Chooses which routes are asked with which oddities."""


def broken(api: Api, method: str, path: str, body: Any, **options: Any) -> Iterator[str]:
    """Yield what is wrong with an answer: an internal error, or not the API's shape."""
    answer = api(method, path, body, **options)
    if answer.status >= 500:
        yield f"{method} {path[:200]} {answer.status} {answer.raw[:200]!r}"
    for name, value in answer.headers.items():
        if re.search(r"[\r\n\0]", f"{name}{value}") or not str(value).isascii():
            yield f"{method} {path[:200]}: header {name} = {value!r}"


NAMES = (
    *(
        "..",
        ".",
        "%2e%2e%2f%2e%2e",
        "a%00b",
        "a%0d%0aX: y",
        "%ed%a0%80",
        "%ff%fe",
        "é",
        "x" * 1700,
    ),
    *("📷", "%F0%9F%90%AD" * 300, "null", "0", "-1", "1e9", "__proto__", "a%23b", "a%3Fb", "{id}"),
    *("'%22;--", "%e2%80%ae", "ＡＤＭＩＮ", "00000000-0000-4000-8000-000000000000".upper()),
)


def ask_names(api: Api, some: Some) -> Iterator[str]:
    """Ask routes for records of odd names."""
    for method, path, name in some([each for each in ROUTES if "{" in each[1]], NAMES):
        body = None if method in ("GET", "HEAD", "DELETE") else {}
        address = re.sub(r"{[^}]+}", quote(name, safe="%"), path)
        yield from broken(api, method, address, body, user="admin")


HEADERS: tuple[dict[str, str], ...] = (
    *({"If-Match": each} for each in ("*", 'W/"1"', '"1", W/"2", *', "x" * 5000, "é", '"')),
    *({"If-None-Match": each} for each in ("*", "é,,,", '"' * 99)),
    *({"Authorization": each} for each in ("Token", "Token é", "Basic é", "Basic Og==", "x")),
    {"Authorization": "Bearer " + "a" * 8000},
    {"Cookie": "fornix_session=é; fornix_session=; =;;"},
    {"Cookie": "fornix_session=" + "a" * 4000, "X-Fornix": "1", "Origin": "null"},
    {"X-Fornix-Front": "é", "X-Forwarded-For": ",,, é"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "APPLICATION/JSON;;;"},
    {"Content-Type": "multipart/form-data; boundary=é"},
    {"Content-Encoding": "gzip"},
    {"Host": "evil.example\r\nX: y", "X-Forwarded-Proto": "javascript"},
    {"Accept": "é/é;q=x"},
)


def ask_with_headers(api: Api, some: Some) -> Iterator[str]:
    """Ask routes with odd headers."""
    for method, path, headers in some(ROUTES, HEADERS):
        body = None if method in ("GET", "HEAD", "DELETE") else {"username": "a", "password": "b"}
        user = None if {"Authorization", "Cookie"} & headers.keys() else "fimbrialab_manager"
        yield from broken(api, method, plain(path), body, headers=headers, user=user)


BODIES = (
    *(b'{"name": 1, "name": {"name": []}}', b"NaN", b"[Infinity]", b"\xff\xfe{\x00}\x00", b"{"),
    *(b"[" * 100_000, b'{"a":' * 3_000, b'"' + b"a" * 5_900_000 + b'"', b" " * 6_100_000, b"0"),
    *(gzip.compress(b"{}"), b"\xef\xbb\xbf{}", b'{"\\ud800": "\\udfff"}', b"\0", b"1e400"),
)


def ask_with_bodies(api: Api, some: Some) -> Iterator[str]:
    """Send routes what is hardly JSON."""
    writing = [each for each in ROUTES if each[0] in ("POST", "PUT", "PATCH")]
    for method, path, raw in some(writing, BODIES):
        yield from broken(api, method, plain(path), raw, user="admin")


QUERIES = (
    *("since=%ff", "limit=-1&offset=9999999999999", "limit=%D9%A1", "as_of=%C3%A9" + "a" * 31),
    *("before=%ed%a0%80", "kind=session&key=%00", "group=%C3%A9", "review=a.b", "size=%0d%0a"),
    *("django=a__b__c__d__e__f__g,1", "django=" + "json__" * 60 + "x,1", "id=%00", "lab=%F0%9F"),
    *("since=2026-13-01", "date=9999-99-99", "start_date=0000-00-00&end_date=x", "lab=x&limit=x"),
)


def ask_with_queries(api: Api, some: Some) -> Iterator[str]:
    """Ask routes odd questions."""
    for method, path, query in some([each for each in ROUTES if each[0] == "GET"], QUERIES):
        yield from broken(api, method, f"{plain(path)}?{query}", None)


def plain(path: str) -> str:
    """Return a route's path with a name in it."""
    return re.sub(r"{[^}]+}", "FI_001", path)


def each_with_two(routes: list[tuple[str, str]], oddities: Sequence[Any]) -> Iterator[Any]:
    """Yield routes, each with two of the oddities in turn: all routes and all oddities are met."""
    turn = itertools.cycle(oddities)
    for method, path in routes:
        yield from ((method, path, next(turn)) for _ in range(2))


def each_with_all(routes: list[tuple[str, str]], oddities: Sequence[Any]) -> Iterator[Any]:
    """Yield all routes with all oddities."""
    yield from ((*route, each) for route in routes for each in oddities)


ASKED = (ask_names, ask_with_headers, ask_with_bodies, ask_with_queries)


@pytest.fixture
def site(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORNIX_FRONT", "known to the distribution")
    monkeypatch.setenv("FORNIX_SITE_URL", "https://site.example")


@pytest.mark.parametrize("ask", ASKED)
def test_every_route_answers_odd_requests(api: Api, site: None, ask: Any) -> None:
    assert list(ask(api, each_with_two)) == []


@pytest.mark.proof
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("ask", ASKED)
def test_every_route_answers_all_odd_requests(api: Api, site: None, ask: Any) -> None:
    assert list(ask(api, each_with_all)) == []


# -- records of others, named in every field that names any -------------------------------------


def named_fields(resource: Resource) -> Iterator[tuple[str, str, Field]]:
    """Yield (list or empty, field, declaration) of what names records of labs."""
    for name, spec in resource.fields.items():
        for head, inner, each in [
            ("", name, spec),
            *((name, inner, field) for inner, field in (spec.items or {}).items()),
        ]:
            lab = each.type == "ref" and (KINDS[each.to].lab or each.to == "lab")
            if lab and not each.read_only:
                yield head, inner, each


FOREIGN = [
    (resource.path, head, name)
    for resource in RESOURCES.values()
    if is_document(resource) and resource.has("create")
    for head, name, _ in named_fields(resource)
]


NO_OTHERS = ("lab-membership", "user")
"""Whose example would make the caller one of the other lab."""


@pytest.fixture
def theirs(api: Api, bucket: str) -> dict[str, str]:
    """A record of the other lab of each kind that others name, by kind."""
    admin = {"user": "admin"}
    made: dict[str, str] = {"subject": "SE_001", "lab": "septumlab"}

    def add(kind: str, path: str, body: dict[str, Any]) -> None:
        answer = api("POST", f"/{path}", body, **admin)
        if answer.status == 201:
            made[kind] = str(answer.body.get(KINDS[kind].key) or answer.body["id"])

    add("session", "sessions", {"subject": "SE_001", "start_time": "2024-07-01T10:00:00"})
    add("insertion", "insertions", {"session": made["session"], "name": "probe00"})
    add("dataset", "datasets", {"session": made["session"], "name": "a.b.npy"})
    for resource in RESOURCES.values():
        if resource.kind in {*made, *NO_OTHERS} or not resource.has("create"):
            continue
        body = {
            name: made.get(resource.fields[name].to, value) if name in resource.fields else value
            for name, value in resource.example.items()
        }
        if "lab" in resource.fields:
            body["lab"] = "septumlab"
        if "subject" in resource.fields:
            body["subject"] = "SE_001"
        add(resource.kind, resource.path, body)
    return made


def naming(resource: Resource, head: str, name: str, key: str) -> dict[str, Any]:
    """Return a body that names a record in a field, or in an object of a list."""
    spec = (resource.fields[head].items or {})[name] if head else resource.fields[name]
    value: Any = [key] if spec.many else key
    return {**resource.example, (head or name): [{name: value}] if head else value}


def test_records_of_another_lab_are_named_in_no_field(api: Api, theirs: dict[str, str]) -> None:
    wrong, tried = [], set()
    for path, head, name in FOREIGN:
        resource = RESOURCES[path]
        spec = (resource.fields[head].items or {})[name] if head else resource.fields[name]
        if spec.to not in theirs:
            continue
        tried.add(spec.to)
        body = naming(resource, head, name, theirs[spec.to])
        write = {"op": "create", "resource": path, "body": body}
        asked = [("POST", "/batch", {"group": str(uuid.uuid4()), "writes": [write]})]
        asked += [("POST", f"/{path}", body)]
        asked += [("POST", f"/{path}", [body])] if resource.many else []
        for method, address, sent in asked:
            answer = api(method, address, sent)
            if not 400 <= answer.status < 500:
                wrong.append((path, head, name, address, answer.status, answer.raw[:200]))
    assert wrong == [], "\n".join(map(repr, wrong))
    assert {"subject", "session", "lab", "insertion", "cage", "line"} <= tried


# -- what goes into headers and into keys of the bucket -----------------------------------------


@pytest.mark.parametrize(
    "below", ["a\r\nSet-Cookie: x=1", "../../../etc/passwd", "/etc/passwd", "é/\u202e.npy", "a\0"]
)
def test_where_a_file_lies_is_no_header_and_no_way_out(api: Api, bucket: str, below: str) -> None:
    far = {"name": "far", "data_url": "https://far.example/"}
    api.ok("POST", "/data-repository", far, user="admin")
    start = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", start)["id"]
    dataset = api.ok("POST", "/datasets", {"session": eid, "name": "a.b.npy"})["id"]
    record = {"dataset": dataset, "data_repository": "far", "relative_path": below, "exists": True}
    answer = api("POST", "/files", record)
    assert answer.status in (201, 400), answer.raw
    if answer.status == 201:
        assert ".." not in below
        address = api.ok("GET", f"/datasets/{dataset}")["file_records"][0]["data_url"]
        told = api("GET", f"/data/x/a.b.{dataset}.npy", user="fimbrialab_member")
        assert told.status == 302
        assert address.startswith("https://far.example/")
        assert re.fullmatch(r"[!-~]+", told.headers["Location"])


def test_pages_of_a_lab_are_below_its_folder(api: Api, bucket: str) -> None:
    for path in (
        "../septumlab/index.html",
        "a/../../septumlab/x.html",
        "x" * 1500 + ".html",
        ".html",
    ):
        answer = api("GET", f"/lab-pages/fimbrialab/{quote(path)}")
        assert answer.status == 404, (path, answer.raw)


def test_a_presigned_address_of_what_was_withdrawn_is_given_no_more(api: Api, bucket: str) -> None:
    start = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", start)["id"]
    dataset = api.ok("POST", "/datasets", {"session": eid, "name": "trials.table.pqt"})["id"]
    bring(api, eid)
    path = f"/data/x/trials.table.{dataset}.pqt"
    for public, status in ((True, 302), (False, 401), (True, 302)):
        api.ok("PATCH", f"/sessions/{eid}", {"public": public}, user="fimbrialab_manager")
        assert api("GET", path, user=None).status == status
        assert api("HEAD", path, user=None).status == status
