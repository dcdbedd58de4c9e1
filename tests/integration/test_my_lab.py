"""A lab sees its own sessions: signed in, in a real browser, on the results site."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from infra.local.demo import rows
from infra.local.seed import connect, subjects
from tests.system import Cloud

pytestmark = [pytest.mark.integration, pytest.mark.browser]

LAB = "fimbrialab"


@pytest.fixture
def private(processed: Cloud) -> str:
    """Id of the demonstration's session that is not public."""
    planned = json.loads((processed.home / "rig" / "simulated.json").read_text())
    (one,) = (each for each in planned if each["lab"] == LAB and not each["public"])
    query = {"subject": one["subject"], "date_range": f"{one['date']},{one['date']}"}
    member = connect(processed.system.home, f"{LAB}_member")
    (found,) = rows(member.get("/sessions", number=one["number"], **query))
    assert found["id"] not in {row["id"] for row in rows(_anonymous(processed, "/sessions"))}
    return str(found["id"])


def _anonymous(cloud: Cloud, path: str) -> Any:
    import requests

    return requests.get(f"{cloud.api_url}{path}", timeout=60).json()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_member_sees_what_is_not_public(
    processed: Cloud, browser: Any, private: str, width: int
) -> None:
    # Given a visitor, who is shown no page of the session
    with pytest.raises(urllib.error.HTTPError, match=r"40[34]"):
        urllib.request.urlopen(f"{processed.site_url}/sessions/{private}.html")
    page = browser.new_page(viewport={"width": width, "height": 900})
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    # When a member of the lab signs in at the address that the upload told
    page.goto(f"{processed.site_url}/my-lab.html?at={LAB}/sessions/{private}.html")
    account = processed.credentials[f"{LAB}_member"]
    page.locator("input[name=username]").fill(account["username"])
    page.locator("input[name=password]").fill(account["password"])
    page.locator("input[name=password]").press("Enter")
    # Then the session's page is there, with its figures, and nothing was blocked or broken
    page.get_by_text(f"Only members of {LAB} see this page.").wait_for()
    page.locator("main svg").first.wait_for()
    assert subjects(LAB)[0] in page.locator("h1").inner_text()
    assert faults == []
    page.close()


def test_nobody_else_gets_the_page(processed: Cloud, private: str) -> None:
    path = f"/lab-pages/{LAB}/sessions/{private}.html"
    assert "detail" in _anonymous(processed, path)
    stranger = connect(processed.system.home, "septumlab_member")
    with pytest.raises(Exception, match=f"Members of {LAB}"):
        stranger.get(path)
