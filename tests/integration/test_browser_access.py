"""A browser on the site's pages may call the deployed API: preflights and answers, by sockets."""

from __future__ import annotations

from typing import Any

import pytest
import requests

pytestmark = pytest.mark.integration


@pytest.fixture
def subject(cloud: Any) -> str:
    account = cloud.credentials["fimbrialab_manager"]
    token = requests.post(f"{cloud.api_url}/auth-token", json=account, timeout=60).json()["token"]
    made = requests.post(
        f"{cloud.api_url}/subjects",
        json={"nickname": "PAGE_001", "lab": "fimbrialab", "birth_date": "2024-01-01"},
        headers={"Authorization": f"Token {token}"},
        timeout=60,
    )
    assert made.status_code == 201, made.text
    return str(made.json()["nickname"])


def test_what_the_members_panel_asks_is_allowed_to_the_site(cloud: Any, subject: str) -> None:
    for method, path, headers in (
        ("POST", "/auth-token", "content-type"),
        ("GET", f"/water-requirement/{subject}", "authorization"),
        ("GET", f"/training-prediction/{subject}", "authorization"),
    ):
        asked = {
            "Origin": cloud.site_url,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        }
        allowed = requests.options(cloud.api_url + path, headers=asked, timeout=60)
        assert allowed.status_code == 204, path
        assert allowed.headers["Access-Control-Allow-Origin"] == cloud.site_url
        assert method in allowed.headers["Access-Control-Allow-Methods"].split(",")
        named = allowed.headers["Access-Control-Allow-Headers"].lower().split(",")
        assert headers in named
    page = requests.Session()
    page.headers["Origin"] = cloud.site_url
    account = cloud.credentials["fimbrialab_member"]
    answers = [page.post(f"{cloud.api_url}/auth-token", json=account, timeout=60)]
    page.headers["Authorization"] = f"Token {answers[0].json()['token']}"
    answers.append(page.get(f"{cloud.api_url}/water-requirement/{subject}", timeout=60))
    answers.append(page.get(f"{cloud.api_url}/training-prediction/{subject}", timeout=60))
    assert [answer.status_code for answer in answers] == [200, 200, 404]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == cloud.site_url
    elsewhere = {"Origin": "https://evil.example.org"}
    answer = page.get(f"{cloud.api_url}/health", headers=elsewhere, timeout=60)
    assert "Access-Control-Allow-Origin" not in answer.headers
