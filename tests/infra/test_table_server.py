"""Requests to the table's server keep their connections, and are never sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from infra.local.table import CONNECTIONS, TableServer

OK = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: r\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


class Server:
    """A server that answers each request with the next answer; a part of one ends it."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.most = 0
        self._now = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"content-length: ")[1].split()[0])
                self._now += 1
                self.most = max(self.most, self._now)
                self.requests.append(head + await reader.readexactly(length))
                await asyncio.sleep(0)
                self._now -= 1
                answer = self.answers.pop(0)
                writer.write(answer)
                if answer not in (OK, CHUNKED):
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def run(server: Server, use: Callable[[TableServer], Awaitable[None]]) -> None:
    async def main() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        table = TableServer(f"http://127.0.0.1:{port}")
        try:
            await use(table)
        finally:
            for connection in table._free:
                connection.close()
            listening.close()

    asyncio.run(main())


def test_requests_after_each_other_share_a_connection() -> None:
    server = Server(OK, CHUNKED)

    async def use(table: TableServer) -> None:
        answer = await table.ask("/", {"x-amz-target": "DynamoDB_20120810.Query"}, b"{}")
        assert (answer.status, answer.data) == (200, b"{}")
        assert answer.headers["x-amzn-requestid"] == "r"
        refused = await table.ask("/", {}, b"")
        assert (refused.status, refused.data) == (400, b"{}")

    run(server, use)
    assert server.connections == 1
    assert b"x-amz-target: DynamoDB_20120810.Query\r\n" in server.requests[0]


def test_no_more_connections_are_open_than_allowed() -> None:
    server = Server(*[OK] * 3 * CONNECTIONS)

    async def use(table: TableServer) -> None:
        asked = (table.ask("/", {}, b"{}") for _ in range(3 * CONNECTIONS))
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {200}

    run(server, use)
    assert server.connections <= CONNECTIONS


@pytest.mark.parametrize(
    "bad", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"SSH-2.0-OpenSSH\r\n\r\n"]
)
def test_a_request_without_a_whole_answer_is_an_error_and_not_repeated(bad: bytes) -> None:
    server = Server(bad, OK)

    async def use(table: TableServer) -> None:
        with pytest.raises(ConnectionError):
            await table.ask("/", {}, b"one")
        assert (await table.ask("/", {}, b"two")).status == 200

    run(server, use)
    assert [request.rpartition(b"\r\n")[2] for request in server.requests] == [b"one", b"two"]


def test_a_connection_that_was_left_while_it_waited_is_not_used_again() -> None:
    server = Server(OK, OK)

    async def use(table: TableServer) -> None:
        asked = asyncio.ensure_future(table.ask("/", {}, b"one"))
        while not server.requests:
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert not table._free
        assert (await table.ask("/", {}, b"two")).data == b"{}"

    run(server, use)
