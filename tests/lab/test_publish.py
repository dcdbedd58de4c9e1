"""Who may see sessions, said by a manager in one command."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lab import cli
from tests.flow import LAB, SUBJECT

pytestmark = pytest.mark.integration


@pytest.fixture
def sessions(system):
    """Ids of two sessions of the mouse, as a rig makes them."""
    rig = system.client("rig")
    bodies = [
        {"subject": SUBJECT, "start_time": f"2024-07-0{day}T10:00:00", "number": 1}
        for day in (1, 2)
    ]
    return [rig.post("/sessions", body)["url"][-36:] for body in bodies]


def fornix(system, role, *arguments):
    return CliRunner().invoke(cli.fornix, arguments, env=system.environment(role))


def seen_by_public(system):
    """Return the ids of the sessions that a caller without account is shown."""
    import requests

    return {
        row["id"] for row in requests.get(f"{system.url}/sessions", timeout=30).json()["results"]
    }


def test_a_mouse_is_published_and_withdrawn(system, sessions):
    # Given private sessions, and a manager who first looks what would happen
    looked = fornix(system, "manager", "publish", SUBJECT, "--dry-run", "--json")
    assert [json.loads(line)["session"] for line in looked.stdout.splitlines()] == sessions[::-1]
    assert not seen_by_public(system)

    # When the mouse is published, everybody sees its sessions
    assert fornix(system, "manager", "publish", SUBJECT).exit_code == 0
    assert seen_by_public(system) == set(sessions)

    # and when one is withdrawn by its name, the other stays
    name = f"{LAB}/{SUBJECT}/2024-07-01/001"
    assert fornix(system, "manager", "withdraw", name).exit_code == 0
    assert seen_by_public(system) == {sessions[1]}


def test_an_embargo_keeps_it_hidden_until_its_day(system, sessions):
    done = fornix(system, "manager", "publish", sessions[0], "--embargo", "2099-01-01")

    assert done.exit_code == 0
    assert "public from 2099-01-01" in done.output
    assert not seen_by_public(system)


def test_a_member_is_told_who_may(system, sessions):
    done = fornix(system, "member", "publish", SUBJECT)

    assert done.exit_code == 1
    assert done.output.count("refused") == 2
    assert "manager" in done.output.lower()
    assert not seen_by_public(system)


@pytest.mark.parametrize("what", ["NOBODY_1", f"{SUBJECT}/2031-01-01/001"])
def test_a_name_that_means_nothing_is_told(system, what):
    done = fornix(system, "manager", "publish", what)

    assert done.exit_code == 1
    assert "There is no session" in done.output
