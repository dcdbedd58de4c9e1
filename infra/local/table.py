"""HTTP connections of the embedded cloud to the table's server, without a thread for each request.

Each request of a function to its table passes here, so that their way is short: the connections
stay open, and httptools, uvicorn's own parser, reads the answers.
"""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import urlsplit

import httptools

from shared.records.connection import HttpAnswer

CONNECTIONS = 32
"""Most concurrent requests; more wait."""

TIMEOUT_SECONDS = 60.0
"""How long an answer may take."""


class Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._done: asyncio.Future[HttpAnswer] | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def open(self) -> bool:
        """Whether the connection can carry another request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> HttpAnswer:
        """Send a request and return its answer.

        Raises
        ------
        ConnectionError
            If the server ends the connection before the answer's end.
        """
        if self._transport is None:
            raise ConnectionError("the connection to the table is closed")
        self._headers, self._parts = {}, []
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        """End the connection, as after an answer that was not awaited."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio and the parser call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no such class

    def data_received(self, data: bytes) -> None:
        """Parse a part of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the table answered no HTTP: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits for an answer."""
        self._transport = None
        self._fail(ConnectionError(f"the table has hung up: {error or 'no reason'}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        if self._done is not None and not self._done.done():
            self._done.set_result(HttpAnswer(status, self._headers, b"".join(self._parts)))

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


class TableServer:
    """The table's server.

    Parameters
    ----------
    address
        Its address, ``http://127.0.0.1:port``.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._free: list[Connection] = []
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def ask(self, path: str, headers: dict[str, str], body: bytes) -> HttpAnswer:
        """Send a POST request and return the answer; it is never sent twice.

        Raises
        ------
        ConnectionError, TimeoutError
            If there is no whole answer.
        """
        lines = [f"POST {path} HTTP/1.1", f"host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        request = "\r\n".join(lines).encode("latin-1") + body
        async with self._turns, asyncio.timeout(TIMEOUT_SECONDS):
            connection = await self._connect()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
            if connection.open:
                self._free.append(connection)
            return answer

    async def _connect(self) -> Connection:
        """Return an open connection without a request."""
        while self._free:
            connection = self._free.pop()
            if connection.open:
                return connection
        loop = asyncio.get_running_loop()
        _, new = await loop.create_connection(Connection, self._host, self._port)
        return new
