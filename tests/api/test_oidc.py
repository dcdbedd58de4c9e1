"""Sign-in through a provider: a real issuer over sockets, good and forged ID tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from functions.api.auth import oidc, throttle, tokens
from tests.api.conftest import Api
from tests.issuer import AUDIENCE, USER, Issuer

SITE = "https://results.example.org"


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """A provider that the API takes sign-ins of."""
    made = Issuer()
    monkeypatch.setenv("FORNIX_OIDC_ISSUER", made.url)
    monkeypatch.setenv("FORNIX_OIDC_AUDIENCE", AUDIENCE)
    oidc._document.cache_clear()
    oidc._keys.cache_clear()
    yield made
    oidc._document.cache_clear()
    oidc._keys.cache_clear()
    made.server.shutdown()
    made.server.server_close()


def sign_in(api: Api, id_token: Any) -> Any:
    return api("POST", "/auth-token", {"id_token": id_token}, user=None)


def test_an_id_token_is_exchanged_for_a_token(api: Api, issuer: Issuer) -> None:
    for _ in range(3):
        token = sign_in(api, issuer.token()).body["token"]
        headers = {"Authorization": f"Token {token}"}
        assert api("GET", "/me", user=None, headers=headers).body["username"] == USER
    # The configuration and the keys were asked for once
    assert len(issuer.asked) == 2
    # and the token ends when the day does
    item = tokens.Token.get(tokens.key_of(token), "A")
    assert item.expires <= time.time() + oidc.LIFE


def test_a_provider_may_change_its_keys(
    api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sign_in(api, issuer.token()).status == 200
    issuer.new_key("second", curve=True)
    monkeypatch.setattr(oidc, "PAUSE", 0)
    assert sign_in(api, issuer.token("second", "ES256")).status == 200
    # Keys that nobody has published are not asked for each time
    monkeypatch.setattr(oidc, "PAUSE", 3600)
    asked = len(issuer.asked)
    for i in range(5):
        assert sign_in(api, issuer.token(kid=f"made-up-{i}")).status == 400
    assert len(issuer.asked) == asked


def unsigned(token: str, **header: Any) -> str:
    """Return a token with another header and no signature."""
    _, body, _ = token.split(".")
    head = base64.urlsafe_b64encode(json.dumps({"kid": "first", **header}).encode())
    return f"{head.decode().rstrip('=')}.{body}."


def test_forged_and_foreign_tokens_are_refused(
    api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "TRIES", 1000)
    other = Issuer()
    now = int(time.time())
    public = json.dumps(issuer.document("jwks")["keys"][0])
    wrong = {
        "another provider's": other.token(),
        "another's key under this one's name": other.token(iss=issuer.url),
        "another client's": issuer.token(aud="somebody-else"),
        "for several, made for another": issuer.token(aud=[AUDIENCE, "x"], azp="x"),
        "expired": issuer.token(exp=now - 3600),
        "not yet valid": issuer.token(nbf=now + 3600),
        "made in the future": issuer.token(iat=now + 3600),
        "without an end": issuer.token(exp=None),
        "without a subject": issuer.token(sub=None),
        "an access token": issuer.token(token_use="access"),
        "an address that is not verified": issuer.token(email_verified=False),
        "nobody's": issuer.token(email="ghost@example.org"),
        "without an address": issuer.token(email=None),
        "an address that is no text": issuer.token(email=["a"]),
        "a machine's": issuer.token(email="fimbrialab_rig@example.org"),
        "without a signature": unsigned(issuer.token(), alg="none"),
        "signed with the public key": jwt.encode(
            {"iss": issuer.url, "aud": AUDIENCE}, public[:64], "HS256", headers={"kid": "first"}
        ),
        "no token": "x.y.z",
        "nothing": "",
    }
    for what, token in wrong.items():
        answer = sign_in(api, token)
        assert answer.status == 400, what
        assert "token" not in answer.body, what
    other.server.shutdown()
    other.server.server_close()


def test_a_claim_may_name_the_user(
    api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORNIX_OIDC_CLAIM", "cognito:username")
    named = {"cognito:username": USER, "email": None}
    assert sign_in(api, issuer.token(**named)).status == 200
    assert sign_in(api, issuer.token()).status == 400


def test_an_inactive_account_is_not_let_in(api: Api, issuer: Issuer) -> None:
    api.ok("PATCH", f"/users/{USER}", {"is_active": False}, user="admin")
    assert sign_in(api, issuer.token()).status == 400


def test_without_the_setting_there_is_no_such_sign_in(
    api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORNIX_OIDC_ISSUER")
    assert "no sign-in" in sign_in(api, issuer.token()).body["id_token"][0]


@pytest.mark.parametrize("url", ["http://example.org", "ftp://127.0.0.1", "file:///etc"])
def test_a_provider_is_asked_over_tls(api: Api, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FORNIX_OIDC_ISSUER", url)
    monkeypatch.setenv("FORNIX_OIDC_AUDIENCE", AUDIENCE)
    assert sign_in(api, "x.y.z").status == 503


def test_a_provider_that_does_not_answer_is_a_503(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORNIX_OIDC_ISSUER", "http://127.0.0.1:9")
    monkeypatch.setenv("FORNIX_OIDC_AUDIENCE", AUDIENCE)
    assert sign_in(api, "x.y.z").status == 503


def with_code(api: Api, verifier: str, **more: str) -> Any:
    body = {"code": "code0", "code_verifier": verifier, "nonce": "n1", **more}
    headers = {"X-Fornix": "1", "Origin": SITE}
    return api("POST", "/session", body, user=None, headers=headers)


def test_a_page_exchanges_the_code_that_it_asked_for(
    api: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORNIX_SITE_URL", SITE)
    # Given a page that is told where to send people, and what they come back with
    offer = api.ok("GET", "/session", user=None)["oidc"]
    assert (offer["client_id"], offer["redirect_uri"]) == (AUDIENCE, f"{SITE}/app/")
    assert offer["authorization_endpoint"] == f"{issuer.url}/authorize"
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    asked = {
        **{"response_type": "code", "client_id": AUDIENCE, "redirect_uri": offer["redirect_uri"]},
        **{"scope": offer["scope"], "state": "s", "nonce": "n1", "code_challenge_method": "S256"},
        "code_challenge": challenge.decode().rstrip("="),
    }

    def back() -> str:
        issuer.codes.clear()
        return issuer.authorize("?" + urlencode(asked))

    # When others bring the code, or it is one of another sign-in, nobody is signed in
    assert back() == f"{SITE}/app/?code=code0&state=s"
    assert "could not be verified" in with_code(api, "w" * 43).body["code"][0]
    back()
    assert "could not be verified" in with_code(api, verifier, nonce="n2").body["id_token"][0]
    # When the page brings it, its person is, once
    back()
    signed = with_code(api, verifier)
    assert (signed.status, signed.body["username"]) == (200, USER)
    assert "fornix_session=" in signed.headers["Set-Cookie"]
    assert with_code(api, verifier).status == 400


def test_without_a_provider_no_page_offers_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORNIX_SITE_URL", SITE)
    assert api.ok("GET", "/session", user=None) == {"oidc": None}
    assert "no sign-in" in with_code(api, "v" * 43).body.get("code", [""])[0]
