"""One request gives a tag to many datasets, or takes it: what is refused stops no other."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from tests.api.test_visibility import MANAGER, dataset_of, private_session

NONE = "00000000-0000-4000-8000-000000000000"


def tags_of(api: Api, dataset: str) -> list[str]:
    tags: list[str] = api.ok("GET", f"/datasets/{dataset}")["tags"]
    return tags


def test_datasets_get_and_lose_a_tag_and_keep_their_others(api: Api) -> None:
    # Given three datasets, one of them with another tag
    session = private_session(api)
    names = ("trials.table.pqt", "wheel.position.npy", "licks.times.npy")
    first, second, third = (dataset_of(api, session, name) for name in names)
    for tag in ("paper", "other"):
        api.ok("POST", "/tags", {"name": tag})
    api.ok("PATCH", f"/datasets/{first}", {"tags": ["other"]})
    # When all get a tag by one request, one of them named twice, and one that does not exist
    add = [first, second, third, second, NONE]
    answer = api.ok("POST", "/tags/paper/datasets", {"add": add})
    # Then they have it beside their own, and what is wrong is told of that one alone
    assert (answer["changed"], answer["unchanged"]) == (3, 0)
    assert [(row["dataset"], row["status"]) for row in answer["refused"]] == [(NONE, 404)]
    assert sorted(tags_of(api, first)) == ["other", "paper"]
    # and a repeated request changes nothing, while another takes it from one
    again = api.ok("POST", "/tags/paper/datasets", {"add": [first, second], "remove": [third]})
    assert (again["changed"], again["unchanged"], again["refused"]) == (1, 2, [])
    assert (tags_of(api, second), tags_of(api, third)) == (["paper"], [])


def test_each_dataset_is_judged_as_by_its_own_route(api: Api) -> None:
    dataset = dataset_of(api, private_session(api))
    # Given a tag that is a public release: giving it publishes
    api.ok("POST", "/tags", {"name": "shown", "public": True}, user=MANAGER)
    # When a member gives it, it is refused as by PATCH, and a manager may
    alone = api("PATCH", f"/datasets/{dataset}", {"tags": ["shown"]})
    (refused,) = api.ok("POST", "/tags/shown/datasets", {"add": [dataset]})["refused"]
    assert (refused["status"], refused["detail"]) == (alone.status, alone.body["detail"])
    assert tags_of(api, dataset) == []
    answer = api.ok("POST", "/tags/shown/datasets", {"add": [dataset]}, user=MANAGER)
    assert answer["changed"] == 1


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 400, "1 to 200 datasets"),
        ({"add": [NONE] * 201}, 400, "1 to 200 datasets"),
        ({"add": NONE}, 400, "Expected `array`"),
        ({"add": [7]}, 400, "Expected `str`"),
        ({"add": [NONE], "more": []}, 400, "unknown field `more`"),
        ({"add": [NONE], "remove": [NONE]}, 400, "is in add, too"),
    ],
)
def test_a_bad_request_changes_nothing(api: Api, body: object, status: int, told: str) -> None:
    api.ok("POST", "/tags", {"name": "paper"})
    answer = api("POST", "/tags/paper/datasets", body)
    assert answer.status == status
    assert told in answer.raw.decode()
    missing = api("POST", "/tags/nowhere/datasets", {"add": [NONE]})
    assert (missing.status, "POST /tags" in missing.body["detail"]) == (404, True)
