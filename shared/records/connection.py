"""HTTP connections to DynamoDB that stay open: one small request, one answer with its length.

urllib3 and ``http.client`` take five times as long for such a request as what is sent and read
here, and they send it in two parts. What an answer needs beyond this (redirects, chunks, proxies)
is refused by `BadAnswer`; the caller then leaves the request to botocore.
"""

from __future__ import annotations

import select
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import io
    import socket

CONNECT_SECONDS, READ_SECONDS = 15, 30
"""Timeouts, the same as PynamoDB's."""

MOST_HEADERS, LONGEST_LINE = 100, 65_536
"""Limits of an answer's head, those of ``http.client``."""


class BadAnswer(OSError):
    """An answer is not the simple kind that DynamoDB gives."""


class HttpAnswer(NamedTuple):
    """An answer, its header names in lower case."""

    status: int
    headers: dict[str, str]
    data: bytes


class Connections:
    """Open connections to one host, as many as there are concurrent requests.

    Parameters
    ----------
    url : str
        Address of the host, ``http`` or ``https``.
    certificates : str, optional
        File with the certificates to trust.
    """

    def __init__(self, url: str, certificates: str | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._secure = str(parts.hostname), parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._certificates = certificates
        self._context: Any = None
        self._free: list[_Connection] = []  # append and pop are atomic

    def post(self, headers: dict[str, str], body: bytes) -> HttpAnswer:
        """Send a request to ``/`` once and return the answer.

        Raises
        ------
        OSError
            If there is no connection or no whole answer (`BadAnswer` is one).
        """
        connection = self._connection()
        try:
            answer, stays = connection.post(headers, body)
        except BaseException:
            connection.close()
            raise
        if stays:
            self._free.append(connection)
        else:
            connection.close()
        return answer

    def _connection(self) -> _Connection:
        """Return an open connection that is free, or a new one."""
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return _Connection(self._open())
            if connection.usable():
                return connection
            connection.close()

    def _open(self) -> socket.socket:
        import socket  # not at the start of a function

        plain = socket.create_connection((self._host, self._port), CONNECT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._secure:
            import ssl  # takes a moment; the embedded cloud does without

            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._certificates)
            plain = self._context.wrap_socket(plain, server_hostname=self._host)
        plain.settimeout(READ_SECONDS)
        return plain


class _Connection:
    """An open connection, which carries one request at a time."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reader = line.makefile("rb")
        self.close = weakref.finalize(self, _close, self._reader, line)

    def usable(self) -> bool:
        """Return whether the host has neither ended the connection nor sent what nobody asked."""
        waiting = select.poll()
        waiting.register(self._line, select.POLLIN)
        return not waiting.poll(0)

    def post(self, headers: dict[str, str], body: bytes) -> tuple[HttpAnswer, bool]:
        """Send a request and return its answer, and whether the connection stays open."""
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"POST / HTTP/1.1\r\n{''.join(lines)}content-length: {len(body)}\r\n\r\n"
        self._line.sendall(head.encode("latin-1") + body)
        status, lasting = self._status()
        answered = self._headers()
        length = answered.get("content-length", "")
        if not length.isdecimal():
            raise BadAnswer("an answer without its length")
        data = self._reader.read(int(length))
        if len(data) < int(length):
            raise BadAnswer("the answer has ended too early")
        stays = lasting and answered.get("connection", "").lower() != "close"
        return HttpAnswer(status, answered, data), stays

    def _status(self) -> tuple[int, bool]:
        version, _, rest = self._read_line().partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise BadAnswer("the answer is no HTTP/1")
        return int(rest[:3]), version == b"HTTP/1.1"

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(MOST_HEADERS):
            line = self._read_line()
            if not line.strip():
                return headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        raise BadAnswer("an answer with too many headers")

    def _read_line(self) -> bytes:
        line = self._reader.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise BadAnswer("the answer has ended in its head")
        return line


def _close(reader: io.BufferedReader, line: socket.socket) -> None:
    """End a connection that is not used any more."""
    reader.close()
    line.close()
