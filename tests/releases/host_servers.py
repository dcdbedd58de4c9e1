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
        self.licences = [
            {
                "value": 2,
                "name": "CC0",
                "url": "https://creativecommons.org/publicdomain/zero/1.0/",
            },
            {"value": 1, "name": "CC BY 4.0", "url": "http://creativecommons.org/licenses/by/4.0"},
        ]
        self.cuts_at: str = ""
        self.over: set[str] = set()
        self.uploads = 0
        self.dandi_part = 64 * 2**20
        self.dandiset: dict[str, Any] = {}


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
            length = int(self.headers.get("Content-Length") or 0)
            asked = f"{self.command} {self.path}"
            state.asked.append(asked)
            if state.cuts_at and state.cuts_at in asked:  # once, in the middle of what is sent
                state.cuts_at = ""
                self.rfile.read(length // 2)
                self.close_connection = True
                return None
            data = self.rfile.read(length)
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
    segments = path.strip("/").split("/")
    body = json.loads(data) if data[:1] == b"{" else {}
    match (method, *segments):
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
            return 200, {"key": name, "checksum": f"md5:{md5(data)}"}
        # FigShare
        case ("GET", "account", "licenses"):
            return 200, state.licences
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
            contact = {"schemaKey": "Person", "name": "Owner", "roleName": ["dcite:ContactPerson"]}
            state.dandiset = {"contributor": [contact]} | body["metadata"]
            return 200, {"identifier": "000001"}
        case ("GET", "dandisets", "000001", "versions", "draft"):
            return 200, state.dandiset
        case ("PUT", "dandisets", "000001", "versions", "draft"):
            state.dandiset = body["metadata"]
            return 200, {}
        case ("POST", "uploads", "initialize"):
            if body["digest"]["value"] in state.files:
                return 409, {"detail": "Blob already exists."}
            state.uploads += 1
            upload, size = str(state.uploads), body["contentSize"]
            state.announced.append(body)
            state.parts[upload] = {}
            return 200, {
                "upload_id": upload,
                "parts": [
                    {
                        "part_number": number,
                        "size": min(state.dandi_part, size - start),
                        "upload_url": f"{base}/signed/{upload}/{number}?X-Amz-Signature=x",
                    }
                    for number, start in enumerate(range(0, size, state.dandi_part), 1)
                ],
            }
        case ("PUT", "signed", upload, number):
            if upload in state.over:
                return 403, {"message": "Request has expired"}
            number = number.partition("?")[0]
            state.parts[upload][int(number)] = data
            return 200, {}, {"ETag": f'"{md5(data)}"'}
        case ("POST", "uploads", upload, "complete"):
            stored = {number: f'"{md5(part)}"' for number, part in state.parts[upload].items()}
            if {part["part_number"]: part["etag"] for part in body["parts"]} != stored:
                return 400, {"detail": "InvalidPart"}
            url = f"{base}/signed/{upload}/complete"
            return 200, {"complete_url": url, "body": "<Complete/>"}
        case ("POST", "signed", upload, "complete"):
            return 200, {}
        case ("POST", "uploads", upload, "validate"):
            parts = [part for _, part in sorted(state.parts[upload].items())]
            whole = md5(b"".join(bytes.fromhex(md5(part)) for part in parts))
            etag = f"{whole}-{len(parts)}"
            if state.announced[-1]["digest"]["value"] != etag:
                return 400, {"detail": "wrong etag"}
            state.files[etag] = b"".join(parts)
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
