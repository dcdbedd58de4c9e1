"""Bodies that no client of ours sends: each is understood or refused, never an internal error."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from functions.api.app import app
from shared.records import queues
from shared.records.meter import metered
from tests.api.conftest import Api

FIELDS = {
    "/uploads": ("session", "files", "task", "again", "id", "lab", "subject", "date", "number"),
    "/register-file": (
        *("path", "filenames", "created_by", "hashes", "filesizes", "name", "versions", "labs"),
        *("content_type", "object_id", "default", "server_only", "exists", "qc", "hostname"),
    ),
    "/check-protected": ("path", "filenames", "created_by", "content_type", "object_id"),
    "/import": ("resource", "rows", "id", "name", "session", "file_records", "lab", "number"),
    "/new-download": ("datasets", "projects"),
    "/auth-token": ("username", "password"),
    "/tasks/{task}/claim": ("worker", "lease"),
    "/tasks/{task}/heartbeat": ("attempt", "lease"),
    "/tasks/{task}/log": ("attempt", "text"),
    "/tasks/{task}/complete": (
        *("attempt", "status", "log", "elapsed", "version", "run_record", "upload"),
    ),
    "/tasks/{task}/release": ("attempt",),
    "/tasks": ("session", "name", "executable", "parents", "arguments", "status", "priority"),
    "/sessions": ("subject", "start_time", "number", "users", "projects", "json", "qc", "id"),
    "/notes": ("content_type", "object_id", "text", "user", "width", "json", "date_time"),
    "/channels": ("trajectory_estimate", "axial", "lateral", "brain_region"),
    "/weighings": ("subject", "date_time", "weight", "user"),
}
AS = {"/import": "admin", "/uploads": "fimbrialab_rig", "/tasks": "fimbrialab_worker"}

texts = st.sampled_from(
    [
        *("", "x", "None", "001", "1e999", "-1", "../..", "\0", "é\u202e\U0001f42d", "a" * 3000),
        *("FI_001", "FI_001/2024-07-01/001", "fimbrialab", "alf/spikes.times.npy", "Complete"),
        *("2024-07-01", "2024-07-01T10:00:00", "2024-02-30", "0001-01-01", "9999-12-31T23:59"),
        *("sessions", "datasets", "labs", "files", "session", "subject", "npy", "{}", "[1"),
        *("cf264653-2deb-44cb-aa84-89b82507028a", "cf264653", "f" * 64, "f" * 32, "#x#/a.b.npy"),
    ]
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**63, 10**40, 1.5, -0.0, 1e308, 1e-308, float("nan")]),
    texts,
)


def bodies(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Values with the field names of a route somewhere in them."""
    keys = st.sampled_from([*names, "json", ""])
    deep = st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=12,
    )
    return st.dictionaries(keys, deep, max_size=len(names)) | deep


@pytest.fixture
def task(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session with a waiting task; messages go nowhere."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    made = api.ok("POST", "/tasks", {"session": eid, "name": "a", "executable": "a"})
    return str(made["id"])


@pytest.mark.parametrize("path", FIELDS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_no_body_is_an_internal_error(
    api: Api, bucket: str, task: str, path: str, data: st.DataObject
) -> None:
    body = data.draw(bodies(FIELDS[path]))
    user = AS.get(path) or ("fimbrialab_worker" if "{task}" in path else "fimbrialab_member")
    method = "GET" if path == "/check-protected" else "POST"
    raw = json.dumps(body).encode()
    answer = api(method, path.format(task=task), raw, user=user)
    assert answer.status < 500, (path, body, answer.raw[:300])
    if answer.status >= 400:
        assert answer.body["status_code"] == answer.status


def test_counting_downloads_costs_a_bounded_amount(api: Api, task: str) -> None:
    eid = api.ok("GET", "/sessions")["results"][0]["id"]
    ids = [
        api.ok("POST", "/datasets", {"session": eid, "name": f"a.b{n}.npy"})["id"] for n in "12"
    ]
    with metered() as cost:
        answer = api.ok("POST", "/new-download", {"datasets": ids * 1000, "projects": ["demo"]})
    assert answer["count"] == [1, 1]
    assert cost.requests <= 12
    assert api.ok("POST", "/new-download", {"datasets": ids})["count"] == [2, 2]
    many = [str(uuid.uuid4()) for _ in range(101)]
    for body in ({"datasets": many}, {"datasets": ids, "projects": ["no such project"]}):
        with metered() as cost:
            assert api("POST", "/new-download", body).status == 400
        assert cost.requests <= 4


@pytest.mark.parametrize("given", [True, {"a": 1}, [1], ["x", None], "x", ["a" * 3000]])
def test_downloads_of_nothing_that_is_there_are_refused(api: Api, given: Any) -> None:
    answer = api("POST", "/new-download", {"datasets": given})
    assert answer.status == 400
    assert answer.body["status_code"] == 400


@pytest.mark.parametrize(
    "spoilt",
    [
        *({"path": {"a": 1}}, {"path": ["x"]}, {"path": "x" * 2000}, {"filenames": [{"a": 1}]}),
        *({"filenames": ["alf/a.b.npy"] * 1001}, {"filenames": [["a"]]}, {"filenames": {}}),
        *({"hashes": {"a": 1}}, {"filesizes": [[1]]}, {"filesizes": [10**18]}, {"labs": [{}]}),
        *({"filesizes": [1e308]}, {"name": 5}, {"hostname": []}, {"exists": {}}, {"qc": [{}]}),
        *({"created_by": ["x"]}, {"created_by": 5}, {"content_type": 5}, {"versions": [{}]}),
    ],
    ids=lambda spoilt: repr(spoilt)[:40],
)
def test_fields_of_a_registration_have_types_and_sizes(
    api: Api, task: str, spoilt: dict[str, Any]
) -> None:
    good = {"path": "FI_001/2024-07-01/001", "filenames": ["alf/a.b.npy"]}
    answer = api("POST", "/register-file", {**good, **spoilt})
    assert answer.status == 400, answer.raw[:300]
    assert len(answer.raw) < 5000
    assert api.ok("GET", "/datasets")["count"] == 0


@pytest.mark.parametrize(
    "body",
    [
        *([1], {"resource": 5, "rows": []}, {"resource": ["sessions"], "rows": []}),
        *({"resource": "x" * 2000, "rows": []}, {"resource": "sessions", "rows": {}}),
        *({"resource": "sessions", "rows": [[]]}, {"resource": "sessions", "rows": [None]}),
        *({"resource": "sessions", "rows": [{}] * 201}, {"resource": "sessions"}, {"rows": []}),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_an_import_has_a_type_and_a_size(api: Api, body: Any) -> None:
    answer = api("POST", "/import", body, user="admin")
    assert answer.status == 400, answer.raw[:300]


@pytest.mark.parametrize("path", ["/sessions", "/tasks", "/uploads", "/import", "/notes"])
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode()))
@example(b'{"a": 1')
@example(b"[" * 5000)
@example(b"\xff\xfe\x00")
@example(b'{"a":' * 3000)
def test_no_bytes_are_an_internal_error(
    api: Api, bucket: str, task: str, path: str, raw: bytes
) -> None:
    answer = api("POST", path, raw, user="admin")
    assert answer.status < 500, (path, raw, answer.raw[:300])


@pytest.mark.parametrize(
    "name", ["x" * 1799, "x" * 3000, "\U0001f42d" * 900, "%00", "%0D%0AA%3A%20b"]
)
def test_a_name_in_a_path_is_there_or_not_however_long(api: Api, bucket: str, name: str) -> None:
    for user in ("admin", "fimbrialab_rig", "fimbrialab_worker"):
        for entry, methods in app.routes.items():
            if "{" not in entry or entry.startswith("/queues"):
                continue
            path = re.sub(r"{[^}]*}", quote(name, safe="%"), entry)
            for method in methods:
                answer = api(
                    method, path, {} if method in ("POST", "PUT", "PATCH") else None, user=user
                )
                assert 400 <= answer.status < 500, (method, path[:80], answer.raw[:200])
                assert not any("\n" in each for each in answer.headers.values())


@pytest.mark.parametrize(
    "where",
    [
        *({"number": [1]}, {"number": {"a": 1}}, {"number": "9" * 400}, {"subject": "a" * 3000}),
        *({"subject": {"a": 1}}, {"subject": "\0"}, {"date": "x" * 3000}, {"date": [1]}),
    ],
    ids=lambda where: repr(where)[:40],
)
def test_a_dataset_of_no_session_that_can_be_is_refused(
    api: Api, task: str, where: dict[str, Any]
) -> None:
    named = {"subject": "FI_001", "date": "2024-07-01", "number": 1, "name": "a.b.npy"}
    answer = api("POST", "/datasets", {**named, **where})
    assert answer.status == 400, answer.raw[:300]
    assert api.ok("GET", "/datasets")["count"] == 0


@pytest.mark.parametrize("number", ["1_0", "\uff10\uff11", " 1", "+1", "1e2", "0001", "-1"])
def test_a_session_is_named_by_plain_digits(api: Api, bucket: str, number: str) -> None:
    session = {"lab": "fimbrialab", "subject": "FI_001", "date": "2024-07-01", "number": number}
    file = {"path": "alf/a.b.npy", "size": 1, "sha256": "f" * 64}
    body = {"session": session, "files": [file]}
    assert api("POST", "/uploads", body, user="fimbrialab_rig").status == 400


@pytest.mark.parametrize("attempt", [0, -1, 2**31, "9" * 100, "9" * 5000, [1], None, {}])
def test_a_run_is_named_by_a_number_that_can_be_stored(
    api: Api, bucket: str, task: str, attempt: Any
) -> None:
    eid = api.ok("GET", "/sessions")["results"][0]["id"]
    file = {"path": "alf/a.b.npy", "size": 1, "sha256": "f" * 64}
    body = {"session": {"id": eid}, "files": [file], "task": {"id": task, "attempt": attempt}}
    assert api("POST", "/uploads", body, user="fimbrialab_worker").status == 400


def nested(depth: int) -> bytes:
    """Return a form in a form in a form …"""
    body = b"x"
    for level in range(depth):
        inner = f"Content-Type: multipart/mixed; boundary=b{level - 1}".encode()
        mark = f"--b{level}".encode()
        body = mark + b"\r\n" + inner + b"\r\n\r\n" + body + b"\r\n" + mark + b"--\r\n"
    return body


PART = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'


@pytest.mark.parametrize(
    ("boundary", "raw"),
    [
        *(("b2999", nested(3000)), ("b", PART * 60_000 + b"--b--\r\n"), ("", PART + b"--b--")),
        *(("b", b"--b\r\n" + b"X: y\r\n" * 200_000 + b"\r\nx\r\n--b--\r\n"), ("b", PART)),
        *(("b", b""), ("b" * 5000, PART + b"--b--"), ("é", PART + b"--b--"), ("b", b"--b--")),
    ],
    ids=lambda each: repr(each)[:20],
)
def test_a_form_that_is_no_form_is_refused_at_once(
    api: Api, bucket: str, boundary: str, raw: bytes
) -> None:
    kind = f"multipart/form-data; boundary={boundary}"
    answer = api("POST", "/notes", raw, headers={"Content-Type": kind})
    assert answer.status == 400, answer.raw[:300]
