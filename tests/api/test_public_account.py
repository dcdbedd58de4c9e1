"""An account that is published for everybody, where the deployment says so."""

from __future__ import annotations

import click
import pytest

from infra.prepare import publish_account
from shared import catalog
from tests.api.conftest import Api

ACCOUNT = {"username": "openlab", "password": "international"}


@pytest.fixture
def published(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Headers of a client that has logged in with the published account."""
    monkeypatch.setenv("FORNIX_PUBLIC_ACCOUNT", "openlab:international")
    for _ in range(2):  # each deployment does it again
        publish_account("openlab", "international")
    catalog.start_request()
    told = api.ok("GET", "/public-account", user=None)
    assert told == ACCOUNT
    token = api.ok("POST", "/auth-token", told, user=None)["token"]
    return {"Authorization": f"Token {token}"}


def test_it_reads_what_is_public_and_no_more(api: Api, published: dict[str, str]) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    shown, hidden = (api.ok("POST", "/sessions", {**body, "number": n})["id"] for n in (1, 2))
    api.ok("PATCH", f"/sessions/{shown}", {"public": True}, user="fimbrialab_manager")
    rows = api.ok("GET", "/sessions", user=None, headers=published)["results"]
    assert [row["id"] for row in rows] == [shown]
    assert api("GET", f"/sessions/{hidden}", user=None, headers=published).status == 404
    assert api.ok("GET", "/me", user=None, headers=published)["username"] == "openlab"


def test_nobody_can_write_or_take_it_over(api: Api, published: dict[str, str]) -> None:
    for method, path, body in (
        ("POST", "/me/password", {"current_password": "international", "password": "a secret x"}),
        ("POST", "/subjects", {"nickname": "x", "lab": "fimbrialab"}),
        ("PATCH", "/users/openlab", {"email": "a@example.org"}),
        ("POST", "/tags", {"name": "x"}),
    ):
        assert api(method, path, body, user=None, headers=published).status == 403, path


def test_without_the_setting_there_is_none(api: Api) -> None:
    assert api("GET", "/public-account", user=None).status == 404


def test_an_account_of_somebody_is_not_published(api: Api) -> None:
    with pytest.raises(click.ClickException, match="account of its own"):
        publish_account("admin", "international")


def test_though_it_belongs_to_a_lab_it_learns_nothing_of_uploads_and_work(
    api: Api, bucket: str
) -> None:
    # Given a published account that somebody has put into a lab, and an upload under way there
    api.ok("PATCH", "/users/visitor", {"lab": ["fimbrialab"]}, user="admin")
    session = {"lab": "fimbrialab", "subject": "FI_001", "date": "2024-07-01", "number": 1}
    files = [{"path": "alf/_ibl_trials.choice.npy", "size": 9, "sha256": "0" * 64}]
    announced = {"session": session, "files": files}
    upload = api.ok("POST", "/uploads", announced, user="fimbrialab_rig")["id"]
    for path in ("/uploads", f"/uploads/{upload}", "/uploads?lab=fimbrialab", "/board"):
        answer = api("GET", path, user="visitor")
        # Then it gets no address to put a file at
        assert (answer.status, b"http" in answer.raw) == (403, False), path
