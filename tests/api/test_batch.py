"""Batches: done once however often they are sent, all or none, or each write by itself."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from functions.api.routes import batch as route
from shared import catalog
from shared.records import answers, audit
from shared.records.meter import metered
from shared.records.transactions import Transaction
from tests.api.conftest import Answer, Api

MEMBER = "fimbrialab_member"


def new_id() -> str:
    return str(uuid.uuid4())


def weighing(subject: str = "FI_001", weight: float = 24.0, **more: Any) -> dict[str, Any]:
    body = {"id": new_id(), "subject": subject, "weight": weight, **more}
    return {"op": "create", "resource": "weighings", "body": body}


def update(resource: str, key: str, version: int = 0, **body: Any) -> dict[str, Any]:
    return {"op": "update", "resource": resource, "key": key, "version": version, "body": body}


def send(api: Api, writes: list[Any], **more: Any) -> Answer:
    body = {"group": new_id(), "what": "Weigh", "writes": writes, "atomic": True, **more}
    return api("POST", "/batch", body, user=more.pop("user", MEMBER))


def weights() -> list[float]:
    return sorted(row["weight"] for row in catalog.table("weighing").rows())


def test_twenty_weighings_are_one_request_and_at_most_120_write_units(api: Api) -> None:
    animals = [f"FI_{i:03d}" for i in range(10, 30)]
    for name in animals:
        api.ok("POST", "/subjects", {"nickname": name, "lab": "fimbrialab"})
    writes = [weighing(name, 20 + i) for i, name in enumerate(animals)]

    with metered() as cost:
        answer = send(api, writes)

    assert answer.status == 200, answer.raw
    assert [each["status"] for each in answer.body["results"]] == [201] * 20
    assert answer.body["results"][3]["row"]["weight"] == 23
    assert answer.body["results"][3]["version"] > 0
    assert len(weights()) == 20
    assert cost.by_operation["TransactWriteItems"] <= 120, cost


def test_a_batch_that_is_sent_again_is_done_once_and_answered_as_before(api: Api) -> None:
    group = new_id()
    writes = [weighing(weight=21), update("subjects", "FI_002", description="calm")]
    first = send(api, writes, group=group)

    again = send(api, writes, group=group)

    assert (first.status, again.status) == (200, 200)
    assert first.body["results"] == again.body["results"]
    assert weights() == [21]
    assert len(audit.of_group(group)) == 2
    # Somebody else's, or another one by the same id, is refused
    assert send(api, [weighing()], group=group).status == 409
    mine = {"group": group, "what": "Weigh", "writes": writes, "atomic": True}
    assert api("POST", "/batch", mine, user="fimbrialab_manager").status == 409
    assert weights() == [21]


def test_two_sendings_at_the_same_time_are_done_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, writes = new_id(), [weighing(weight=22)]
    commit = Transaction.commit
    inner: list[Answer] = []

    def overtaken(self: Transaction) -> None:
        if not inner:
            monkeypatch.setattr(Transaction, "commit", commit)
            inner.append(send(api, writes, group=group))
        commit(self)

    monkeypatch.setattr(Transaction, "commit", overtaken)
    outer = send(api, writes, group=group)

    assert (outer.status, inner[0].status) == (200, 200), (outer.raw, inner[0].raw)
    assert outer.body["results"] == inner[0].body["results"]
    assert weights() == [22]


def test_all_or_none(api: Api) -> None:
    writes = [weighing(weight=21), weighing("SE_001"), weighing(weight=23)]

    answer = send(api, writes)

    assert answer.status == 403
    assert [each["status"] for each in answer.body["results"]] == [424, 403, 424]
    assert "septumlab" in answer.body["results"][1]["detail"]
    assert weights() == []


def test_each_by_itself(api: Api) -> None:
    group = new_id()
    writes = [weighing(weight=21), weighing("SE_001"), weighing(weight=-1), weighing(weight=23)]

    answer = send(api, writes, group=group, atomic=False)
    again = send(api, writes, group=group, atomic=False)

    assert [each["status"] for each in answer.body["results"]] == [201, 403, 400, 201]
    assert "weight" in answer.body["results"][2]["errors"]
    assert weights() == [21, 23]
    assert again.body["results"] == answer.body["results"]


def test_a_request_that_was_cut_off_goes_on_where_it_was(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = new_id()
    writes = [weighing(weight=20 + i) for i in range(4)]
    do = route._one
    done: list[str] = []

    def cut_off(*arguments: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append("one")
        return do(*arguments)

    monkeypatch.setattr(route, "_one", cut_off)
    with pytest.raises(KeyboardInterrupt):
        send(api, writes, group=group, atomic=False)
    assert weights() == [20, 21]
    monkeypatch.setattr(route, "_one", do)

    answer = send(api, writes, group=group, atomic=False)

    assert [each["status"] for each in answer.body["results"]] == [201] * 4
    assert weights() == [20, 21, 22, 23]


def test_a_stale_version_is_refused_with_the_present_one(api: Api) -> None:
    made = send(api, [weighing(weight=21)]).body["results"][0]
    key, version = made["key"], made["version"]
    fresh = send(api, [update("weighings", key, version, weight=22)])
    assert fresh.body["results"][0]["version"] == version + 1

    stale = send(api, [update("weighings", key, version, weight=23)])
    gone = send(api, [{"op": "delete", "resource": "weighings", "key": key, "version": version}])

    for answer in (stale, gone):
        assert answer.status == 412
        assert answer.body["results"][0]["version"] == version + 1
    assert weights() == [22]


def test_the_writes_of_a_batch_know_of_each_other(api: Api) -> None:
    animal = {"id": new_id(), "nickname": "FI_NEW", "lab": "fimbrialab"}
    writes = [{"op": "create", "resource": "subjects", "body": animal}, weighing("FI_NEW", 12)]

    answer = send(api, writes)

    assert [each["status"] for each in answer.body["results"]] == [201, 201], answer.raw
    assert answer.body["results"][0]["key"] == "FI_NEW"
    assert catalog.table("weighing").rows()[0]["subject"] == "FI_NEW"


def test_what_follows_from_a_write_is_told_too(api: Api) -> None:
    start = {"subject": "FI_001", "reference_weight": 25, "start_time": "2024-07-01T09:00:00"}
    made = api.ok("POST", "/water-restriction", start)

    answer = send(api, [update("subjects", "FI_001", death_date="2024-07-05")])

    told = {(row["kind"], row["key"]) for row in answer.body["rows"]}
    assert ("water-restriction", made["id"]) in told


def test_creating_again_with_ones_own_id_is_no_error(api: Api) -> None:
    body = {"id": new_id(), "subject": "FI_001", "weight": 21, "date_time": "2024-07-01T09:00:00"}
    first = api("POST", "/weighings", body)
    same = api("POST", "/weighings", body)
    other = api("POST", "/weighings", {**body, "weight": 22})

    assert (first.status, same.status, other.status) == (201, 200, 409)
    assert same.body == first.body
    assert "another" in other.body["detail"]
    # also when somebody has changed it meanwhile
    api.ok("PATCH", f"/weighings/{body['id']}", {"weight": 23})
    assert api("POST", "/weighings", body).status == 200
    assert weights() == [23]
    # and a named record, whose name another may have
    animal = {"id": new_id(), "nickname": "FI_NEW", "lab": "fimbrialab"}
    statuses = [
        api("POST", "/subjects", each).status
        for each in (
            animal,
            animal,
            {**animal, "sex": "F"},
            {**animal, "nickname": "FI_ELSE"},
            {**animal, "id": new_id()},
        )
    ]
    assert statuses == [201, 200, 409, 409, 400]


def test_every_row_has_its_version_and_if_match_takes_it(api: Api) -> None:
    made = api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 21})
    path = made["url"].removeprefix("http://fornix.test")
    (listed,) = api.ok("GET", "/weighings")["results"]
    assert made["version"] == listed["version"] == api.ok("GET", path)["version"]

    fresh = api("PATCH", path, {"weight": 22}, headers={"If-Match": f'"{made["version"]}"'})
    stale = api("PATCH", path, {"weight": 23}, headers={"If-Match": f'"{made["version"]}"'})

    assert fresh.status == 200
    assert stale.status == 412
    assert stale.body["version"] == fresh.body["version"] == made["version"] + 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"group": "x"}, "group"),
        ({"writes": []}, "writes"),
        ({"writes": [weighing() for _ in range(21)]}, "writes"),
        ({"writes": [weighing() for _ in range(201)], "atomic": False}, "writes"),
        ({"writes": [{"op": "burn", "resource": "weighings"}]}, "writes"),
        ({"writes": [{"op": "create", "resource": "sessions", "body": {}}]}, "writes"),
        ({"writes": [{"op": "create", "resource": "x" * 3000, "body": {}}]}, "writes"),
        ({"writes": [{"op": "update", "resource": "weighings", "body": {}}]}, "writes"),
        ({"writes": [{"op": "create", "resource": "weighings", "body": []}]}, "writes"),
        ({"writes": "all"}, "writes"),
        ({"what": "x" * 501}, "what"),
        ({"what": 5}, "writes"),
    ],
)
def test_odd_batches_are_refused_and_nothing_is_written(
    api: Api, change: dict[str, Any], field: str
) -> None:
    body = {"group": new_id(), "writes": [weighing()], **change}

    answer = api("POST", "/batch", body)

    assert answer.status == 400, answer.raw
    assert field in answer.body
    assert weights() == []
    assert answers.of_group(body["group"]) == {}


def test_a_single_write_with_a_group_is_done_once(api: Api) -> None:
    group = {"X-Fornix-Group": new_id()}
    body = {"subject": "FI_001", "weight": 21}
    first = api("POST", "/weighings", body, headers=group)

    again = api("POST", "/weighings", body, headers=group)
    other = api("POST", "/weighings", {**body, "weight": 22}, headers=group)
    odd = api("POST", "/weighings", body, headers={"X-Fornix-Group": "x"})

    assert (first.status, again.status, other.status, odd.status) == (201, 200, 409, 400)
    assert again.body["group"] == group["X-Fornix-Group"]
    assert weights() == [21]
    assert len(audit.of_group(group["X-Fornix-Group"])) == 1
    # and it is taken back by its group
    assert api("POST", f"/audit/{group['X-Fornix-Group']}/undo", {}).status == 200
    assert weights() == []
