"""Two clients at the same time: one acts between another's reading and its writing.

A client's request is stopped at its first commit, the other client's request runs, then the first
goes on: the interleavings in which updates are lost, lists show what is gone, or something belongs
to nothing. Requests come in drawn orders; after each the lists and the table must agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared import catalog
from shared.records import leaving, queues
from shared.records.transactions import Transaction
from shared.sessions import delete as deletion
from tests.api.conftest import Answer, Api

Step = Callable[[], Answer]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)


def interleaved(first: Step, second: Step) -> tuple[Answer, Answer | None]:
    """Run a request, and another one just before the first one's first commit."""
    commit, answers = Transaction.commit, []

    def stopped(self: Transaction) -> None:
        Transaction.commit = commit  # type: ignore[method-assign]
        answers.append(second())
        commit(self)

    Transaction.commit = stopped  # type: ignore[method-assign]
    try:
        answer = first()
    finally:
        Transaction.commit = commit  # type: ignore[method-assign]
    return answer, answers[0] if answers else None


KINDS = ("notes", "insertions", "trajectories", "weighings", "water-administrations")
BELONGS = {
    "notes": ("object_id", "sessions"),
    "insertions": ("session", "sessions"),
    "trajectories": ("probe_insertion", "insertions"),
    "weighings": ("subject", "subjects"),
    "water-administrations": ("session", "sessions"),
    "sessions": ("subject", "subjects"),
}
"""What a record of a list belongs to: its field, and the list that this one is in."""

_numbers = itertools.count()


class Clients(RuleBasedStateMachine):
    """Two clients that create, change and delete records of a few animals."""

    def __init__(self, api: Api, shift: int = 0) -> None:
        super().__init__()
        self.api, self.shift = api, shift
        self.mouse = f"M_{next(_numbers)}"
        self.api.ok("POST", "/subjects", {"nickname": self.mouse, "lab": "fimbrialab"})
        self.number = itertools.count(1)
        self.kept: dict[str, dict[str, int]] = {}  # session → keys of its json that were accepted

    def listed(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.api.ok("GET", f"/{path}?limit=1000")["results"]
        return rows

    def step(self, action: str, draw: int) -> Step:
        """Return a request of a kind; what it is about is drawn from what is there."""
        api, number = self.api, next(self.number)
        found = self.api.ok("GET", f"/sessions?subject={self.mouse}")["results"]
        eid = found[draw % len(found)]["id"] if found else None
        if action == "session" or eid is None:
            body = {"subject": self.mouse, "start_time": "2024-07-01T10:00:00", "number": number}
            return lambda: api("POST", "/sessions", body)
        probes = api.ok("GET", f"/insertions?session={eid}")["results"]
        if action == "json":
            return lambda: self.change_key(eid, f"key{number}", number)
        place = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5, "provenance": "Planned"}
        writes: dict[str, tuple[str, str, Any]] = {
            "note": (
                *("POST", "/notes"),
                {"content_type": "session", "object_id": eid, "text": "x"},
            ),
            "water": ("POST", "/water-administrations", {"subject": self.mouse, "session": eid}),
            "weighing": ("POST", "/weighings", {"subject": self.mouse, "weight": 20}),
            "insertion": ("POST", "/insertions", {"session": eid, "name": f"probe{number}"}),
            "narrative": ("PATCH", f"/sessions/{eid}", {"narrative": f"text {number}"}),
            "delete session": ("DELETE", f"/sessions/{eid}", None),
            "cage": ("PATCH", f"/subjects/{self.mouse}", {"cage": f"c{number}"}),
            "delete subject": ("DELETE", f"/subjects/{self.mouse}", None),
        }
        if probes:
            probe = probes[draw % len(probes)]["id"]
            writes["trajectory"] = ("POST", "/trajectories", {"probe_insertion": probe, **place})
            writes["delete insertion"] = ("DELETE", f"/insertions/{probe}", None)
        method, path, body = writes.get(action, writes["insertion"])
        user = "fimbrialab_manager" if action == "delete subject" else "fimbrialab_member"
        return lambda: api(method, path, body, user=user)

    def change_key(self, eid: str, key: str, value: int) -> Answer:
        """Change one key as ONE's ``json_field_update`` does: read all, write all."""
        read = self.api("GET", f"/sessions/{eid}")
        if read.status != 200:
            return read
        whole = {**(read.body["json"] or {}), key: value}
        answer = self.api("PATCH", f"/sessions/{eid}", {"json": whole})
        if answer.status == 200:
            self.kept.setdefault(eid, {})[key] = value
        return answer

    actions = (
        *("session", "note", "water", "weighing", "insertion", "insertion", "trajectory"),
        *("narrative", "json", "json", "cage"),
        *("delete session", "delete insertion", "delete subject"),
    )
    places = st.integers(0, len(actions) - 1)

    @rule(one=places, other=places, draw=st.integers(0, 3))
    def both(self, one: int, other: int, draw: int) -> None:
        """Run two requests, one within the other."""
        self.run(*(self.actions[(n + self.shift) % len(self.actions)] for n in (one, other)), draw)

    def run(self, first: str, second: str, draw: int) -> None:
        """Run two requests of some kinds."""
        if self.api("GET", f"/subjects/{self.mouse}").status == 404:
            self.mouse = f"M_{next(_numbers)}"
            self.api.ok("POST", "/subjects", {"nickname": self.mouse, "lab": "fimbrialab"})
        one, other = self.step(first, draw), self.step(second, draw)
        for answer in interleaved(one, other):
            assert answer is None or answer.status < 500, (first, second, answer.raw)

    @invariant()
    def nothing_belongs_to_nothing(self) -> None:
        """What is listed is there, and so is what it belongs to."""
        keys = {"subjects": "nickname"}
        listed = {path: self.listed(path) for path in (*KINDS, "sessions", "subjects")}
        there = {p: {str(r[keys.get(p, "id")]) for r in rows} for p, rows in listed.items()}
        for path, (field, owner) in BELONGS.items():
            for row in listed[path]:
                if row.get(field) is not None:
                    assert str(row[field]) in there[owner], (path, row)

    @invariant()
    def keys_that_were_accepted_are_there(self) -> None:
        """No client's key of a JSON object is lost to another's."""
        for eid, keys in self.kept.items():
            answer = self.api("GET", f"/sessions/{eid}")
            if answer.status == 200:
                assert keys.items() <= (answer.body["json"] or {}).items()

    def teardown(self) -> None:
        """Compare the lists with lists made anew from the table."""
        paths = (*KINDS, "sessions", "subjects")

        def all_rows() -> dict[str, list[str]]:
            return {path: sorted(map(repr, self.listed(path))) for path in paths}

        caught_up = all_rows()
        catalog.reset_for_tests()
        assert all_rows() == caught_up


def race(api: Api, examples: int, steps: int, shift: int = 0) -> None:
    """Run the machine on an API; by ``shift`` the same draws mean other actions."""
    run_state_machine_as_test(
        lambda: Clients(api, shift),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_two_clients_at_once_lose_nothing_and_leave_nothing(api: Api, bucket: str) -> None:
    race(api, examples=6, steps=8)


@pytest.mark.proof
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("shift", range(0, 14, 2))
def test_two_clients_at_once_in_hundreds_of_orders(api: Api, bucket: str, shift: int) -> None:
    race(api, examples=22, steps=25, shift=shift)  # each in a table of its own, which stays small


def test_twelve_clients_changing_keys_of_one_field_are_all_kept(api: Api, bucket: str) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    read = [api.ok("GET", f"/sessions/{eid}")["json"] or {} for _ in range(12)]  # all before any
    for n, whole in enumerate(read):
        api.ok("PATCH", f"/sessions/{eid}", {"json": {**whole, f"key{n}": n}})
    kept = api.ok("GET", f"/sessions/{eid}")["json"]
    assert kept == {f"key{n}": n for n in range(12)}
    # A key that is left out by who knows them all is removed, as json_field_remove_key does it
    del kept["key11"]
    assert api.ok("PATCH", f"/sessions/{eid}", {"json": kept})["json"] == kept
    assert api.ok("PATCH", f"/sessions/{eid}", {"json": None})["json"] is None


DETAILS = {
    "/sessions/{eid}": {"narrative": "new"},
    "/subjects/FI_001": {"cage": "c"},
    "/labs/fimbrialab": {"institution": "i"},
    "/insertions/{insertion}": {"serial": "1"},
    "/datasets/{dataset}": {"version": "2"},
    "/tasks/{task}": {"version": "2"},
    "/projects/demo": {"description": "d"},
    "/water-type/Water": {"json": {"a": 1}},
}


@pytest.mark.parametrize("path", DETAILS)
def test_a_change_of_a_version_that_is_no_more_is_refused(
    api: Api, bucket: str, path: str
) -> None:
    session = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", session)["id"]
    ids = {
        "eid": eid,
        "insertion": api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"],
        "dataset": api.ok("POST", "/datasets", {"session": eid, "name": "a.b.npy"})["id"],
        "task": api.ok("POST", "/tasks", {"session": eid, "name": "a", "executable": "a"})["id"],
    }
    change, path = DETAILS[path], path.format(**ids)
    tag = api("GET", path, user="admin").headers["ETag"]
    assert tag == api("GET", path, user="admin").headers["ETag"]

    answer = api("PATCH", path, change, user="admin", headers={"If-Match": tag})
    assert answer.status == 200
    new = answer.headers["ETag"]
    assert new != tag
    assert api("GET", path, user="admin").headers["ETag"] == new
    # The former version is refused, for changing as for deleting
    stale = {"If-Match": tag}
    assert api("PATCH", path, change, user="admin", headers=stale).status == 412
    deleted = api("DELETE", path, user="admin", headers=stale)
    assert deleted.status in (412, 409)
    # Whoever changes it between the question and the write is noticed
    if path.startswith(("/sessions", "/subjects", "/tasks")):
        theirs, ours = {"json": {"b": 2}}, {"json": {"a": 1}}
        if path.startswith("/tasks"):
            theirs, ours = {"priority": 2}, {"io_charge": 1}
        other = lambda: api("PATCH", path, theirs)  # noqa: E731
        mine = lambda: api("PATCH", path, ours, headers={"If-Match": new})  # noqa: E731
        one, two = interleaved(mine, other)
        assert two is not None
        assert [one.status, two.status] == [412, 200]


NAMED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/projects/demo": ("PATCH", "/subjects/FI_001", {"projects": ["demo"]}),
    "/species/Mus%20musculus": ("PATCH", "/subjects/FI_001", {"species": "Mus musculus"}),
    "/users/septumlab_member": ("POST", "/notes", {"user": "septumlab_member"}),
    "/water-type/Water": ("POST", "/water-administrations", {"water_type": "Water"}),
    "/users/fimbrialab_rig": ("POST", "/sessions", {"users": ["fimbrialab_rig"]}),
    "/projects/demo#session": ("PATCH", "/sessions/{eid}", {"projects": ["demo"]}),
    "/tags/draft": ("PATCH", "/datasets/{dataset}", {"tags": ["draft"]}),
    "/dataset-types/lab.own": ("PATCH", "/datasets/{dataset}", {"dataset_type": "lab.own"}),
    "/data-formats/odd": ("POST", "/datasets", {"data_format": "odd"}),
    "/data-repository/far": ("POST", "/files", {"data_repository": "far"}),
    "/data-repository/far#task": ("PATCH", "/tasks/{task}", {"data_repository": "far"}),
    "/data-repository/far#new-task": ("POST", "/tasks", {"data_repository": "far"}),
    "/data-repository/far#registered": ("POST", "/register-file", {"name": "far"}),
    "/users/septumlab_member#made": ("POST", "/datasets", {"created_by": "septumlab_member"}),
    "/tags/draft#aggregate": ("POST", "/datasets", {"session": None, "content_type": "tag"}),
    "/projects/demo#download": ("POST", "/new-download", {"projects": ["demo"]}),
}
"""What administrators may delete, and a write that names it."""

DELETABLE = {
    "/tags": {"name": "draft"},
    "/dataset-types": {"name": "lab.own", "filename_pattern": "lab.own*"},
    "/data-formats": {"name": "odd", "file_extension": ".odd"},
    "/data-repository": {"name": "far", "data_url": "https://far.example/"},
}


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("first", ["the deletion", "the write"])
def test_nothing_names_what_is_deleted_at_the_same_time(
    api: Api, bucket: str, named: str, first: str
) -> None:
    start = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", start)["id"]
    api.ok("PATCH", "/subjects/SE_001", {"responsible_user": "admin"}, user="admin")
    path, (method, target, given) = named.partition("#")[0], NAMED[named]
    kind, tag = "/" + path.split("/")[1], ""
    if kind in DELETABLE:
        tag = api.ok("POST", kind, DELETABLE[kind], user="admin").get("id", "")
    dataset = api.ok("POST", "/datasets", {"session": eid, "name": "a.b.npy"})["id"]
    task = {"session": eid, "name": "a", "executable": "a"}
    ids = {"eid": eid, "dataset": dataset, "task": api.ok("POST", "/tasks", task)["id"]}
    more: dict[str, dict[str, Any]] = {
        "/datasets": {"session": eid, "name": "c.d.npy", "object_id": tag},
        "/files": {"dataset": dataset},
        "/tasks": {**task, "name": "b"},
        "/new-download": {"datasets": [dataset]},
        "/register-file": {"path": "FI_001/2024-07-01/001", "filenames": ["trials.table.pqt"]},
        "/notes": {"content_type": "subject", "object_id": "FI_001", "text": "x"},
        "/water-administrations": {"subject": "FI_001"},
        "/sessions": {"subject": "FI_001", "start_time": "2024-07-02T10:00:00"},
    }

    def delete() -> Answer:
        return api("DELETE", path, user="admin")

    def name() -> Answer:
        user = "admin" if named.endswith("#aggregate") else "fimbrialab_member"
        body = {**more.get(target, {}), **given}
        return api(method, target.format(**ids), body, user=user)

    steps = (delete, name) if first == "the deletion" else (name, delete)
    one, two = interleaved(*steps)

    assert two is not None
    deleted, written = (one, two) if first == "the deletion" else (two, one)
    assert (deleted.status == 204) != (written.status in (200, 201)), (one.raw, two.raw)
    assert {deleted.status, written.status} <= {204, 400, 409} | {200, 201}
    there = api("GET", path, user="admin").status == 200
    assert there == (deleted.status != 204)
    if not there and written.status == 201:  # an aggregate goes with its record
        assert api.ok("GET", "/datasets?name=c.d.npy")["count"] == 0


@pytest.mark.parametrize("first", ["the deletion", "the write"])
def test_an_aggregate_that_comes_at_the_last_moment_goes_with_its_record(
    api: Api, bucket: str, first: str
) -> None:
    weight = api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20})
    key = weight["url"].rpartition("/")[2]
    dataset = {"content_type": "weighing", "object_id": key, "name": "c.d.npy"}

    def delete() -> Answer:
        return api("DELETE", f"/weighings/{key}")

    def name() -> Answer:
        return api("POST", "/datasets", dataset)

    one, two = interleaved(*((delete, name) if first == "the deletion" else (name, delete)))

    assert two is not None
    deleted, written = (one, two) if first == "the deletion" else (two, one)
    assert deleted.status == 204, deleted.raw
    assert written.status == (201 if first == "the deletion" else 400), written.raw
    assert api.ok("GET", "/datasets")["count"] == 0
    assert api("GET", f"/weighings/{key}").status == 404


def test_a_session_that_changes_while_a_known_version_is_deleted_is_kept_whole(
    api: Api, bucket: str
) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    probe = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"]
    tag = api("GET", f"/sessions/{eid}").headers["ETag"]
    mark, answers = leaving.mark, []

    def changed_first(*args: Any, **options: Any) -> None:
        leaving.mark = mark
        answers.append(api("PATCH", f"/sessions/{eid}", {"narrative": "new"}))
        mark(*args, **options)

    leaving.mark = changed_first  # between the question and the first write
    try:
        deleted = api("DELETE", f"/sessions/{eid}", headers={"If-Match": tag})
    finally:
        leaving.mark = mark
    assert [answers[0].status, deleted.status] == [200, 412]
    assert api.ok("GET", f"/sessions/{eid}")["narrative"] == "new"
    assert api("GET", f"/insertions/{probe}").status == 200
    # It can be changed, and deleted, as before
    assert api("PATCH", f"/sessions/{eid}", {"narrative": "newer"}).status == 200
    tag = api("GET", f"/sessions/{eid}").headers["ETag"]
    assert api("DELETE", f"/sessions/{eid}", headers={"If-Match": tag}).status == 204
    assert api("GET", f"/insertions/{probe}").status == 404


def test_a_session_that_is_being_deleted_takes_nothing_more(api: Api, bucket: str) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    eid = api.ok("POST", "/sessions", body)["id"]
    api.ok("POST", "/datasets", {"session": eid, "name": "a.b.npy"})
    delete, answers = deletion._delete, []
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", f"/sessions/{eid}", {"narrative": "new"}),
        ("POST", "/insertions", {"session": eid, "name": "probe00"}),
        ("POST", "/tasks", {"session": eid, "name": "a", "executable": "a"}),
        ("POST", "/notes", {"content_type": "session", "object_id": eid, "text": "x"}),
        ("POST", "/datasets", {"session": eid, "name": "c.d.npy"}),
    ]

    def written_first(*args: Any) -> None:
        answers.extend(api(*each) for each in writes)
        delete(*args)

    deletion._delete = written_first
    try:
        assert api("DELETE", f"/sessions/{eid}").status == 204
    finally:
        deletion._delete = delete
    assert {answer.status for answer in answers} <= {409, 404}, [a.raw for a in answers]
    for path in ("/sessions", "/insertions", "/notes", "/datasets"):
        assert api.ok("GET", path)["count"] == 0, path
    assert api.ok("GET", f"/tasks?session={eid}")["count"] == 0
