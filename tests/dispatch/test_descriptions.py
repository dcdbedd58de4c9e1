"""Descriptions that a careless colleague or an attacker writes into a session's JSON.

The session's JSON is free: a member may write any object there, and dispatch and the board read
the description from it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow import DATE, SUBJECT, npy

RAW = {
    "raw_behavior_data/_iblrig_taskSettings.raw.json": b"{}",
    "raw_behavior_data/_iblrig_taskData.raw.jsonable": b'{"a": 1}\n',
    "alf/wheel.position.npy": npy(1, 2),
}
CHOICE = "_iblrig_tasks_trainingChoiceWorld"
HOSTILE: list[Any] = [
    *("text", [1], 5, True, {"tasks": "x"}, {"tasks": {"a": 1}}, {"tasks": [[]]}, {"tasks": [5]}),
    *({"devices": "x"}, {"devices": [1]}, {"devices": {"neuropixel": "x"}}, {"sync": [1]}),
    {"tasks": [{CHOICE: {"collection": "../../.."}}]},
    {"tasks": [{CHOICE: {"collection": "/etc"}}]},
    {"tasks": [{CHOICE: {"collection": "*"}}]},
    {"tasks": [{CHOICE: {"collection": "raw_behavior_dat?"}}]},
    {"tasks": [{CHOICE: {"collection": ["raw_behavior_data"]}}]},
    {"tasks": [{CHOICE: {"collection": "raw_behavior_data"}}] * 3_000},
    {"devices": {"neuropixel": {f"probe{n:05}": {} for n in range(5_000)}}},
]


@pytest.mark.parametrize("description", HOSTILE, ids=lambda each: repr(each)[:50])
def test_a_description_that_makes_no_sense_stops_nothing(system, description: Any) -> None:
    member, flow = system.client("member"), system.flow
    system.rest()
    session = {"subject": SUBJECT, "start_time": f"{DATE}T10:00:00", "number": 1}
    session["json"] = {"experiment_description": description}
    eid = member.post("/sessions", session)["id"]
    # The upload's files arrive as S3 events, ingest tells dispatch: no message is given back
    answer = flow.upload(RAW)
    assert answer["state"] == "registered"
    tasks = member.get(f"/tasks?session={eid}")["results"]
    # The tasks are those that the files themselves ask for, or none, and in the files' folder
    assert {task["arguments"]["collection"] for task in tasks} <= {"raw_behavior_data"}
    assert len(tasks) <= 2
    board = member.get(f"/board/{eid}")
    assert len(board["not_processed"]) <= 520
