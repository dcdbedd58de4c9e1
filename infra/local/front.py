"""The two addresses for people: the API and the site, mapped onto the deployed resources."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

from infra.cors import preflight
from infra.local.ministack import Asgi, Receive, Scope, Send, answer, api_scope, site_scope
from infra.settings import API_PREFIX, APP, STAGE

ALL_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

COMPRESSIBLE = (b"text/", b"application/json", b"application/javascript", b"image/svg+xml")
"""Content types that CloudFront compresses on the way."""

SMALLEST_COMPRESSED = 1_000
"""Bytes below which CloudFront does not compress an answer."""


AT_ONCE = 2 * (os.cpu_count() or 1)
"""Concurrent requests of the API's function: each takes a process of some 200 MB."""

MOST_WAITING = 256
"""Most waiting requests; others are asked to come again."""


class Turns:
    """The queue before the API's function: a few requests at once, the others wait.

    AWS would start an environment for each; one computer does not have the memory for that.

    Parameters
    ----------
    cloud
        The embedded cloud.
    at_once, most_waiting
        Most concurrent and most waiting requests.

    Attributes
    ----------
    waiting
        Number of waiting requests.
    """

    def __init__(
        self, cloud: Asgi, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING
    ) -> None:
        self._cloud = cloud
        self._free = asyncio.Semaphore(at_once)
        self.waiting = 0
        self._most_waiting = most_waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it is its turn; 429 if too many wait."""
        if self._free.locked() and self.waiting >= self._most_waiting:
            body = (
                b'{"status_code": 429, "detail": "too many requests wait; try again in a second"}'
            )
            await answer(send, 429, body, {"retry-after": "1"})
            return
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        try:
            await self._cloud(scope, receive, send)
        finally:
            self._free.release()


class Deployed:
    """The outputs of the last deployment, read again when they change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._value: dict[str, Any] = {}

    def get(self) -> dict[str, Any]:
        """Return the stack's outputs; empty before the first deployment."""
        try:
            seen = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if seen != self._seen:
            self._value, self._seen = json.loads(self._path.read_text()), seen
        return self._value


class Front:
    """An ASGI application that hands requests to the cloud in the same process.

    Parameters
    ----------
    cloud
        The embedded cloud.
    api
        The queue before the API's function.
    deployed
        Source of the stack's outputs.
    """

    def __init__(self, cloud: Asgi, api: Turns, deployed: Deployed) -> None:
        self.cloud = cloud
        self.api = api
        self.deployed = deployed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        outputs = self.deployed.get()
        if scope["type"] != "http" or not outputs:
            body = b'{"status_code": 503, "detail": "Fornix is starting, try again in a moment"}'
            await answer(send, 503, body)
            return
        await self.serve(scope, receive, send, outputs)

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, outputs: dict[str, Any]
    ) -> None:
        """Map the request onto the deployed resource."""
        raise NotImplementedError


class ApiFront(Front):
    """``http://127.0.0.1:8000/x`` is the REST API's ``/x``."""

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, outputs: dict[str, Any]
    ) -> None:
        """Pass the request to the REST API's stage."""
        if scope["method"] == "OPTIONS":
            # The emulator imports no mock integrations; these are the deployed answer's headers.
            headers = preflight(list(ALL_METHODS), outputs["Site"])
            await answer(send, 204, b"", headers)
            return
        await self.api(api_scope(scope, outputs["ApiId"], STAGE), receive, send)


class SiteFront(Front):
    """``http://127.0.0.1:8001/x`` is the distribution's ``/x``; compresses as CloudFront does.

    Requests below ``/rest`` go to the API, because the emulated distribution cannot reach it. The
    app's page is found in the same way as by the distribution's script
    (`infra.website.APP_PAGES`).
    """

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, outputs: dict[str, Any]
    ) -> None:
        """Pass the request to the distribution or the API, and compress the answer."""
        accepted = next((v for k, v in scope["headers"] if k == b"accept-encoding"), b"")
        ranged = any(k == b"range" for k, _ in scope["headers"])
        target = Compressor(send) if b"gzip" in accepted and not ranged else send
        if scope["path"] == APP:
            await answer(send, 301, b"", {"location": f"{APP}/"})
            return
        if scope["path"] == f"{APP}/":
            page = f"{APP}/index.html"
            scope = {**scope, "path": page, "raw_path": page.encode()}
        if scope["path"].startswith(f"{API_PREFIX}/"):
            inner = api_scope(without_prefix(scope, API_PREFIX), outputs["ApiId"], STAGE)
            await self.api(inner, receive, target)
            return
        await self.cloud(site_scope(scope, outputs["SiteDomain"]), receive, target)


def without_prefix(scope: Scope, prefix: str) -> Scope:
    """Return a request's scope without a prefix of its path."""
    raw = (scope.get("raw_path") or scope["path"].encode()).removeprefix(prefix.encode())
    return {**scope, "path": scope["path"].removeprefix(prefix), "raw_path": raw}


class Compressor:
    """A ``send`` that compresses whole answers of text-like types."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Any = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Any) -> None:
        """Collect the answer, then send it, compressed if worthwhile."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._parts.append(message.get("body", b""))
        if message.get("more_body"):
            return
        body = b"".join(self._parts)
        headers = [(k.lower(), v) for k, v in self._start.get("headers", [])]
        content_type = dict(headers).get(b"content-type", b"")
        if (
            self._start["status"] == 200
            and len(body) >= SMALLEST_COMPRESSED
            and content_type.startswith(COMPRESSIBLE)
            and b"content-encoding" not in dict(headers)
        ):
            body = gzip.compress(body, 6, mtime=0)
            headers = [
                (k, _weak(v) if k == b"etag" else v) for k, v in headers if k != b"content-length"
            ]
            headers += [
                (b"content-encoding", b"gzip"),
                (b"vary", b"accept-encoding"),
                (b"content-length", str(len(body)).encode()),
            ]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _weak(etag: bytes) -> bytes:
    """Return an entity tag as weak: the compressed bytes are not the object's."""
    return etag if etag.startswith(b"W/") else b"W/" + etag


async def _lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge start and stop."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
