"""What a rig's acquisition program asks of the server, in its words, by the rig's account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from requests import HTTPError

from tests.api.conftest import Api
from tests.one.conftest import LAB, MANAGER, MEMBER, RIG, SUBJECT, Connect

RIG_NAME = f"_iblrig_{LAB}_behavior_0"


@pytest.fixture
def one(connect: Connect) -> Any:
    return connect(RIG)


def test_the_rig_tells_its_hardware(one: Any, api: Api) -> None:
    api.ok("POST", "/locations", {"name": RIG_NAME, "lab": LAB}, user=MANAGER)
    hardware = {"RIG_NAME": RIG_NAME, "device_bpod": {"COM_BPOD": "COM3"}, "VERSION": "1.0.0"}
    one.alyx.rest("locations", "partial_update", id=RIG_NAME, data={"json": hardware})
    assert one.alyx.rest("locations", "read", id=RIG_NAME)["json"] == hardware
    with pytest.raises(HTTPError) as caught:
        one.alyx.rest("locations", "partial_update", id="nowhere", data={"json": {}})
    assert caught.value.response.status_code == 404


def test_the_rig_lists_animals_and_projects(one: Any, api: Api) -> None:
    api.ok("PATCH", "/subjects/FI_002", {"death_date": "2024-05-01"})
    found = one.alyx.rest("subjects", "list", alive=True, stock=False, lab=LAB)
    assert [each["nickname"] for each in found] == [SUBJECT]
    assert [each["name"] for each in one.alyx.rest("projects", "list")] == ["demo"]


def test_the_rig_registers_a_session_with_weight_and_water(
    one: Any, api: Api, tmp_path: Path
) -> None:
    from one.registration import RegistrationClient

    client = RegistrationClient(one)
    folder = one.cache_dir / SUBJECT / "2024-09-01" / "001" / "raw_behavior_data"
    folder.mkdir(parents=True)
    np.save(folder / "spikes.times.npy", np.arange(3))
    # Given a session made by ibllib's call, with all it knows at the start
    made = one.alyx.rest(
        "sessions",
        "create",
        data={
            "subject": SUBJECT,
            "users": [MEMBER],
            "procedures": ["Behavior training/tasks"],
            "lab": LAB,
            "projects": ["demo"],
            "type": "Experiment",
            "task_protocol": "_iblrig_tasks_trainingChoiceWorld8.0.0",
            "number": "001",
            "start_time": "2024-09-01T10:00:00.123456",
            "end_time": None,
            "n_trials": 0,
            "n_correct_trials": 0,
            "json": {"IS_MOCK": False},
        },
    )
    assert made["number"] == 1
    assert made["start_time"] == "2024-09-01T10:00:00.123456"
    # When it ends, it is changed in part, by PATCH as ibllib does and by PUT as ONE does
    eid = made["url"][-36:]
    ended = {"end_time": "2024-09-01T11:00:00", "n_trials": 512, "n_correct_trials": 400}
    one.alyx.rest("sessions", "partial_update", id=eid, data=ended)
    merged = one.alyx.json_field_update("sessions", eid, data={"POOP_COUNT": 3})
    assert merged == {"IS_MOCK": False, "POOP_COUNT": 3}
    session, records = client.register_session(folder.parent, users=[MEMBER], file_list=True)
    assert session["n_trials"] == 512
    assert [each["name"] for each in records] == ["spikes.times.npy"]
    # Then its water hangs on it
    weight = client.register_weight(SUBJECT, 22.5)
    water = client.register_water_administration(SUBJECT, 1.05, session=eid)
    assert (weight["user"], water["session"]) == (RIG, eid)
    detail = one.alyx.rest("sessions", "read", id=eid)
    (given,) = detail["wateradmin_session_related"]
    assert given["water_administered"] == 1.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("subjects", "create", {"data": {"nickname": "new", "lab": LAB}}), "permission"),
        (("sessions", "create", {"data": {"subject": "SE_001", "number": 1}}), "own lab"),
        (("tags", "create", {"data": {"name": "mine"}}), "permission"),
    ],
)
def test_a_rig_may_no_more(one: Any, call: tuple[str, str, dict[str, Any]], words: str) -> None:
    endpoint, action, options = call
    with pytest.raises(HTTPError, match=words) as caught:
        one.alyx.rest(endpoint, action, **options)
    assert caught.value.response.status_code == 403
