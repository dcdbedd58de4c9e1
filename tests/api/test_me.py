"""What an account is told of itself: its labs' settings, what it may do, who lets it."""

from __future__ import annotations

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
