"""The real API, served over a loopback socket in this process."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class Context:
    """What Lambda passes beside the event."""

    function_name = "api"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:api"
    aws_request_id = "0"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


@contextmanager
def serve_api() -> Iterator[str]:
    """Serve the API as API Gateway would; yield its address."""
    from functions.api.app import app

    patterns = [
        (path, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$"))
        for path in sorted(app.routes, key=lambda p: p.count("{"))
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *args: Any) -> None:
            pass

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, match = next(
                ((p, m) for p, r in patterns if (m := r.match(parts.path))), (None, None)
            )
            query = parse_qs(parts.query, keep_blank_values=True)
            event = {
                "httpMethod": self.command,
                "path": parts.path,
                "resource": path,
                "headers": dict(self.headers),
                "multiValueHeaders": {k: [v] for k, v in self.headers.items()},
                "queryStringParameters": {k: v[-1] for k, v in query.items()} or None,
                "multiValueQueryStringParameters": query or None,
                "pathParameters": {k: unquote(v) for k, v in match.groupdict().items()}
                if match
                else None,
                "stageVariables": None,
                "body": base64.b64encode(body).decode(),
                "isBase64Encoded": True,
                "requestContext": {
                    "resourcePath": path,
                    "httpMethod": self.command,
                    "path": parts.path,
                    "identity": {"sourceIp": "127.0.0.1"},
                },
            }
            if path is None:
                answer: dict[str, Any] = {"statusCode": 403, "body": "{}", "headers": {}}
            else:
                answer = app(event, Context())
            data = answer["body"].encode()
            if answer.get("isBase64Encoded"):
                data = base64.b64decode(data)
            self.send_response(answer["statusCode"])
            for name, value in (answer.get("headers") or {}).items():
                self.send_header(name, value)
            for name, values in (answer.get("multiValueHeaders") or {}).items():
                for value in values:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    # One request at a time, as one Lambda environment does.
    lock = threading.Lock()
    plain = Handler.handle_any

    def locked(self: Handler) -> None:
        with lock:
            plain(self)

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", locked)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    os.environ["FORNIX_API_URL"] = url
    try:
        yield url
    finally:
        os.environ.pop("FORNIX_API_URL", None)
        server.shutdown()
        server.server_close()


def administrator(name: str = "root") -> str:
    """Make an administrator in the table; return a token of theirs."""
    from functions.api import auth
    from shared.records import documents, search

    body = {"username": name, "role": "administrator", "lab": [], "is_active": True}
    documents.create("user", name, body, who="tests")
    search.forget()
    return auth.issue(name)


if __name__ == "__main__":  # a Fornix of its own: FORNIX_TABLE says which
    token = administrator()
    with serve_api() as address:
        print(address, token, flush=True)
        threading.Event().wait()
