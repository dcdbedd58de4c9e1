"""Outputs of a task's run go to the task's own session, whoever brings them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api

FILES = [{"path": "alf/_ibl_trials.choice.npy", "size": 10, "sha256": "a" * 64}]
NONE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def running(api: Api, bucket: str) -> dict[str, Any]:
    """A running task of one lab; a session of another, and another one of the same lab."""
    start = {"start_time": "2024-07-01T10:00:00"}
    own, theirs = (
        api.ok("POST", "/sessions", {"subject": subject, **start}, user="admin")["id"]
        for subject in ("FI_001", "SE_001")
    )
    beside = {"subject": "FI_002", **start}
    beside_it = api.ok("POST", "/sessions", beside, user="admin")["id"]
    task = {"session": own, "executable": "task.trials", "graph": "local"}
    made = api.ok("POST", "/tasks", task, user="admin")["id"]
    api.ok("PATCH", f"/tasks/{made}", {"status": "Started"}, user="fimbrialab_worker")
    return {"task": made, "own": own, "beside": beside_it, "theirs": theirs}


def announce(api: Api, user: str, session: dict[str, Any], task: str, attempt: int) -> Any:
    body = {"session": session, "files": FILES, "task": {"id": task, "attempt": attempt}}
    return api("POST", "/uploads", body, user=user)


def test_the_runs_own_session_takes_its_outputs(api: Api, running: dict[str, Any]) -> None:
    session = {"id": running["own"]}
    assert announce(api, "fimbrialab_worker", session, running["task"], 1).status == 201
    assert announce(api, "fimbrialab_worker", session, running["task"], 2).status == 409


@pytest.mark.parametrize(
    ("user", "place"),
    [
        ("septumlab_worker", "theirs"),
        ("septumlab_rig", "theirs"),
        ("fimbrialab_worker", "beside"),
        ("admin", "theirs"),
    ],
)
def test_another_session_does_not_and_nothing_is_told_of_the_run(
    api: Api, running: dict[str, Any], user: str, place: str
) -> None:
    session = {"id": running[place]}
    answers = [announce(api, user, session, running["task"], attempt) for attempt in (1, 7)]
    assert [answer.status for answer in answers] == [400, 400]
    assert answers[0].raw == answers[1].raw
    assert "another session" in answers[0].body["task"][0]


def test_a_session_that_is_yet_to_be_made_does_not_either(
    api: Api, running: dict[str, Any]
) -> None:
    session = {"lab": "septumlab", "subject": "SE_001", "date": "2024-07-02", "number": 1}
    answer = announce(api, "septumlab_rig", session, running["task"], 1)
    assert answer.status == 400
    assert announce(api, "septumlab_rig", session, NONE, 1).status == 404


def test_names_of_a_labs_computers_are_not_for_rigs_and_workers_of_others(
    api: Api, running: dict[str, Any]
) -> None:
    # Given a task that a worker has made its record of
    made = {"session": running["own"], "executable": "task.trials", "name": "again"}
    task = f"/tasks/{api.ok('POST', '/tasks', made, user='admin')['id']}"
    claim = api.ok("POST", f"{task}/claim", {"worker": "rig-pc/1"}, user="fimbrialab_worker")
    record = {"task": "task.trials", "worker": "rig-pc/1", "host": "rig-pc"}
    ending = {"attempt": claim["attempt"], "status": "Errored", "log": "no", "elapsed": 1.0}
    api.ok("POST", f"{task}/complete", {**ending, "run_record": record}, user="fimbrialab_worker")

    # When people of the lab read it, they see where it ran; machines of other labs do not
    seen = {}
    for user in ("fimbrialab_member", "fimbrialab_worker", "septumlab_worker", "septumlab_rig"):
        answer = api("GET", task, user=user)
        seen[user] = answer.status, b"rig-pc" in answer.raw
    assert seen["fimbrialab_member"] == seen["fimbrialab_worker"] == (200, True)
    assert not any(named for _, named in (seen["septumlab_worker"], seen["septumlab_rig"]))
    # Nor does the account for everybody
    assert b"rig-pc" not in api("GET", task, user="visitor").raw
