"""Every route that takes a name refuses the hostile ones, and takes the same good ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests.alf.test_names import HOSTILE
from tests.api.conftest import Api

ADMIN = {"user": "admin"}
TEXTS = [each for each in HOSTILE if each != "\ud800"]  # which no JSON in UTF-8 can hold


@pytest.fixture
def eid(api: Api) -> str:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    made: str = api.ok("POST", "/sessions", body)["id"]
    return made


def folders(eid: str, text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the requests in which a text is the name of a folder or a file."""
    path = "FI_001/2024-07-01/001"
    npy = "spikes.times.npy"
    task = {"session": eid, "executable": "x"}
    lab = "fimbrialab"
    return [
        ("/subjects", {"nickname": text, "lab": lab}),
        ("/labs", {"name": text}),
        ("/datasets", {"session": eid, "name": text}),
        ("/datasets", {"session": eid, "name": npy, "collection": text}),
        ("/datasets", {"session": eid, "name": npy, "revision": text}),
        ("/revisions", {"name": text}),
        ("/register-file", {"path": path, "filenames": [f"{text}/{npy}"]}),
        ("/register-file", {"path": f"{path}/{text}", "filenames": [npy]}),
        ("/tasks", {**task, "arguments": {"output_collection": text}}),
        ("/tasks", {**task, "arguments": {"collection": [text]}}),
        ("/import", {"resource": "subjects", "rows": [{"nickname": text, "lab": lab}]}),
        ("/import", {"resource": "labs", "rows": [{"name": text}]}),
        (
            "/import",
            {"resource": "datasets", "rows": [{"session": eid, "name": npy, "collection": text}]},
        ),
    ]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_hostile_name_is_refused_wherever_it_comes_in(api: Api, eid: str, text: str) -> None:
    taken = []
    for path, body in folders(eid, text):
        if not text.strip() and path != "/subjects":
            continue  # nothing given
        if path == "/register-file" and text.startswith("/"):
            continue  # slashes around a path are taken off
        answer = api("POST", path, body, **ADMIN)
        refused = answer.status == 400
        if path == "/import":  # row by row
            refused = [row["status"] for row in answer.body["refused"]] == [400]
        if not refused:
            taken.append((path, body, answer.status, answer.raw[:200]))
    assert taken == []


def test_the_same_requests_are_taken_with_a_good_name(api: Api, eid: str) -> None:
    for i, (path, body) in enumerate(folders(eid, "good_1")):
        if path == "/import":
            body = folders(eid, f"good_{i}")[i][1]
        answer = api("POST", path, body, **ADMIN)
        assert answer.status in (200, 201), (path, body, answer.raw)
        if path == "/import":
            assert answer.body["created"] == 1, (body, answer.raw)


@pytest.mark.parametrize("text", ["a\nb", "a/b", "..\\x", " a", "a ", "", "a\u0301", "a\0"])
def test_labels_are_part_of_addresses(api: Api, text: str) -> None:
    for path in ("tags", "projects", "data-repository", "dataset-types", "data-formats"):
        answer = api("POST", f"/{path}", {"name": text, "filename_pattern": "*q.r*"}, **ADMIN)
        assert (answer.status, "name" in answer.body) == (400, True), path


def test_letters_of_any_script_are_taken_by_the_api_and_by_the_import(api: Api, eid: str) -> None:
    api.ok("POST", "/subjects", {"nickname": "größe_5", "lab": "fimbrialab"})
    rows = [{"nickname": "größe_6", "lab": "fimbrialab"}]
    api.ok("POST", "/import", {"resource": "subjects", "rows": rows}, **ADMIN)
    assert api.ok("GET", "/subjects/gr%C3%B6%C3%9Fe_5")["nickname"] == "größe_5"
    assert api.ok("GET", "/subjects/gr%C3%B6%C3%9Fe_6")["nickname"] == "größe_6"


@pytest.mark.parametrize(
    ("path", "field", "name", "alike", "more"),
    [
        ("subjects", "nickname", "a", "A", {"lab": "fimbrialab"}),
        ("labs", "name", "newlab", "NewLab", {}),
        ("tags", "name", "paper", "Paper", {}),
        ("projects", "name", "ibl", "IBL", {}),
        ("revisions", "name", "v1", "V1", {}),
        ("data-repository", "name", "flatiron", "Flatiron", {}),
    ],
)
def test_a_name_that_looks_like_another_is_told(
    api: Api, path: str, field: str, name: str, alike: str, more: dict[str, Any]
) -> None:
    api.ok("POST", f"/{path}", {field: name, **more}, **ADMIN)
    answer = api("POST", f"/{path}", {field: alike, **more}, **ADMIN)
    assert answer.status == 400
    assert "looks the same" in answer.body[field][0]
    # The same name is still just that
    assert "already exists" in str(api("POST", f"/{path}", {field: name, **more}, **ADMIN).body)
    # and it is free again when the other one has gone
    if path != "labs":
        assert api("DELETE", f"/{path}/{name}", **ADMIN).status == 204
        api.ok("POST", f"/{path}", {field: alike, **more}, **ADMIN)
