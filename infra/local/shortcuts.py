"""Short ways through the embedded cloud for the two requests that users wait for.

ministack looks at each request for some forty services before it knows which one is meant.
Requests to the table and to the API are known by a header and by their path, so they go straight
to what checks and serves them; signatures, permissions, throttles and answers are ministack's own.
"""

from __future__ import annotations

import importlib
import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

if TYPE_CHECKING:
    from infra.local.ministack import Receive, Scope, Send

API_PATHS = "/_aws/execute-api/"
"""Prefix of the deployed REST APIs' paths."""

TABLE_TARGET = "DynamoDB_"
"""Prefix of the header that names an operation, of those of the table."""

Response = tuple[int, dict[str, Any], Any]


class Shortcuts:
    """What replaces ministack's way from a request to its service.

    Parameters
    ----------
    app
        ``ministack.app``.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._responses: Any = importlib.import_module("ministack.core.responses")
        self._router: Any = importlib.import_module("ministack.core.router")
        self._evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")

    @staticmethod
    def fits(scope: Scope) -> bool:
        """Return whether a request can go this way."""
        return scope["type"] == "http" and (
            scope["path"].startswith(API_PATHS) or asks_table(scope)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the table or to the API."""
        body = await whole(receive)
        if body is None:
            return  # its client has hung up
        headers = self._headers(scope)
        client = (scope.get("client") or ("127.0.0.1",))[0]
        secure = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower() == "https"
        self._responses.set_request_client_ip(client)
        self._evaluator.pin_request_origin(client, secure)
        serve = self._table if asks_table(scope) else self._api
        status, answered, content = await serve(scope, headers, body)
        content = content if isinstance(content, bytes) else content.encode()
        answered = {"date": formatdate(usegmt=True), **answered, "content-length": len(content)}
        lines = self._app._asgi_header_list(answered)
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": content})

    def _headers(self, scope: Scope) -> dict[str, str]:
        """Return a request's headers; a repeated one is one with commas, as for ministack."""
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1").lower()
            text = self._app.decode_header_value(value)
            between = "; " if name == "cookie" else ", "
            headers[name] = f"{headers[name]}{between}{text}" if name in headers else text
        return headers

    async def _table(self, scope: Scope, headers: dict[str, str], body: bytes) -> Response:
        app, request_id = self._app, str(uuid.uuid4())
        query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
        key = self._router.extract_access_key_id(headers, query)
        if key:
            try:
                self._responses.set_request_account_id(app._request_account_scope(key))
            except app.AmbiguousAccessKeyError:
                return 403, {"content-type": "application/x-amz-json-1.0"}, _INVALID_TOKEN
        self._responses.set_request_region(self._router.extract_region(headers, query))
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        self._evaluator.pin_signed_request(
            scope["method"], raw.decode("latin-1"), query, scope["headers"]
        )
        self._evaluator.pin_signed_body(body)
        answer: Response = await app._dispatch_service_request(
            scope["method"], scope["path"], headers, body, query, request_id
        )
        return answer

    async def _api(self, scope: Scope, headers: dict[str, str], body: bytes) -> Response:
        raw_query = scope.get("query_string", b"").decode()
        answer = await self._app._handle_execute_api_request(
            headers.get("host", ""),
            scope["path"],
            scope["method"],
            headers,
            body,
            parse_qs(raw_query, keep_blank_values=True),
            raw_path=scope["raw_path"].decode("ascii") if scope.get("raw_path") else None,
            raw_query_string=raw_query,
        )
        if answer is None:
            return 404, {"content-type": "application/json"}, b'{"message": "Not Found"}'
        with_ids: Response = self._app._with_data_plane_headers(
            answer, str(uuid.uuid4()), wildcard_cors=False
        )
        return with_ids


_INVALID_TOKEN = (
    b'{"__type": "InvalidClientTokenId", '
    b'"message": "The security token included in the request is invalid."}'
)


async def whole(receive: Receive) -> bytes | None:
    """Return a request's body, or None if the client hangs up before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def matched(
    resources: dict[str, dict[str, Any]],
    parent: str,
    segments: list[str],
    parameters: dict[str, str],
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return the REST API's resource of a path, and the path's parameters.

    Replaces ministack's own search, which goes through all resources for each segment.
    """
    if not segments:
        return None, parameters
    first, rest = segments[0], segments[1:]
    for child in _children(resources).get(parent, ()):
        part = child.get("pathPart", "")
        if part.startswith("{") and part.endswith("+}"):
            return child, {**parameters, part[1:-2]: "/".join(segments)}
        if part.startswith("{") and part.endswith("}"):
            found = {**parameters, part[1:-1]: first}
        elif part == first:
            found = parameters
        else:
            continue
        if not rest:
            return child, found
        deeper, found = matched(resources, child["id"], rest, found)
        if deeper:
            return deeper, found
    return None, parameters


def target_of(scope: Scope) -> str:
    """Return the operation that a request's header names; empty without one."""
    named = (value for name, value in scope.get("headers", ()) if name == b"x-amz-target")
    return next(named, b"").decode(errors="replace")


def asks_table(scope: Scope) -> bool:
    """Return whether a request is one to DynamoDB."""
    return target_of(scope).startswith(TABLE_TARGET)


_known: dict[int, tuple[tuple[str, ...], dict[str, list[dict[str, Any]]]]] = {}


def _children(resources: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the resources by their parent: literal parts first, greedy ones last.

    An index is used again as long as the API has the same resources; a deployment's new ones have
    new ids.
    """
    ids = tuple(resources)
    known = _known.get(id(resources))
    if known is None or known[0] != ids:
        index: dict[str, list[dict[str, Any]]] = {}
        for resource in resources.values():
            index.setdefault(resource.get("parentId", ""), []).append(resource)
        for children in index.values():
            children.sort(key=_precedence)
        known = _known[id(resources)] = (ids, index)
    return known[1]


def _precedence(resource: dict[str, Any]) -> int:
    part = resource.get("pathPart", "")
    return 2 if part.endswith("+}") else int(part.startswith("{"))
