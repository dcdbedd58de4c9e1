"""Sessions without a description whose probe has come, but not the recording of its clock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow import DATE, SUBJECT

TRIALS = {"raw_behavior_data/_iblrig_taskData.raw.jsonable": b'{"a": 1}\n'}
SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"
STEM = "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap"
PROBE = {f"{STEM}.cbin": b"voltage", f"{STEM}.ch": b"{}", f"{STEM}.meta": b"typeThis=imec\n"}
BOARD_STEM = "raw_ephys_data/_spikeglx_ephysData_g0_t0.nidq"
BOARD = {
    f"{BOARD_STEM}.cbin": b"lines",
    f"{BOARD_STEM}.ch": b"{}",
    f"{BOARD_STEM}.meta": b"typeThis=nidq\n",
}


def registered(system: Any, protocol: str) -> str:
    """Register a session of a protocol; return its id."""
    session = {
        "subject": SUBJECT,
        "start_time": f"{DATE}T10:00:00",
        "number": 1,
        "task_protocol": protocol,
    }
    return str(system.client("member").post("/sessions", session)["id"])


def told(system: Any, eid: str) -> dict[str, dict[str, Any]]:
    """Return the tasks of a session by name, as its board shows them."""
    rows = system.client("member").get(f"/tasks?session={eid}")["results"]
    return {row["name"]: row for row in rows}


def test_the_tasks_of_a_probe_are_held_with_the_reason_until_the_recording_comes(system) -> None:
    # Given a session of a training protocol, with a probe
    system.rest()
    eid = registered(system, "_iblrig_tasks_biasedChoiceWorld")
    # When it is uploaded without the recording of a board
    system.flow.upload(TRIALS | {SETTINGS: b"{}"} | PROBE)
    # Then its trials are the Bpod's, and nothing is said to be left aside
    tasks = told(system, eid)
    assert tasks["task.trials"]["status"] == "Waiting"
    for name in ("ephys.align", "ephys.sort"):
        assert tasks[name]["status"] == "Held"
        assert "There is no sync recording (nidq) yet" in tasks[name]["log"]
    board = system.client("member").get(f"/board/{eid}")
    assert board["not_processed"] == []
    # And when the recording comes, they wait for what is found in it
    system.flow.upload(BOARD)
    tasks = told(system, eid)
    assert tasks["sync.pulses"]["status"] == "Waiting"
    assert tasks["ephys.align"]["status"] == "Held"
    assert "no sync recording" not in tasks["ephys.align"]["log"]
    # And its trials are no longer taken by the Bpod's clock
    assert tasks["task.trials"]["status"] == "Held"
    assert "task.trials_nidq does this now" in tasks["task.trials"]["log"]
    assert tasks["task.trials_nidq"]["status"] == "Held"  # for its parent


@pytest.mark.parametrize("protocol", ["_iblrig_tasks_ephysChoiceWorld", "ephysMockChoiceWorld"])
def test_the_trials_of_an_ephys_rig_wait_for_its_board(system, protocol: str) -> None:
    system.rest()
    eid = registered(system, protocol)
    system.flow.upload(TRIALS | {SETTINGS: b"{}"} | PROBE)
    tasks = told(system, eid)
    assert "task.trials" not in tasks
    assert {name: task["status"] for name, task in tasks.items() if "nidq" in name} == {
        "task.trials_nidq": "Held",
        "task.wheel_nidq": "Held",
    }
    assert "input raw_ephys_data/*.*bin is missing" in tasks["sync.pulses"]["log"]
