"""Sign-in through an OpenID Connect provider (Cognito, Keycloak, an institute's), as a setting.

The client signs in there and sends its ID token. The site's pages send a code and its proof (PKCE,
RFC 7636), which are exchanged for an ID token. The ID token is checked against the provider's
published keys (OpenID Connect Core 1.0, section 3.1.3.7) and exchanged for a token of Fornix. The
account must exist already: the provider says who somebody is, not what they may do.

``FORNIX_OIDC_ISSUER`` and ``FORNIX_OIDC_AUDIENCE`` (the client's id) turn it on;
``FORNIX_OIDC_CLAIM`` names the claim that holds the user's name here (``email`` is compared with
the account's address instead, and has to be verified).
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from functions.api.auth import throttle, tokens
from functions.api.errors import ApiError, Invalid
from shared import catalog
from shared.model.people import PEOPLE
from shared.records import env
from shared.records.where import Where

if TYPE_CHECKING:
    from jwt import PyJWKClient

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Accepted signature algorithms: public keys only."""

LEEWAY = 60
"""Seconds that clocks may differ."""

LIFE = 12 * 3600
"""Seconds until such a token expires, so that the provider is asked daily."""

KEYS_LIFE = 3600
"""Seconds for which the provider's keys are kept."""

PAUSE = 30
"""Seconds before an unknown key makes us fetch the keys again."""

TIMEOUT = 5
"""Seconds that the provider has to answer."""

ENDPOINTS = ("jwks_uri", "authorization_endpoint", "token_endpoint")
"""Entries that are read from a provider's configuration."""

RETURN = "/app/"
"""Page of the site that the provider sends people back to."""

SCOPE = "openid email profile"

_REFUSED = "The sign-in could not be verified; sign in again."
_SILENT = "The provider of sign-in does not answer; try again."


class Offer(msgspec.Struct, frozen=True):
    """The values with which a page sends somebody to the provider.

    Attributes
    ----------
    authorization_endpoint, client_id, redirect_uri, scope : str
        As OpenID Connect Core 1.0, section 3.1.2.1 has them.
    """

    authorization_endpoint: str
    client_id: str
    redirect_uri: str
    scope: str = SCOPE


class Proof(msgspec.Struct, frozen=True):
    """The values with which a page returns: the code, and the proof that it asked for it."""

    code: str
    code_verifier: str
    nonce: str


def offer() -> Offer | None:
    """Return how people sign in by the provider; None without a provider or while it is down."""
    issuer, audience, _ = env.oidc()
    if not issuer or not audience or not env.site_url():
        return None
    try:
        address = _document(issuer.rstrip("/"))["authorization_endpoint"]
    except (ApiError, KeyError):
        return None
    return Offer(address, audience, env.site_url() + RETURN)


def login_by_code(proof: Proof, source: str) -> str:
    """Return a token of the account that a page's code is for.

    Raises
    ------
    ApiError
        As `login`.
    """
    issuer, audience, _ = env.oidc()
    if not issuer or not audience:
        raise Invalid({"code": ["This server has no sign-in by a provider."]})
    with throttle.attempt(f"a code from {source}", source) as attempt:
        id_token = _exchange(issuer.rstrip("/"), audience, proof)
        attempt.succeeded()
    return login(id_token, source, proof.nonce)


def _exchange(issuer: str, audience: str, proof: Proof) -> str:
    """Return the ID token that the provider gives for a code."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    form = {
        "grant_type": "authorization_code",
        "code": proof.code,
        "code_verifier": proof.code_verifier,
        "client_id": audience,
        "redirect_uri": env.site_url() + RETURN,
    }
    try:
        address = _checked(_document(issuer)["token_endpoint"])
        with urlopen(address, urlencode(form).encode(), timeout=TIMEOUT) as answer:  # noqa: S310
            id_token = json.load(answer)["id_token"]
    except HTTPError as error:
        if error.code >= 500:
            raise ApiError(503, _SILENT) from None
        raise Invalid({"code": [_REFUSED]}) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ApiError(503, _SILENT) from None
    return str(id_token)


def login(id_token: str, source: str, nonce: str = "") -> str:
    """Return a token of the account that an ID token is for.

    Parameters
    ----------
    id_token : str
        A JSON Web Token.
    source : str
        Where the login comes from, for the throttle.
    nonce : str, optional
        Value that the token must contain, if a page asked for it.

    Raises
    ------
    ApiError
        400 if sign-in by a provider is off, or if the token is invalid or for no account; 429
        after too many of these; 503 if the provider does not answer.
    """
    issuer, audience, claim = env.oidc()
    if not issuer or not audience:
        raise Invalid({"id_token": ["This server has no sign-in by a provider."]})
    with throttle.attempt(f"an id_token from {source}", source) as attempt:
        claims = verified(id_token, issuer, audience)
        if nonce and claims.get("nonce") != nonce:
            raise Invalid({"id_token": [_REFUSED]})
        username = _account(claims, claim)
        attempt.succeeded()
    return tokens.issue(username, life=LIFE)


def verified(id_token: str, issuer: str, audience: str) -> dict[str, Any]:
    """Return the claims of a valid ID token.

    Raises
    ------
    ApiError
        400 if it is not valid, 503 if the provider's keys cannot be fetched.
    """
    import jwt

    keys = _keys(issuer.rstrip("/"))
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token,
            keys.key(id_token),
            algorithms=list(ALGORITHMS),
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWKClientConnectionError:
        raise ApiError(503, _SILENT) from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise Invalid({"id_token": [_REFUSED]}) from None
    # A token with several audiences names its client in ``azp``; Cognito's other tokens look alike
    if claims.get("azp", audience) != audience or claims.get("token_use", "id") != "id":
        raise Invalid({"id_token": [_REFUSED]})
    return claims


class _Keys:
    """A provider's keys, fetched at first use and again when a new key appears."""

    def __init__(self, client: PyJWKClient) -> None:
        self.client = client
        self.read_at = 0.0

    def key(self, id_token: str) -> Any:
        """Return the key that a token names."""
        import jwt

        wanted = jwt.get_unverified_header(id_token).get("kid")
        if not isinstance(wanted, str):
            raise jwt.InvalidTokenError("no key is named")
        fresh = time.monotonic() - self.read_at
        # Unknown keys cause a fetch only once in a while: anybody can make one up
        refresh = not self.read_at or fresh > KEYS_LIFE
        signing_key = None if refresh else self._find(wanted)
        if signing_key is None and (refresh or fresh > PAUSE):
            self.client.get_jwk_set(refresh=True)
            self.read_at = time.monotonic()
            signing_key = self._find(wanted)
        if signing_key is None:
            raise jwt.InvalidTokenError("the key is not the provider's")
        return signing_key

    def _find(self, wanted: str) -> Any:
        keys = self.client.get_jwk_set().keys
        return next((key for key in keys if key.key_id == wanted), None)


@lru_cache(maxsize=4)
def _document(issuer: str) -> dict[str, str]:
    """Return a provider's addresses by their names in its configuration (OIDC Discovery 1.0)."""
    from urllib.request import urlopen  # imports http, email and ssl, only needed here

    try:
        with urlopen(  # noqa: S310 - the setting's address, checked
            f"{_checked(issuer)}/.well-known/openid-configuration", timeout=TIMEOUT
        ) as answer:
            document = json.load(answer)
        return {name: _checked(document[name]) for name in ENDPOINTS if name in document}
    except (OSError, ValueError, KeyError, TypeError):
        raise ApiError(503, _SILENT) from None


@lru_cache(maxsize=4)
def _keys(issuer: str) -> _Keys:
    """Return a provider's keys."""
    import jwt

    address = _document(issuer).get("jwks_uri")
    if address is None:
        raise ApiError(503, _SILENT)
    return _Keys(jwt.PyJWKClient(address, lifespan=10 * KEYS_LIFE, timeout=TIMEOUT))


def _checked(address: str) -> str:
    """Return an address that nobody on the way can tamper with: https, or this computer's.

    Raises
    ------
    ValueError
        If it is any other.
    """
    parts = urlsplit(address)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ValueError("A provider's address begins with https.")
    return address


def _account(claims: dict[str, Any], claim: str) -> str:
    """Return the name of the account that claims are about.

    Raises
    ------
    Invalid
        400 if there is none, or if it is a machine's account.
    """
    value = claims.get(claim)
    names: set[str] = set()
    if isinstance(value, str) and value:
        if claim != "email":
            names = {value}
        elif claims.get("email_verified") in (True, "true"):
            where = Where("email", "iexact", value)
            names = catalog.table("user").select([where]).values("username")
    users = [user for name in names if (user := tokens.user_of(name))]
    if len(users) != 1 or users[0].get("role", "member") not in PEOPLE:
        raise Invalid({"id_token": ["You have no account here; ask a manager of your lab."]})
    username: str = users[0]["username"]
    return username
