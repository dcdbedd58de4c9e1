"""The site as a browser meets it: the app and the API below one address, with the real policy."""

from __future__ import annotations

import gzip
import json
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from shared.results.notebook import cache_control
from tests.api import gateway
from tests.processes import answering

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".build" / "app"

DATA = "http://127.0.0.1:*"
"""Where the data bucket is on this computer."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' blob: data: {DATA}",
        "font-src 'self'",
        f"connect-src 'self' {DATA}",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""What the distribution sends with the app: nothing inline, nothing from elsewhere."""

SMALLEST_COMPRESSED = 1_000


@dataclass
class Request:
    """A request as it was answered."""

    method: str
    path: str
    status: int
    sent: int
    received: int


@dataclass
class Site:
    """A served site.

    Attributes
    ----------
    url
        Where it is.
    requests
        What was asked of the API, in order.
    broken
        Paths below ``/rest`` whose answer is lost after the API has done what was asked.
    files
        What was asked of the app's own files.
    pages
        Folder of a results site beside the app.
    flow
        The buckets and queues behind it (`tests.flow.Flow`).
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    files: list[Request] = field(default_factory=list)
    forms: bytes | None = None
    pages: Path | None = None
    flow: Any = None

    def sent(self, *methods: str) -> list[Request]:
        """Return the requests that changed something."""
        return [
            each
            for each in self.requests
            if each.method in (methods or ("POST", "PATCH", "PUT", "DELETE"))
        ]


def answer_file(site: Site, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return a file of the app as the distribution does."""
    name = path.removeprefix("/app/") or "index.html"
    file = BUILT / name
    if "/" in name or not file.is_file():
        return 404, {"Content-Type": "text/plain"}, b"not found"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "application/manifest+json" if name.endswith(".webmanifest") else kind
    body = file.read_bytes()
    if name.startswith("forms-") and site.forms is not None:
        body = site.forms
    headers = {
        "Content-Type": kind,
        "Content-Security-Policy": POLICY,
        "Cache-Control": cache_control(path.removeprefix("/")) or "",
    }
    return 200, headers, body


def answer_page(site: Site, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return a file of the results site."""
    file = site.pages and site.pages / path.removeprefix("/")
    if not file or not file.is_file():
        return 404, {"Content-Type": "text/plain"}, b"a page of the site"
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return 200, {"Content-Type": kind}, file.read_bytes()


@contextmanager
def serve(app: Any) -> Iterator[Site]:
    """Serve the app and the API on loopback."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(size) if size else b""
            path = self.path.partition("?")[0]
            if path.startswith("/rest/"):
                headers = dict(self.headers.items()) | {"X-Forwarded-Proto": "http"}
                status, fields, body = gateway.call(
                    app, self.command, self.path[5:], headers, sent
                )
            elif path.startswith("/app/"):
                status, fields, body = answer_file(site, path)
            else:
                status, fields, body = answer_page(site, path)
            if len(body) >= SMALLEST_COMPRESSED and "gzip" in (
                self.headers["Accept-Encoding"] or ""
            ):
                body = gzip.compress(body, 6, mtime=0)
                fields = {**fields, "Content-Encoding": "gzip"}
            asked = Request(self.command, self.path, status, len(sent), len(body))
            if path.startswith("/app/"):
                site.files.append(asked)
            if path.startswith("/rest/"):
                site.requests.append(
                    Request(self.command, self.path[5:], status, len(sent), len(body))
                )
                if path[5:] in site.broken:
                    site.broken.discard(path[5:])
                    self.close_connection = True
                    return
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

        def log_message(self, *_: Any) -> None:
            pass

    with answering(Handler) as site.url:
        yield site


def forms() -> dict[str, Any]:
    """Return the declarations that the built app has."""
    (file,) = BUILT.glob("forms-*.json")
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found
