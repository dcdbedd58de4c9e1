"""Made-up servers over a real socket, which answer with JSON and say nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Answers requests with JSON, or with bytes as they are."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def body(self) -> Any:
        """Return what the request brings."""
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def started(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Return a server at a free port of this computer, which serves until it is shut down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
