"""``fornix login --public`` and ``fornix password``, over a real socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from functions.api.auth import passwords
from lab import cli
from lab.client.errors import RecordMissing
from tests.api.conftest import Api
from tests.api.conftest import address as address
from tests.api.conftest import api as api

OLD, NEW = "correct horse battery", "staple with seven pens"


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a computer that remembers no account yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("API_URL", "USER", "PASSWORD", "TOKEN", "PROFILE"):
        monkeypatch.delenv(f"FORNIX_{name}", raising=False)
    return tmp_path / "fornix" / "config.json"


def fornix(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.fornix, arguments, input=typed)


def token_in(saved: Path) -> str:
    found: str = json.loads(saved.read_text())["token"]
    return found


def status(api: Api, token: str) -> int:
    return api("GET", "/me", user=None, headers={"Authorization": f"Token {token}"}).status


def test_with_the_published_account_no_name_is_asked_for(
    api: Api, address: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that publishes an account
    passwords.set_password("visitor", "international")
    monkeypatch.setenv("FORNIX_PUBLIC_ACCOUNT", "visitor:international")
    done = fornix("login", "--url", address, "--public")
    assert done.exit_code == 0, done.output
    assert "Logged in as visitor" in done.output
    assert status(api, token_in(saved)) == 200
    assert "international" not in saved.read_text()


def test_a_server_that_publishes_none_is_told_of(
    api: Api, address: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORNIX_PUBLIC_ACCOUNT", raising=False)
    done = fornix("login", "--url", address, "--public")
    assert isinstance(done.exception, RecordMissing)
    assert not saved.exists()


def test_a_changed_password_ends_other_logins_and_this_computer_goes_on(
    api: Api, address: str, saved: Path
) -> None:
    # Given a member who has logged in here and elsewhere
    passwords.set_password("fimbrialab_member", OLD)
    account = ("--user", "fimbrialab_member", "--password", OLD)
    assert fornix("login", "--url", address, *account).exit_code == 0
    first, elsewhere = token_in(saved), api.token("fimbrialab_member")
    # When the present password is wrong, the new one weak or typed differently, nothing changes
    for typed in (f"wrong\n{NEW}\n{NEW}\n", f"{OLD}\n12345678\n12345678\n", f"{OLD}\n{NEW}\nx\n"):
        refused = fornix("password", typed=typed)
        assert refused.exit_code != 0, refused.output
        assert (token_in(saved), status(api, first)) == (first, 200)
    # When it is right
    done = fornix("password", typed=f"{OLD}\n{NEW}\n{NEW}\n")
    assert done.exit_code == 0, done.output
    assert OLD not in done.output
    assert NEW not in done.output
    # Then this computer has a new token, and the former ones have ended
    assert status(api, token_in(saved)) == 200
    assert [status(api, token) for token in (first, elsewhere)] == [403, 403]
    given = {"username": "fimbrialab_member", "password": OLD}
    assert api("POST", "/auth-token", given, user=None).status == 400
    api.ok("POST", "/auth-token", given | {"password": NEW}, user=None)
