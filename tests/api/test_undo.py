"""Taking back what was done in one go: the records, and what followed from them."""

from __future__ import annotations

from typing import Any

import pytest

from shared import catalog
from shared.records import audit
from tests.api.conftest import Answer, Api
from tests.api.test_batch import new_id, send, update, weighing, weights


def undo(api: Api, group: str, **more: Any) -> Answer:
    return api("POST", f"/audit/{group}/undo", {}, **more)


def subject(name: str = "FI_001") -> dict[str, Any]:
    row = catalog.table("subject").get(name)
    assert row is not None
    return {name: value for name, value in row.items() if name != "_version"}


def test_what_was_made_and_changed_is_as_before(api: Api) -> None:
    group = new_id()
    before = subject("FI_002")
    made = [weighing(weight=20 + i) for i in range(5)]
    send(api, [*made, update("subjects", "FI_002", description="calm", sex="F")], group=group)

    answer = undo(api, group)

    assert answer.status == 200, answer.raw
    assert weights() == []
    assert subject("FI_002") == before
    told = {(row["kind"], row["key"]): row["row"] for row in answer.body["rows"]}
    assert told["weighing", made[0]["body"]["id"]] is None
    assert not told["subject", "FI_002"]["description"]
    # It is a group of its own, and can be taken back too
    again = undo(api, answer.body["group"])
    assert again.status == 200, again.raw
    assert weights() == [20, 21, 22, 23, 24]
    assert subject("FI_002")["description"] == "calm"


def test_what_followed_from_a_write_is_taken_back_too(api: Api) -> None:
    start = {"subject": "FI_001", "reference_weight": 25, "start_time": "2024-07-01T09:00:00"}
    key = api.ok("POST", "/water-restriction", start)["id"]
    before = subject()
    group = new_id()
    send(api, [update("subjects", "FI_001", death_date="2024-07-05")], group=group)
    ended = catalog.table("water-restriction").get(key)
    assert ended is not None
    assert ended["end_time"]

    assert undo(api, group).status == 200

    assert subject() == before
    now = catalog.table("water-restriction").get(key)
    assert now is not None
    assert now["end_time"] is None


def test_what_was_deleted_is_there_again_with_its_id(api: Api) -> None:
    made = weighing(weight=21)
    send(api, [made])
    group = new_id()
    key = made["body"]["id"]
    send(api, [{"op": "delete", "resource": "weighings", "key": key}], group=group)
    assert weights() == []

    undo(api, group)

    assert weights() == [21]
    assert api.ok("GET", f"/weighings/{key}")["weight"] == 21
    actions = [each.action for each in audit.history("weighing", key)]
    assert actions == ["create", "delete", "create"]


def test_what_others_changed_since_is_kept_and_named(api: Api) -> None:
    group = new_id()
    send(api, [weighing(weight=21), update("subjects", "FI_001", ear_mark="L")], group=group)
    api.ok("PATCH", "/subjects/FI_001", {"description": "limps"}, user="fimbrialab_manager")

    answer = undo(api, group)

    assert answer.status == 409
    assert answer.body["fields"] == {"subject FI_001": ["description"]}
    assert "description" in answer.body["detail"]
    assert weights() == [21]
    assert subject()["ear_mark"] == "L"


def test_what_was_deleted_since_is_not_made_again(api: Api) -> None:
    group, made = new_id(), weighing(weight=21)
    send(api, [made], group=group)
    api.ok("DELETE", f"/weighings/{made['body']['id']}")

    answer = undo(api, group)

    assert answer.status == 409
    assert list(answer.body["fields"].values()) == [["deleted"]]


def test_an_animal_that_was_weighed_since_stays(api: Api) -> None:
    group = new_id()
    body = {"id": new_id(), "nickname": "FI_NEW", "lab": "fimbrialab"}
    send(api, [{"op": "create", "resource": "subjects", "body": body}], group=group)
    send(api, [weighing("FI_NEW", 12)])

    answer = undo(api, group, user="fimbrialab_manager")

    assert answer.status == 409
    assert weights() == [12]
    assert subject("FI_NEW")["lab"] == "fimbrialab"


def test_an_undo_that_is_sent_again_is_done_once(api: Api) -> None:
    group = new_id()
    send(api, [weighing(weight=21)], group=group)
    first = undo(api, group)

    again = undo(api, group)

    assert (first.status, again.status) == (200, 200)
    assert again.body["group"] == first.body["group"]
    assert len(audit.of_group(first.body["group"])) == 1


def test_several_writes_of_one_record_are_taken_back_to_the_first(api: Api) -> None:
    group = new_id()
    writes = [update("subjects", "FI_001", description=f"day {n}") for n in range(3)]
    send(api, writes, group=group, atomic=False)

    assert undo(api, group).status == 200

    assert not subject().get("description")


def test_single_writes_are_groups_too(api: Api) -> None:
    made = api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 21})
    (entry,) = api.ok("GET", f"/audit?kind=weighing&key={made['url'].rpartition('/')[2]}")[
        "results"
    ]

    assert undo(api, entry["group"]).status == 200
    assert weights() == []


def test_members_undo_in_their_own_lab_alone(api: Api) -> None:
    group = new_id()
    send(api, [weighing(weight=21)], group=group)

    assert undo(api, group, user="septumlab_member").status == 404
    assert undo(api, group, user="fimbrialab_rig").status == 403
    assert weights() == [21]
    assert undo(api, group, user="fimbrialab_manager").status == 200


UNKNOWN = "6f1c9a52-0d1e-4b7a-9a33-5f0f4c1b2a77"
"""A group of no request; the same in each process that collects the tests."""


@pytest.mark.parametrize(("group", "status"), [("x", 400), (UNKNOWN, 404)])
def test_what_is_no_group_is_not_undone(api: Api, group: str, status: int) -> None:
    assert undo(api, group).status == status


def test_accounts_are_not_undone(api: Api) -> None:
    body = {"username": "new_one", "lab": ["fimbrialab"]}
    api.ok("POST", "/users", body, user="admin")
    (entry,) = api.ok("GET", "/audit?kind=user&key=new_one", user="admin")["results"]

    assert undo(api, entry["group"], user="admin").status == 409


def last_group(api: Api, kind: str, key: str) -> str:
    return str(api.ok("GET", f"/audit?kind={kind}&key={key}", user="admin")["results"][0]["group"])


def protected_tag(api: Api, eid: str) -> None:
    """Give a dataset of septumlab a tag that protects it."""
    api.ok("POST", "/tags", {"name": "kept"}, user="admin")
    dataset = {"session": eid, "name": "a.b.npy", "tags": ["kept"]}
    api.ok("POST", "/datasets", dataset, user="admin")


def test_what_a_caller_may_not_write_is_not_undone(api: Api) -> None:
    # Given what an administrator did: protected data, published it, gave up a release's tag
    start = {"subject": "SE_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", start, user="admin")["id"]
    protected_tag(api, eid)
    api.ok("PATCH", "/tags/kept", {"protected": True, "public": True}, user="admin")
    published = last_group(api, "tag", "kept")
    api.ok("POST", "/tags", {"name": "old", "protected": True, "public": True}, user="admin")
    api.ok("DELETE", "/tags/old", user="admin")
    given_up = last_group(api, "tag", "old")
    far = {"name": "far", "data_url": "https://far.example/"}
    api.ok("POST", "/data-repository", far, user="admin")
    api.ok("PATCH", "/labs/septumlab", {"repositories": ["far"]}, user="admin")
    api.ok("PATCH", "/data-repository/far", {"data_url": "https://new.example/"}, user="admin")
    moved = last_group(api, "data-repository", "far")
    # When members and managers of another lab take it back, then they are refused
    for user in ("fimbrialab_member", "fimbrialab_manager"):
        for group in (published, moved):
            assert undo(api, group, user=user).status == 403, (user, group)
    assert undo(api, given_up).status == 403
    assert api.ok("GET", "/tags/kept")["protected"]
    assert api.ok("GET", "/data-repository/far")["data_url"] == "https://new.example/"
    assert api("GET", "/tags/old").status == 404
    # and who may, does
    assert undo(api, published, user="admin").status == 200
    assert undo(api, moved, user="admin").status == 200
    assert undo(api, given_up, user="fimbrialab_manager").status == 200


def test_what_people_were_told_of_a_transfer_goes_with_it(api: Api) -> None:
    # Given an animal that changes hands, of which both are told
    before = subject()
    body = {"subjects": ["FI_001"], "to": "fimbrialab_manager"}
    group = new_id()
    headers = {"X-Fornix-Group": group}
    api.ok("POST", "/subjects/transfer", body, user="fimbrialab_manager", headers=headers)
    told = catalog.table("notification").select([]).values("id")
    assert told
    # When it is taken back by who did it
    answer = undo(api, group, user="fimbrialab_manager")
    # Then it is as before, and what they were told is gone
    assert answer.status == 200, answer.raw
    assert subject() == before
    assert not told & catalog.table("notification").select([]).values("id")


def test_a_view_of_ones_own_is_taken_back_by_its_owner_alone(api: Api) -> None:
    group = new_id()
    view = {"lab": "fimbrialab", "screen": "mice", "name": "Mine", "filters": {}}
    view |= {"id": new_id(), "user": "fimbrialab_member"}
    send(api, [{"op": "create", "resource": "views", "body": view}], group=group)
    assert undo(api, group, user="fimbrialab_manager").status == 404
    assert undo(api, group).status == 200
    assert len(catalog.table("view").select([])) == 0
