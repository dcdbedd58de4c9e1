"""What an account is told of itself: its labs' settings, what it may do, who lets it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.model import moment
from tests.api.conftest import Api

MEMBER = "fimbrialab_member"


def test_a_member_is_told_its_lab_its_permissions_and_who_lets_it(api: Api) -> None:
    # Given a colleague who lets the member change her animals
    api.ok("PATCH", "/users/fimbrialab_manager", {"allowed_users": [MEMBER]}, user="admin")

    me = api.ok("GET", "/me")

    assert (me["username"], me["role"], me["labs"]) == (MEMBER, "member", ["fimbrialab"])
    settings = me["lab_settings"]["fimbrialab"]
    assert (settings["timezone"], settings["reference_weight_pct"]) == ("Europe/Lisbon", 0.8)
    assert me["delegating"] == ["fimbrialab_manager"]
    assert me["delegates"] == []
    assert set(me["permissions"]["weighings"]) == {
        *("list", "read", "create", "update", "partial_update", "delete")
    }
    assert me["permissions"]["users"] == ["list", "read"]
    assert me["preferences"] == {}
    assert me["notification_rules"] == []


def test_an_account_for_the_public_is_told_that_it_only_reads(api: Api) -> None:
    me = api.ok("GET", "/me", user="visitor")

    assert {each for may in me["permissions"].values() for each in may} == {"list", "read"}
    assert (me["labs"], me["lab_settings"]) == ([], {})


def test_machines_are_told_what_they_may(api: Api) -> None:
    me = api.ok("GET", "/me", user="fimbrialab_rig")

    assert "create" in me["permissions"]["weighings"]
    assert "delete" not in me["permissions"]["weighings"]


def test_people_set_their_own_names_address_and_quiet_hours_and_nothing_else(api: Api) -> None:
    body = {"first_name": "Anna", "email": "anna@example.org", "quiet_hours": "22:00-07:00"}
    me = api.ok("PATCH", "/me", {**body, "preferences": {"theme": "dark"}})
    assert {name: me[name] for name in body} == body
    assert api.ok("GET", "/me")["preferences"] == {"theme": "dark"}
    # What an account may do is not its own to say
    for name, value in (("role", "administrator"), ("lab", ["septumlab"]), ("is_active", False)):
        refused = api("PATCH", "/me", {name: value, "first_name": "Eve"})
        assert (refused.status, "Managers and administrators" in refused.body["detail"]) == (
            403,
            True,
        ), refused.raw
    assert api("PATCH", "/users/" + MEMBER, {"first_name": "Eve"}).status == 403
    assert api.ok("GET", "/me")["first_name"] == "Anna"
    for wrong in ({"email": "a@b.org, c@d.org"}, {"email": "x"}, {"quiet_hours": "night"}):
        answer = api("PATCH", "/me", wrong)
        assert (answer.status, next(iter(answer.body))) == (400, *wrong), answer.raw
    for user in ("visitor", "fimbrialab_rig"):
        assert api("PATCH", "/me", {"first_name": "Eve"}, user=user).status == 403


def test_a_membership_that_has_ended_gives_no_rights(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 6, 3, 12, tzinfo=UTC)
    monkeypatch.setattr(moment, "now", lambda: now)
    ends = {"user": MEMBER, "lab": "fimbrialab", "end_date": "2026-06-03"}
    api.ok("POST", "/lab-memberships", ends, user="admin")
    begins = {"user": MEMBER, "lab": "septumlab", "start_date": "2026-06-04"}
    api.ok("POST", "/lab-memberships", begins, user="admin")
    weight = {"weight": 25, "unusual": True}

    def may(subject: str) -> bool:
        return api("POST", "/weighings", {**weight, "subject": subject}).status == 201

    # Given its last day, when that is over in the lab, nobody has to write anything
    assert (api.ok("GET", "/me")["labs"], may("FI_001"), may("SE_001")) == (
        *(["fimbrialab"], True, False),
    )
    now = datetime(2026, 6, 3, 23, 30, tzinfo=UTC)
    assert (api.ok("GET", "/me")["labs"], may("FI_001"), may("SE_001")) == (
        *(["septumlab"], False, True),
    )
