"""``fornix embargo``: one command for releases, projects, animals and sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab import cli
from tests.flow import LAB, SUBJECT
from tests.releases.conftest import TAG, Published

pytestmark = pytest.mark.integration

NAME = f"{SUBJECT}/2024-07-01/001"
DAY, LATER = "2090-01-01", "2095-06-01"


@pytest.fixture
def embargo(published: Published, tmp_path: Path) -> Any:
    """Runs the command as a user of the lab."""

    def run(*arguments: str, role: str = "manager") -> Result:
        env = published.system.environment(role) | {"XDG_CONFIG_HOME": str(tmp_path)}
        return CliRunner().invoke(cli.fornix, ["embargo", *arguments], env=env)

    return run


def state(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_last_day_of_session_animal_and_project_counts_and_each_is_lifted(
    published: Published, embargo: Any
) -> None:
    admin, eid = published.system.client_of("admin"), published.eids[0]
    admin.post("/projects", {"name": "paper"})
    admin.patch(f"/labs/{LAB}", {"timezone": "America/New_York"})
    published.manager.patch(f"/sessions/{eid}", {"public": True, "projects": ["paper"]})
    assert state(embargo("show", NAME, "--json"))["public"] is True
    # Given a day of each; a dry run changes nothing
    would = state(embargo("set", NAME, "--until", DAY, "--dry-run", "--json"))
    assert (would["until"], would["public"]) == (DAY, False)
    assert state(embargo("show", NAME, "--json"))["until"] is None
    state(embargo("set", NAME, "--until", DAY, "--json"))
    held = state(embargo("set", SUBJECT, "--until", LATER, "--json"))
    assert (held["kind"], held["sessions"], held["public"]) == ("subject", 2, None)
    state(embargo("set", "paper", "--until", DAY, "--json"))
    # Then the last one counts, from its midnight in the lab on
    found = state(embargo("show", NAME, "--json"))
    assert found["of"] == {"session": DAY, "subject": LATER, "project paper": DAY}
    assert (found["counts"], found["public"]) == (LATER, False)
    assert found["ends"] == f"{LATER}T04:00:00+00:00"
    told = embargo("show", eid).output
    assert f"held until {LATER}" in told
    assert "does not see it" in told
    # and it is public once all are lifted
    for what in (SUBJECT, "paper", NAME):
        assert state(embargo("show", NAME, "--json"))["public"] is False
        state(embargo("lift", what, "--json"))
    assert state(embargo("show", NAME, "--json"))["public"] is True


def test_a_release_is_held_back_again_and_one_that_nobody_sees_is_not(
    published: Published, embargo: Any
) -> None:
    published.create()
    early = embargo("set", TAG, "--until", DAY)
    assert early.exit_code == 1
    assert f"fornix release publish {TAG}@1 --embargo {DAY}" in early.output
    published.publish()
    assert state(embargo("show", TAG, "--json"))["public"] is True
    found = state(embargo("set", f"{TAG}@1", "--until", DAY, "--json"))
    assert (found["kind"], found["name"], found["public"]) == ("release", f"{TAG}@1", False)
    assert state(embargo("lift", TAG, "--json"))["public"] is True


def test_what_is_not_there_or_two_things_or_not_allowed_says_the_next_step(
    published: Published, embargo: Any
) -> None:
    published.system.client_of("admin").post("/projects", {"name": SUBJECT})
    assert "SUBJECT/2024-07-01/001" in embargo("show", "nothing").output
    assert "--as project" in embargo("show", SUBJECT).output
    assert state(embargo("show", SUBJECT, "--as", "subject", "--json"))["kind"] == "subject"
    assert embargo("set", NAME, "--until", "soon").exit_code == 2
    refused = embargo("set", SUBJECT, "--as", "subject", "--until", DAY, role="member")
    assert refused.exit_code == 1
    for name in ("../labs", "a b/c", "'; --", "x" * 300, "%00"):
        assert embargo("show", name).exit_code == 1, name
