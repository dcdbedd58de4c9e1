"""An OpenID Connect provider on loopback, for tests of sign-in by one."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "fornix-client"
USER = "fimbrialab_member"


class Issuer:
    """An OpenID Connect provider on loopback: its configuration, its keys, its ID tokens."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: dict[str, Any] = {}
        issuer = self
        self.codes: dict[str, dict[str, str]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                if "/authorize?" in self.path:
                    self.send_response(302)
                    self.send_header("Location", issuer.authorize(self.path))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._answer(200, issuer.document(self.path))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(*issuer.exchange(dict(parse_qsl(form))))

            def _answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pool"
        self.new_key("first")
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def new_key(self, name: str, curve: bool = False) -> None:
        self.keys[name] = (
            ec.generate_private_key(ec.SECP256R1())
            if curve
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def document(self, path: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            addresses = {"jwks_uri": "jwks", "authorization_endpoint": "authorize"}
            addresses["token_endpoint"] = "token"
            return {"issuer": self.url, **{k: f"{self.url}/{v}" for k, v in addresses.items()}}
        keys = []
        for name, key in self.keys.items():
            curve = isinstance(key, ec.EllipticCurvePrivateKey)
            algorithm = jwt.algorithms.ECAlgorithm if curve else jwt.algorithms.RSAAlgorithm
            public = json.loads(algorithm.to_jwk(key.public_key()))
            keys.append(
                {**public, "kid": name, "use": "sig", "alg": "ES256" if curve else "RS256"}
            )
        return {"keys": keys}

    def authorize(self, path: str) -> str:
        """Return where somebody who is signed in here is sent back to, with a code."""
        asked = dict(parse_qsl(path.partition("?")[2]))
        assert (asked["response_type"], asked["client_id"]) == ("code", AUDIENCE)
        assert (asked["code_challenge_method"], "openid" in asked["scope"]) == ("S256", True)
        code = f"code{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the ID token of a code, once, to who asked for it (RFC 7636, section 4.6)."""
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {"id_token": self.token(nonce=asked["nonce"])}

    def token(
        self, key: str = "first", algorithm: str = "RS256", kid: str | None = None, **claims: Any
    ) -> str:
        now = int(time.time())
        body = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "1234",
            "iat": now,
            "exp": now + 600,
            "email": f"{USER}@example.org",
            "email_verified": True,
            **claims,
        }
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, self.keys[key], algorithm, headers={"kid": kid or key})
