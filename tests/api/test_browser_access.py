"""What pages of the results site may ask of the API from a browser, and others may not."""

from __future__ import annotations

import json

import pytest
import requests

from functions.api.auth import passwords
from shared.records import aws
from tests.api.conftest import PASSWORD, Api

SITE = "https://results.example.org"
SUBJECT = "FI_001"


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORNIX_SITE_URL", f"{SITE}/")
    monkeypatch.setitem(passwords.SCRYPT, "n", 16)


def test_a_page_signs_in_and_reads_water_and_prediction(
    api: Api, bucket: str, address: str
) -> None:
    # Given a member's password, and what the nightly analysis left
    passwords.set_password("fimbrialab_member", PASSWORD)
    body = json.dumps({"statement": "A hint.", "subjects": {SUBJECT: {"quartile": "Q2"}}})
    key = "cache/training-predictions.json"
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())
    page = requests.Session()
    page.headers["Origin"] = SITE
    # When a page of the site signs in and asks
    signed_in = page.post(
        f"{address}/auth-token", json={"username": "fimbrialab_member", "password": PASSWORD}
    )
    page.headers["Authorization"] = f"Token {signed_in.json()['token']}"
    water = page.get(f"{address}/water-requirement/{SUBJECT}")
    prediction = page.get(f"{address}/training-prediction/{SUBJECT}")
    # Then the browser lets it read all answers
    for answer in (signed_in, water, prediction):
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert prediction.json() == {"quartile": "Q2", "statement": "A hint."}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/water-requirement/FI_001", 403),
        ("POST", "/auth-token", 400),
        ("PUT", "/auth-token", 405),
        ("GET", "/health", 200),
    ],
)
def test_errors_can_be_read_by_the_site_and_by_no_other_origin(
    address: str, method: str, path: str, status: int
) -> None:
    answer = requests.request(method, address + path, headers={"Origin": SITE})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    for origin in ("https://evil.example.org", f"{SITE}.evil.example.org", "null", f"{SITE}/", ""):
        answer = requests.request(method, address + path, headers={"Origin": origin})
        assert answer.status_code == status
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_a_site_nothing_is_allowed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORNIX_SITE_URL")
    answer = requests.get(f"{address}/health", headers={"Origin": SITE})
    assert not {"Access-Control-Allow-Origin", "Vary"} & answer.headers.keys()
