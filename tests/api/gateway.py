"""The API over a real socket: HTTP requests become API Gateway events for the Lambda entry point.

Routes are matched as API Gateway does: literal segments before ``{parameters}`` before
``{greedy+}``. Query strings are decoded, bodies that are no text are sent as base64. Before files
the authorizer is asked, and a function's header ``WWW-Authenticate`` is renamed.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from infra.refusals import gateway_responses
from tests.processes import answering

_lock = threading.RLock()
BINARY = ("multipart/", "image/", "application/octet-stream", "application/zip")


def match(routes: dict[str, Any], path: str) -> tuple[str, dict[str, str]] | None:
    """Return the route of a path and its parameters, as API Gateway chooses it."""
    parts = path.split("/")
    best: tuple[list[int], str, dict[str, str]] | None = None
    for route in routes:
        wanted = route.split("/")
        greedy = wanted[-1].endswith("+}")
        if len(wanted) != len(parts) and not (greedy and len(parts) >= len(wanted)):
            continue
        found: dict[str, str] = {}
        rank = []
        for i, segment in enumerate(wanted):
            if segment.endswith("+}"):
                found[segment[1:-2]] = "/".join(parts[i:])
                rank.append(2)
            elif segment.startswith("{"):
                if not parts[i]:
                    break
                found[segment[1:-1]] = parts[i]
                rank.append(1)
            elif segment == parts[i]:
                rank.append(0)
            else:
                break
        else:
            if best is None or rank < best[0]:
                best = rank, route, found
    return (best[1], best[2]) if best else None


def event(
    app: Any, method: str, target: str, headers: dict[str, str], body: bytes
) -> dict[str, Any] | None:
    """Return the API Gateway event of a request; None if no route has its path."""
    split = urlsplit(target)
    found = match(app.routes, split.path)
    if found is None:
        return None
    route, parameters = found
    query = parse_qs(split.query, keep_blank_values=True)
    names = {name.lower(): value for name, value in headers.items()}
    binary = names.get("content-type", "").startswith(BINARY)
    content: str | None = None
    if body:
        content = base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")
    return {
        "resource": route,
        "path": unquote(split.path),
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: each[-1] for name, each in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route,
            "httpMethod": method,
            "path": unquote(split.path),
            "stage": "v1",
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": content,
        "isBase64Encoded": binary and bool(body),
    }


def call(
    app: Any, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Answer a request by the Lambda entry point; one at a time, as a Lambda instance does."""
    made = event(app, method, target, headers or {}, body)
    if made is None:
        text = json.dumps({"message": "Missing Authentication Token"}).encode()
        return 403, {"Content-Type": "application/json"}, text
    with _lock:
        if not _lets_in(made):
            return _refusal("ACCESS_DENIED")
        answer = app(made, None)
    content = answer.get("body") or ""
    raw = base64.b64decode(content) if answer.get("isBase64Encoded") else str(content).encode()
    fields = {
        f"x-amzn-Remapped-{name}" if name.lower() == "www-authenticate" else name: value
        for name, value in (answer.get("headers") or {}).items()
    }
    return answer["statusCode"], fields, raw


def _lets_in(made: dict[str, Any]) -> bool:
    """Ask the authorizer of the paths that have one."""
    from functions.api.app import CHALLENGED, handler

    if made["resource"] not in CHALLENGED:
        return True
    question = {name: made[name] for name in made if name not in ("body", "isBase64Encoded")}
    arn = "arn:aws:execute-api:us-east-1:000000000000:api/v1/GET/data"
    policy = handler({"type": "REQUEST", "methodArn": arn, **question}, None)["policyDocument"]
    return [statement["Effect"] for statement in policy["Statement"]] == ["Allow"]


def _refusal(kind: str) -> tuple[int, dict[str, str], bytes]:
    """Return what API Gateway answers itself, of whose variables it has none."""
    response = gateway_responses("")[kind]
    fields = {
        name.removeprefix("gatewayresponse.header."): value[1:-1]
        for name, value in response["responseParameters"].items()
    }
    content = response["responseTemplates"]["application/json"].encode()
    return int(response["statusCode"]), {**fields, "Content-Type": "application/json"}, content


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve the app on loopback; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size) if size else b""
            headers = dict(self.headers.items()) | {"X-Forwarded-Proto": "http"}
            status, fields, content = call(app, self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer

        def log_message(self, *_: Any) -> None:
            pass

    with answering(Handler) as url:
        yield url
