"""Connections to DynamoDB stay open, are made again when lost, and refuse what is no answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from shared.records.connection import BadAnswer, Connections, HttpAnswer

OK = b"HTTP/1.1 200 OK\r\nX-Amz-Crc32: 7\r\nContent-Length: 2\r\n\r\n{}"


class Host:
    """A host that answers each request with the next of its answers, and counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.hung_up = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self.answers:
            try:
                line, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            with line, line.makefile("rb") as reader:
                while self.answers and self._one(line, reader):
                    pass
            self.hung_up.release()

    def _one(self, line: socket.socket, reader) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = reader.readline()
            if not part:
                return False
            head += part
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        self.requests.append(head + reader.read(length))
        answer = self.answers.pop(0)
        line.sendall(answer)
        return answer.endswith(b"{}") and b"close" not in answer

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@contextmanager
def host(*answers: bytes) -> Iterator[Host]:
    started = Host(*answers)
    try:
        yield started
    finally:
        started.close()


def test_requests_share_a_connection_that_stays_open() -> None:
    with host(OK, OK) as there:
        connections = Connections(there.url)
        # When two requests follow each other, then one connection carries both
        first = connections.post({"host": "db", "x-amz-target": "Query"}, b'{"a":1}')
        second = connections.post({"host": "db"}, b"")
    assert first == second == HttpAnswer(200, {"x-amz-crc32": "7", "content-length": "2"}, b"{}")
    assert there.connections == 1
    assert there.requests[0] == (
        b'POST / HTTP/1.1\r\nhost: db\r\nx-amz-target: Query\r\ncontent-length: 7\r\n\r\n{"a":1}'
    )


@pytest.mark.parametrize(
    "last", [OK.replace(b"Content", b"Connection: close\r\nContent"), OK.replace(b"1.1", b"1.0")]
)
def test_a_connection_that_the_host_ends_is_not_used_again(last: bytes) -> None:
    with host(last, OK) as there:
        connections = Connections(there.url)
        connections.post({}, b"")
        assert connections.post({}, b"").status == 200
    assert there.connections == 2


def test_a_connection_that_was_ended_while_it_was_idle_is_made_again() -> None:
    # Given a host that hangs up after its answer without saying so
    class Tired(Host):
        def _one(self, line: socket.socket, reader) -> bool:
            super()._one(line, reader)
            return False

    there = Tired(OK, OK)
    connections = Connections(there.url)
    connections.post({}, b"")
    there.hung_up.acquire()
    # When the next request comes, then it is sent once, on another connection
    assert connections.post({}, b"").status == 200
    there.close()
    assert (there.connections, len(there.requests)) == (2, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_what_is_no_simple_answer_is_refused(answer: bytes) -> None:
    with host(answer, OK) as there:
        connections = Connections(there.url)
        with pytest.raises(BadAnswer):
            connections.post({}, b"")
        # The next request has a connection of its own.
        assert connections.post({}, b"").status == 200
    assert there.connections == 2


def test_nobody_at_the_address_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        Connections(f"http://127.0.0.1:{port}/").post({}, b"")
