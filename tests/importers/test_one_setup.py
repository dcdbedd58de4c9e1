"""``fornix one-setup``: the real ONE-api constructs from its files without a question."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import one.params
import pytest

from lab.commands.one_setup import server_key

URLS = [
    "http://127.0.0.1:8000",
    "https://alyx.Example.ORG/api/",
    "https://abc-1.execute-api.eu-west-1.amazonaws.com/v1",
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def fornix(home: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its user does."""
    command = [sys.executable, "-c", "from lab.cli import main; main()", *args]
    env = {"PATH": os.environ["PATH"], "HOME": str(home)} | env
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def setup(home: Path, alyx: Any, *args: str) -> subprocess.CompletedProcess[str]:
    return fornix(home, "one-setup", "--url", alyx.url, *args, FORNIX_TOKEN=alyx.token)


@pytest.mark.parametrize("url", URLS)
def test_the_server_has_the_name_that_one_gives_it(url):
    assert server_key(url) == one.params._key_from_url(url)


def test_one_constructs_without_a_question(alyx, home):
    # Given a home where ONE has never been set up
    done = setup(home, alyx)
    assert done.returncode == 0, done.stderr
    # When ONE() is called with nobody to answer
    code = "from one.api import ONE; o = ONE()"
    code += "; lab = o.alyx.rest('labs', 'list')[0]['name']"
    code += "; print(o.alyx.base_url, o.alyx.user, o.mode, lab)"
    one_api = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Then it is connected as the owner of the token, and can ask
    assert one_api.returncode == 0, one_api.stderr
    assert one_api.stdout.split() == [alyx.url, "ada", "remote", "cortexlab"]
    # and its data server is Fornix's, with the token as password
    par = json.loads((home / ".one" / f".{server_key(alyx.url)}").read_text())
    assert par["HTTP_DATA_SERVER"] == alyx.url + "/data"
    assert (par["HTTP_DATA_SERVER_LOGIN"], par["HTTP_DATA_SERVER_PWD"]) == ("ada", alyx.token)


def test_files_are_for_their_owner_only(alyx, home):
    setup(home, alyx)
    for file in (home / ".one").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / ".one").stat().st_mode) == 0o700


def test_a_password_is_exchanged_for_a_token(alyx, home):
    done = fornix(
        home,
        *("one-setup", "--json", "--url", alyx.url),
        FORNIX_USER="ada",
        FORNIX_PASSWORD="pw",
    )
    assert json.loads(done.stdout)["user"] == "ada"
    text = (home / ".one" / f".{server_key(alyx.url)}").read_text()
    assert alyx.token in text
    assert '"pw"' not in text


def test_other_servers_stay_as_they_are(alyx, home):
    # Given a user of another server
    folder = home / ".one"
    folder.mkdir()
    caches = {"CLIENT_MAP": {"openalyx.org": "/data/one"}, "DEFAULT": "openalyx.org"}
    (folder / ".caches").write_text(json.dumps(caches))
    (folder / ".openalyx.org").write_text('{"ALYX_URL": "https://openalyx.org"}')
    # When Fornix is added
    done = setup(home, alyx, "--json")
    # Then the other is still known, and still the default
    assert json.loads(done.stdout)["default"] is False
    now = json.loads((folder / ".caches").read_text())
    assert now["DEFAULT"] == "openalyx.org"
    assert now["CLIENT_MAP"]["openalyx.org"] == "/data/one"
    assert set(now["CLIENT_MAP"]) == {"openalyx.org", server_key(alyx.url)}
    assert (folder / ".openalyx.org").read_text() == '{"ALYX_URL": "https://openalyx.org"}'
    # unless it is asked for
    done = setup(home, alyx, "--json", "--default")
    assert json.loads(done.stdout)["default"] is True


def test_parameters_of_the_same_server_are_replaced_only_by_force(alyx, home):
    folder = home / ".one"
    folder.mkdir()
    file = folder / f".{server_key(alyx.url)}"
    theirs = {"ALYX_URL": alyx.url, "ALYX_LOGIN": "grace", "EXTRA": 1}
    file.write_text(json.dumps(theirs))
    done = setup(home, alyx)
    assert done.returncode == 1
    assert "--force" in done.stderr
    assert json.loads(file.read_text()) == theirs
    assert not (folder / ".caches").exists()
    assert setup(home, alyx, "--force").returncode == 0
    now = json.loads(file.read_text())
    assert (now["ALYX_LOGIN"], now["EXTRA"]) == ("ada", 1)


def test_a_repeat_changes_nothing(alyx, home):
    setup(home, alyx)
    before = {f.name: f.read_bytes() for f in (home / ".one").iterdir()}
    assert setup(home, alyx).returncode == 0
    assert {f.name: f.read_bytes() for f in (home / ".one").iterdir()} == before


def test_downloads_of_two_servers_do_not_mix(alyx, home, tmp_path):
    folder = home / ".one"
    folder.mkdir()
    place = str(tmp_path / "downloads")
    (folder / ".caches").write_text(json.dumps({"CLIENT_MAP": {"other": place}}))
    done = setup(home, alyx, "--cache-dir", place)
    assert done.returncode == 1
    assert "other" in done.stderr


@pytest.mark.parametrize("content", ["{truncated", "[]", ""])
def test_broken_files_are_not_overwritten(alyx, home, content):
    (home / ".one").mkdir()
    (home / ".one" / ".caches").write_text(content)
    done = setup(home, alyx, "--force")
    assert done.returncode == 1
    assert ".caches" in done.stderr
    assert (home / ".one" / ".caches").read_text() == content


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FORNIX_TOKEN": "f" * 40}, "expired or was revoked"),
        ({"FORNIX_USER": "ada", "FORNIX_PASSWORD": "wrong"}, "password"),
        ({}, "not logged in"),
    ],
)
def test_without_a_valid_account_nothing_is_written(alyx, home, env, words):
    done = fornix(home, "one-setup", "--url", alyx.url, **env)
    assert done.returncode == 4
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / ".one").exists()


def test_a_token_of_another_user_is_not_stored(alyx, home):
    done = setup(home, alyx, "--user", "grace")
    assert done.returncode == 4
    assert "ada" in done.stderr
