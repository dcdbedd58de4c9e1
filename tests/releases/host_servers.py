"""The protocols of three hosts, as small servers on a socket; the real ones need accounts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.processes import answering

PART = 100_000


class HostState:
    """What a host has: drafts, files by name, and what it was asked."""

    def __init__(self) -> None:
        self.drafts: list[Any] = []
        self.files: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.announced: list[dict[str, Any]] = []
        self.assets: list[Any] = []
        self.asked: list[str] = []
        self.fails_at: str = ""
        self.signed_with_token = False


def handler(state: HostState, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def answer(self, status: int, body: Any = None, **headers: str) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def handle_any(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = f"{self.command} {self.path}"
            state.asked.append(asked)
            given = self.headers.get("Authorization")
            if self.path.startswith("/signed/"):
                state.signed_with_token |= given is not None
            elif given != token:
                return self.answer(401, {"message": "wrong token"})
            if state.fails_at and state.fails_at in asked:
                return self.answer(400, {"message": "disk full"})
            base = f"http://{self.headers['Host']}"
            status, body, *headers = respond(state, base, self.command, self.path, data)
            self.answer(status, body, **(headers[0] if headers else {}))

        do_GET = do_POST = do_PUT = handle_any

    return Handler


def respond(state: HostState, base: str, method: str, path: str, data: bytes) -> tuple[Any, ...]:
    """Return status and body."""
    parts = path.strip("/").split("/")
    body = json.loads(data) if data[:1] == b"{" else {}
    match (method, *parts):
        # Zenodo
        case ("POST", "deposit", "depositions"):
            state.drafts.append(body)
            return 201, {"id": 7, "links": {"html": f"{base}/deposit/7"}}
        case ("GET", "deposit", "depositions", "7"):
            return 200, {"links": {"bucket": f"{base}/bucket"}}
        case ("GET", "deposit", "depositions", "7", "files"):
            return 200, [
                {"filename": name, "checksum": f"md5:{md5(content)}"}
                for name, content in state.files.items()
            ]
        case ("PUT", "bucket", name):
            state.files[name] = data
            return 200, {}
        # FigShare
        case ("POST", "account", "articles"):
            state.drafts.append(body)
            return 201, {"location": f"{base}/account/articles/9"}
        case ("GET", "account", "articles", "9", "files"):
            return 200, state.announced
        case ("POST", "account", "articles", "9", "files"):
            identity = str(len(state.announced))
            state.announced.append(
                {
                    "id": identity,
                    "name": body["name"],
                    "size": body["size"],
                    "supplied_md5": body["md5"],
                    "status": "created",
                    "upload_url": f"{base}/upload/{identity}",
                }
            )
            return 201, {"location": f"{base}/account/articles/9/files/{identity}"}
        case ("GET", "account", "articles", "9", "files", identity):
            return 200, state.announced[int(identity)]
        case ("GET", "upload", identity):
            size = state.announced[int(identity)]["size"]
            there = state.parts.setdefault(identity, {})
            return 200, {
                "parts": [
                    {
                        "partNo": n,
                        "startOffset": start,
                        "endOffset": min(start + PART, size) - 1,
                        "status": "COMPLETE" if n in there else "PENDING",
                    }
                    for n, start in enumerate(range(0, size, PART), 1)
                ]
            }
        case ("PUT", "upload", identity, number):
            state.parts[identity][int(number)] = data
            return 200, {}
        case ("POST", "account", "articles", "9", "files", identity):
            file = state.announced[int(identity)]
            content = b"".join(part for _, part in sorted(state.parts[identity].items()))
            if md5(content) != file["supplied_md5"]:
                return 400, {"message": "md5"}
            file["status"] = "available"
            state.files[file["name"]] = content
            return 202, {}
        # DANDI
        case ("POST", "dandisets"):
            state.drafts.append(body)
            return 200, {"identifier": "000001"}
        case ("POST", "uploads", "initialize"):
            if body["digest"]["value"] in state.parts:
                return 409, {"detail": "Blob already exists."}
            state.announced.append(body)
            upload = {"part_number": 1, "size": body["contentSize"]}
            return 200, {
                "upload_id": "u",
                "parts": [upload | {"upload_url": f"{base}/signed/1"}],
            }
        case ("PUT", "signed", "1"):
            state.files["blob"] = data
            return 200, {}, {"ETag": f'"{md5(data)}"'}
        case ("POST", "uploads", "u", "complete"):
            return 200, {"complete_url": f"{base}/signed/complete", "body": "<Complete/>"}
        case ("POST", "signed", "complete"):
            return 200, {}
        case ("POST", "uploads", "u", "validate"):
            etag = hashlib.md5(bytes.fromhex(md5(state.files["blob"]))).hexdigest() + "-1"
            if state.announced[-1]["digest"]["value"] != etag:
                return 400, {"detail": "wrong etag"}
            state.parts[etag] = {}
            return 200, {"blob_id": "b"}
        case ("POST", "blobs", "digest"):
            return 200, {"blob_id": "b"}
        case ("POST", "dandisets", "000001", "versions", "draft", "assets"):
            state.assets.append(body)
            return 200, {}
    return 404, {"message": f"no {method} {path}"}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def host_server(state: HostState, token: str) -> Iterator[str]:
    """Serve a host's API; yields its address."""
    with answering(handler(state, token)) as url:
        yield url
