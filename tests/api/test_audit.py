"""Who changed what: of a record, of a lab by day, of what was done in one go."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from shared.model import moment
from shared.records.meter import metered
from tests.api.conftest import Api
from tests.api.test_batch import new_id, send, update, weighing


def entries(api: Api, query: str = "", **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.ok("GET", f"/audit?{query}", **more)["results"]
    return found


def test_a_records_history_says_who_changed_what_from_what(api: Api) -> None:
    made = api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 21})
    key = made["url"].rpartition("/")[2]
    api.ok("PATCH", f"/weighings/{key}", {"weight": 22}, user="fimbrialab_manager")

    changed, created = entries(api, f"kind=weighing&key={key}")

    assert (changed["who"], changed["action"]) == ("fimbrialab_manager", "update")
    assert (changed["before"], changed["after"]) == ({"weight": 21}, {"weight": 22})
    assert (created["action"], created["after"]["weight"]) == ("create", 21)
    assert changed["version"] == created["version"] + 1
    assert changed["group"] != created["group"]


def test_what_was_made_together_is_found_by_group_by_lab_and_by_record(api: Api) -> None:
    group = new_id()
    writes = [weighing(weight=20 + i) for i in range(6)]
    writes.append(update("subjects", "FI_002", description="calm"))
    send(api, writes, group=group)
    key = writes[2]["body"]["id"]
    # When it is asked for by its group, by the lab's day, and by one of its records
    of_group = entries(api, f"group={group}")
    of_lab = entries(api, "who=fimbrialab_member")
    (of_record,) = entries(api, f"kind=weighing&key={key}")

    assert len(of_group) == 7
    assert sorted(map(str, of_group)) == sorted(map(str, of_lab))
    assert of_record["after"]["weight"] == 22
    assert of_record["group"] == group
    # and by the record also when it is gone, and when it was made again with its id
    api.ok("DELETE", f"/weighings/{key}")
    api.ok("POST", "/weighings", {**writes[2]["body"], "weight": 30})
    actions = [each["action"] for each in entries(api, f"kind=weighing&key={key}")]
    assert actions == ["create", "delete", "create"]


def test_members_are_told_of_their_own_lab(api: Api) -> None:
    api.ok("PATCH", "/subjects/SE_001", {"description": "x"}, user="septumlab_member")
    api.ok("PATCH", "/subjects/FI_001", {"description": "y"})

    mine = entries(api)
    theirs = entries(api, user="septumlab_member")
    whole = entries(api, user="admin")

    assert {each["key"] for each in mine} == {"FI_001"}
    assert {each["key"] for each in theirs} == {"SE_001"}
    assert {each["key"] for each in whole} == {"FI_001", "SE_001"}
    assert entries(api, "kind=subject&key=SE_001") == []
    assert len(entries(api, "kind=subject&key=SE_001", user="septumlab_member")) == 1
    (entry,) = theirs
    assert entries(api, f"group={entry['group']}") == []


def test_secrets_are_in_no_entry(api: Api) -> None:
    body = {"username": "new_one", "lab": ["fimbrialab"], "password": "quite another staple"}
    api.ok("POST", "/users", body, user="admin")

    (entry,) = entries(api, "kind=user&key=new_one", user="admin")

    assert "staple" not in str(entry)


def test_pages_of_entries_go_on_where_the_last_ended(api: Api) -> None:
    for n in range(7):
        api.ok("PATCH", "/subjects/FI_001", {"description": f"day {n}"})
    seen: list[str] = []
    query = "limit=3"
    while True:
        page = api.ok("GET", f"/audit?{query}")
        seen += [each["after"]["description"] for each in page["results"]]
        if not page["next"]:
            break
        query = f"limit=3&before={page['next']}"

    assert seen == [f"day {n}" for n in reversed(range(7))]


def test_a_quiet_week_costs_little(api: Api) -> None:
    api.ok("GET", "/audit")
    with metered() as cost:
        api.ok("GET", "/audit")
    assert cost.requests <= 1 + 2 * 8  # the feed; a day and a lab each, and the shared lists


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group=x", "group"),
        ("kind=unicorn&key=x", "kind"),
        ("since=yesterday", "since"),
        (f"since={moment.now().date() - dt.timedelta(days=100)}", "since"),
        ("before=later", "before"),
        ("limit=0", "limit"),
    ],
)
def test_odd_questions_name_the_parameter(api: Api, query: str, field: str) -> None:
    answer = api("GET", f"/audit?{query}")

    assert (answer.status, list(answer.body)) == (400, [field, "status_code"])


def test_nothing_is_found_of_what_is_not_there(api: Api) -> None:
    assert entries(api, f"group={uuid.uuid4()}") == []
    assert entries(api, "kind=weighing&key=nothing") == []
