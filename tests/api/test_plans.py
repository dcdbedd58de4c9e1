"""What a request writes is one transaction: all of it, or nothing, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from functions.api import permissions
from functions.api.call import Call
from functions.api.engine.declarations import KINDS, RESOURCES
from functions.api.engine.plan import Plan, planned
from functions.api.engine.writes import write
from functions.api.errors import ApiError, Invalid
from shared import catalog
from shared.model.people import Caller, Role
from shared.records import audit, documents, leaving
from shared.records.errors import TooLarge
from shared.records.transactions import Transaction
from tests.api.conftest import Api

MEMBER = Caller("fimbrialab_member", Role.MEMBER, ("fimbrialab",), is_public=False)


@pytest.fixture
def call(api: Api) -> Call:
    """A request of a member, as a route of many writes has it."""
    request = SimpleNamespace(path="/batch", method="POST", headers={}, query_params=None)
    made = Call(request)
    made.__dict__.update(who=MEMBER, rule=permissions.Rule(frozenset(Role)))
    catalog.start_request()
    return made


def mouse_with_weight(plan: Plan) -> str:
    """Plan a new animal and its first weight, as a batch would."""
    subject = {"nickname": "NEW_1", "lab": "fimbrialab"}
    write(plan, "create", RESOURCES["subjects"], None, subject)
    weight = {"subject": "NEW_1", "weight": 20.5}
    record = write(plan, "create", RESOURCES["weighings"], None, weight)
    assert record is not None
    return record.key


def test_two_records_of_one_plan_know_each_other_and_are_written_together(
    api: Api, call: Call
) -> None:
    commits = 0
    commit = Transaction.commit

    def counted(self: Transaction) -> None:
        nonlocal commits
        commits += 1
        commit(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "commit", counted)
        key = planned(call, mouse_with_weight, whole=True)
    assert commits == 1
    assert api.ok("GET", f"/weighings/{key}")["subject"] == "NEW_1"
    (born,) = audit.history("subject", "NEW_1")
    (weighed,) = audit.history("weighing", key)
    assert born.group == weighed.group is not None
    assert (born.record, born.who, born.action) == (
        ("subject", "NEW_1"),
        "fimbrialab_member",
        "create",
    )
    assert born.version == documents.get("subject", "NEW_1").version


def test_a_stop_at_the_commit_leaves_nothing_of_either(
    api: Api, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Transaction) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            planned(call, mouse_with_weight, whole=True)
    assert api("GET", "/subjects/NEW_1").status == 404
    assert api.ok("GET", "/weighings")["count"] == 0


def test_what_the_second_write_is_refused_for_takes_the_first_back(api: Api, call: Call) -> None:
    def steps(plan: Plan) -> None:
        mouse_with_weight(plan)
        write(plan, "create", RESOURCES["weighings"], None, {"subject": "NEW_2", "weight": 20})

    with pytest.raises(Invalid) as refused:
        planned(call, steps)
    assert refused.value.body["subject"] == ["Object with nickname=NEW_2 does not exist."]
    assert api("GET", "/subjects/NEW_1").status == 404


def test_an_effect_is_in_the_transaction_of_what_it_follows_from(api: Api, call: Call) -> None:
    start = {"subject": "FI_001", "reference_weight": 20}
    made = api.ok("POST", "/water-restriction", start)
    entries = [
        *audit.history("water-restriction", made["id"]),
        list(audit.history("subject", "FI_001"))[-1],
    ]
    assert len({entry.group for entry in entries}) == 1
    assert entries[-1].after == {"protocol_number": "3"}


def test_writes_of_one_record_fold_into_one_and_effects_see_the_last(api: Api, call: Call) -> None:
    def steps(plan: Plan) -> None:
        for cage in "abc":
            plan.change(KINDS["subject"], "FI_001", lambda body, to=cage: {**body, "cage": to})
        assert plan.get("subject", "FI_001")["cage"] == "c"  # type: ignore[index]

    before = documents.get("subject", "FI_001").version
    planned(call, steps)
    (entry,) = audit.history("subject", "FI_001")
    assert entry.after == {"cage": "c"}
    assert documents.get("subject", "FI_001").version == before + 1


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Let somebody act just before the next commit."""
    commit = Transaction.commit

    def stopped(self: Transaction) -> None:
        monkeypatch.setattr(Transaction, "commit", commit)
        act()
        commit(self)

    monkeypatch.setattr(Transaction, "commit", stopped)


def test_a_plan_is_made_again_from_what_others_wrote_meanwhile(
    api: Api, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def steps(plan: Plan) -> None:
        cage = plan.get("subject", "FI_001").get("cage")  # type: ignore[union-attr]
        seen.append(cage)
        plan.change(KINDS["subject"], "FI_001", lambda body: {**body, "cage": f"{cage}+"})

    between(monkeypatch, lambda: api.ok("PATCH", "/subjects/FI_001", {"cage": "theirs"}))
    planned(call, steps)
    assert seen == [None, "theirs"]
    assert documents.get("subject", "FI_001").body["cage"] == "theirs+"


def test_what_was_only_read_to_decide_is_held_too(
    api: Api, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a change of one animal that another's state decides, when that one changes."""
    seen = []

    def steps(plan: Plan) -> None:
        other = plan.change(KINDS["subject"], "FI_002", lambda body: body).body or {}
        seen.append(other.get("cage"))
        plan.change(KINDS["subject"], "FI_001", lambda body: {**body, "cage": "x"})

    between(monkeypatch, lambda: api.ok("PATCH", "/subjects/FI_002", {"cage": "moved"}))
    planned(call, steps)
    assert seen == [None, "moved"]


def test_what_does_not_fit_into_one_transaction_is_refused_if_it_has_to(
    api: Api, call: Call
) -> None:
    def steps(plan: Plan) -> None:
        for number in range(60):
            row = {"name": f"place{number}", "description": ""}
            write(plan, "create", RESOURCES["projects"], None, row)

    with pytest.raises(TooLarge, match="send fewer"):
        planned(call, steps, whole=True)
    assert api.ok("GET", "/projects")["count"] == 1
    planned(call, steps)
    assert api.ok("GET", "/projects")["count"] == 61


def test_a_version_that_is_not_the_present_one_is_refused(api: Api, call: Call) -> None:
    version = int(documents.get("subject", "FI_001").version)

    def change(wanted: int) -> None:
        row = {"cage": "c"}
        planned(call, lambda p: write(p, "update", RESOURCES["subjects"], "FI_001", row, wanted))

    change(version)
    with pytest.raises(ApiError) as stale:
        change(version)
    assert stale.value.status == 412


def test_a_deletion_that_is_refused_leaves_no_mark(api: Api) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"projects": ["demo"]})
    assert api("DELETE", "/projects/demo", user="admin").status == 409
    leaving.check_there([("project", "demo")])
    api.ok("PATCH", "/subjects/FI_002", {"projects": ["demo"]})


def test_a_deletion_that_was_cut_short_is_no_hindrance_for_long(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving.mark(("project", "demo"), leaving.new_mark("somebody"))
    answer = api("PATCH", "/subjects/FI_001", {"projects": ["demo"]})
    assert (answer.status, answer.body["detail"]) == (
        409,
        "project 'demo' is being deleted. Try again.",
    )
    monkeypatch.setattr(leaving, "LASTS", -leaving.LASTS)
    api.ok("PATCH", "/subjects/FI_001", {"projects": ["demo"]})
