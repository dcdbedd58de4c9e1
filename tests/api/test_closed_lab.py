"""A lab that is not open: who writes what by routes, in batches and by undo; and why not."""

from __future__ import annotations

import pytest

from shared import catalog
from tests.api.conftest import Answer, Api
from tests.api.test_batch import new_id, send, update, weighing

OWNER = "fimbrialab_member"
OTHERS = ("bob", "carl", "dora", "eve")


@pytest.fixture
def closed(api: Api) -> Api:
    """The lab is closed; bob is the owner's delegate, carl keeps stock, dora keeps animals."""
    for name in OTHERS:
        body = {"username": name, "lab": ["fimbrialab"], "is_stock_manager": name == "carl"}
        api.ok("POST", "/users", {**body, "is_husbandry": name == "dora"}, user="admin")
    api.ok("PATCH", f"/users/{OWNER}", {"allowed_users": ["bob"]}, user="admin")
    api.ok("PATCH", "/labs/fimbrialab", {"open_lab": False}, user="fimbrialab_manager")
    return api


def describe(api: Api, user: str) -> Answer:
    return api("PATCH", "/subjects/FI_001", {"description": user}, user=user)


def test_an_animal_is_changed_by_who_answers_for_it(closed: Api) -> None:
    users = (OWNER, *OTHERS, "fimbrialab_manager", "admin", "septumlab_member")
    may = {user: describe(closed, user).status for user in users}

    assert may == {
        OWNER: 200,
        "bob": 200,
        "carl": 200,
        "dora": 200,
        "eve": 403,
        "fimbrialab_manager": 200,
        "admin": 200,
        "septumlab_member": 403,
    }


def test_a_refusal_names_who_may(closed: Api) -> None:
    said = describe(closed, "eve").body["detail"]

    assert "fimbrialab_member, bob, its stock managers, its husbandry" in said


def test_surgeries_are_not_husbandry_and_weights_are_everybodys(closed: Api) -> None:
    surgery = {"subject": "FI_001", "implant_weight": 1, "start_time": "2024-07-01T09:00:00"}
    named = {**surgery, "users": ["eve"]}  # whoever makes a record does not name oneself into it
    assert closed("POST", "/surgeries", named, user="eve").status == 403
    operate = {u: closed("POST", "/surgeries", surgery, user=u).status for u in OTHERS}
    weigh = {
        user: closed("POST", "/weighings", {"subject": "FI_001", "weight": 20}, user=user).status
        for user in OTHERS
    }

    assert operate == {"bob": 201, "carl": 201, "dora": 403, "eve": 403}
    assert set(weigh.values()) == {201}


def test_anybody_ends_a_restriction_and_nobody_else_changes_it(closed: Api) -> None:
    start = {"subject": "FI_001", "reference_weight": 25, "start_time": "2024-07-01T09:00:00"}
    assert closed("POST", "/water-restriction", start, user="eve").status == 403
    key = closed.ok("POST", "/water-restriction", start)["id"]
    path = f"/water-restriction/{key}"

    change = closed("PATCH", path, {"reference_weight": 10}, user="eve")
    both = {"reference_weight": 10, "end_time": "2024-07-05T09:00:00"}
    hidden = closed("PATCH", path, both, user="eve")
    end = closed("PATCH", path, {"end_time": "2024-07-05T09:00:00"}, user="eve")

    assert (change.status, hidden.status, end.status) == (403, 403, 200)


def test_sessions_are_changed_by_who_answers_for_the_animal_and_by_their_users(
    closed: Api,
) -> None:
    session = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "users": ["eve"]}
    assert closed("POST", "/sessions", session, user="eve").status == 403
    eid = closed.ok("POST", "/sessions", session)["id"]

    may = {
        user: closed("PATCH", f"/sessions/{eid}", {"narrative": user}, user=user).status
        for user in OTHERS
    }

    assert may == {"bob": 200, "carl": 200, "dora": 403, "eve": 200}


def test_batches_and_undo_ask_the_same(closed: Api) -> None:
    group = new_id()
    send(closed, [update("subjects", "FI_001", description="mine")], group=group)

    batch = send(closed, [weighing(), update("subjects", "FI_001", cage="C1")], user="eve")
    undone = closed("POST", f"/audit/{group}/undo", {}, user="eve")

    assert (batch.status, undone.status) == (403, 403)
    assert "its stock managers" in batch.body["results"][1]["detail"]
    assert "its stock managers" in undone.body["detail"]
    assert len(catalog.table("weighing").select()) == 0
    assert closed("POST", f"/audit/{group}/undo", {}, user="bob").status == 200


def test_an_open_lab_is_as_it_was(api: Api) -> None:
    api.ok("POST", "/users", {"username": "eve", "lab": ["fimbrialab"]}, user="admin")

    assert describe(api, "eve").status == 200
    assert api("PATCH", "/labs/fimbrialab", {"open_lab": False}).status == 403


def closed_rows(api: Api, user: str) -> set[str]:
    """Return the animals and surgeries that a first load marks as not the caller's to change."""
    found = set()
    for block in api.ok("GET", "/changes?kinds=subject,surgery", user=user)["blocks"]:
        found |= {f"{block['kind']} {block['keys'][i]}" for i in block.get("closed", ())}
    return found


def test_a_device_is_told_which_rows_its_user_may_not_change(closed: Api) -> None:
    surgery = {"subject": "FI_001", "implant_weight": 1, "start_time": "2024-07-01T09:00:00"}
    made = closed.ok("POST", "/surgeries", {**surgery, "users": []})["id"]
    animals = {"subject FI_001", "subject FI_002"}

    # What the mark says is what the routes say
    assert closed_rows(closed, "eve") == animals | {f"surgery {made}"}
    assert closed_rows(closed, "dora") == {f"surgery {made}"}
    for user in (OWNER, "bob", "carl", "fimbrialab_manager", "admin"):
        assert closed_rows(closed, user) == set()

    # A change of who answers for the animal marks its records anew
    since = closed.ok("GET", "/changes?kinds=subject,surgery", user="eve")["next"]
    given = {"responsible_user": "eve"}
    closed.ok("PATCH", "/subjects/FI_001", given, user="fimbrialab_manager")
    where = f"/changes?kinds=subject,surgery&since={since}"
    rows = closed.ok("GET", where, user="eve")["rows"]
    told = {f"{row['kind']} {row['key']}": row.get("closed", False) for row in rows}
    assert told == {"subject FI_001": False, f"surgery {made}": False}


def test_what_may_be_changed_is_told_anew_when_rights_change(closed: Api) -> None:
    since = closed.ok("GET", "/changes?kinds=subject", user="eve")["next"]
    lets = {"allowed_users": ["bob", "eve"]}
    closed.ok("PATCH", f"/users/{OWNER}", lets, user="admin")
    assert closed("GET", f"/changes?kinds=subject&since={since}", user="eve").status == 410
    assert closed_rows(closed, "eve") == set()
    # An open lab has no marks at all
    closed.ok("PATCH", "/labs/fimbrialab", {"open_lab": True}, user="fimbrialab_manager")
    blocks = closed.ok("GET", "/changes?kinds=subject", user="eve")["blocks"]
    assert all("closed" not in block for block in blocks)
