"""Reading from HTTP servers: a real one on the loopback, with ranges, signatures and faults."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shared import codec, recordings
from shared.recordings import mtscomp as pairs
from shared.recordings import remote
from tests.codec.arrays import recording


class Server(ThreadingHTTPServer):
    """Serves a folder with ranges as S3 does, GET only, and counts what it is asked for."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[tuple[str, str | None]] = []
        self.faults: list[int | str] = []  # what to answer instead, once each
        self.signature: str | None = None
        self.ranges = True
        self.tag = '"one"'

    def address(self, name: str) -> str:
        query = f"?X-Amz-Signature={self.signature}" if self.signature else ""
        return f"http://127.0.0.1:{self.server_address[1]}/{name}{query}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        name, _, query = self.path.lstrip("/").partition("?")
        span = self.headers.get("Range")
        server.asked.append((name, span))
        if server.faults:
            fault = server.faults.pop(0)
            if fault == "drop":
                self.close_connection = True
                return
            self.answer(int(fault), b"")
            return
        if server.signature and query != f"X-Amz-Signature={server.signature}":
            self.answer(403, b"<Error/>")
            return
        path = server.folder / name
        if not path.is_file():
            self.answer(404, b"")
            return
        data = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", span or "")
        if not match or not server.ranges:
            self.answer(200, data)
            return
        if match[1]:
            start, stop = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
        else:
            start, stop = max(0, len(data) - int(match[2])), len(data)
        if start >= len(data):
            self.answer(416, b"")
            return
        self.answer(206, data[start:stop], f"bytes {start}-{stop - 1}/{len(data)}")

    def answer(self, status: int, body: bytes, span: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.tag)
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return recording(9500, 30)


@pytest.fixture
def server(tmp_path: Path, samples: np.ndarray) -> Iterator[Server]:
    recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, chunk_length=1000)
    server = Server(tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BACKOFF", 0)
    monkeypatch.setattr(remote, "TAIL_BYTES", 1024)


def test_one_second_takes_one_request(server: Server, samples: np.ndarray) -> None:
    """With the sidecar: one request for it, and one range per second read."""
    sidecar = server.address("a.eh")
    with recordings.open(server.address("a.ebin"), sidecar=sidecar, read_ahead=0) as reader:
        np.testing.assert_array_equal(reader[3000:3999], samples[3000:3999])
        assert len(server.asked) == 2
        start, stop = reader.index.offsets[3:5]
        assert server.asked[1] == ("a.ebin", f"bytes={start}-{stop - 1}")
        reader[3500:3700]  # from what was fetched
        assert len(server.asked) == 2


@pytest.mark.parametrize("read_ahead", [0, 1])
def test_any_second_takes_one_request(
    server: Server, samples: np.ndarray, read_ahead: int
) -> None:
    """Given the index is known: wherever a second begins, its chunks come together."""
    index = recordings.open(server.folder / "a.ebin").index
    for start in (0, 1, 2500, 8499):
        address = server.address("a.ebin")
        server.asked.clear()
        with recordings.open(address, index=index, read_ahead=read_ahead) as reader:
            np.testing.assert_array_equal(
                reader[start : start + 1000], samples[start : start + 1000]
            )
            if start:
                assert len(server.asked) == 1, start
            few = [3, 1]
            np.testing.assert_array_equal(reader[2900:5100, few], samples[2900:5100, few])
            again = pickle.loads(pickle.dumps(reader))
        server.asked.clear()
        np.testing.assert_array_equal(again[3999:4001], samples[3999:4001])
        assert len(server.asked) == 1


def test_much_is_fetched_in_pieces(
    server: Server, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = recordings.open(server.folder / "a.ebin").index
    largest = max(b - a for a, b in pairwise(index.offsets))
    monkeypatch.setattr("shared.codec.fetching.TOGETHER", 2 * largest)
    with recordings.open(server.address("a.ebin"), index=index, read_ahead=0) as reader:
        np.testing.assert_array_equal(np.asarray(reader), samples)
    assert len(server.asked) == 5


@pytest.mark.parametrize("read_ahead", [0, 1, 3])
def test_seconds_across_chunks_fetch_each_chunk_once(
    server: Server, samples: np.ndarray, read_ahead: int
) -> None:
    with recordings.open(server.address("a.ebin"), read_ahead=read_ahead) as reader:
        for start in range(500, 10_500, 1000):
            got = reader[start : start + 1000]
            np.testing.assert_array_equal(got, samples[start : start + 1000])
        assert len(server.asked) <= 1 + reader.n_chunks
        spans = [re.findall(r"\d+", span or "") for _, span in server.asked[1:]]
        fetched = sum(int(last) + 1 - int(first) for first, last in spans)
        assert fetched == reader.index.offsets[-1] - reader.index.offsets[0]


def test_a_presigned_address_needs_no_sidecar(server: Server, samples: np.ndarray) -> None:
    server.signature = "abc123"
    with recordings.open(server.address("a.ebin"), read_ahead=0) as reader:
        assert server.asked == [("a.ebin", "bytes=-1024")]
        assert reader.source.name == "a.ebin"
        np.testing.assert_array_equal(reader[1000:2000, 4], samples[1000:2000, 4])
        assert len(server.asked) == 2
        server.signature = "renewed"
        with pytest.raises(codec.CodecError, match="may have expired"):
            reader[5000]


def test_a_long_index_takes_a_second_request(
    server: Server, samples: np.ndarray, tmp_path: Path
) -> None:
    recordings.compress(samples, tmp_path / "b.ebin", sample_rate=1000, chunk_length=50)
    with recordings.open(server.address("b.ebin"), read_ahead=0) as reader:
        assert len(server.asked) == 2
        np.testing.assert_array_equal(reader[-5:], samples[-5:])


def test_reading_ahead(server: Server, samples: np.ndarray) -> None:
    """Given a reader that goes forward, the next chunk is asked for before it is read."""
    with recordings.open(server.address("a.ebin"), read_ahead=2) as reader:
        got = [reader[start : start + 1000] for start in range(0, len(samples), 1000)]
        np.testing.assert_array_equal(np.concatenate(got), samples)
        spans = [span for _, span in server.asked]
        assert len(spans) == len(set(spans)) == 1 + reader.n_chunks  # each chunk once


def test_threads(server: Server, samples: np.ndarray) -> None:
    with recordings.open(server.address("a.ebin"), threads=3) as reader:
        np.testing.assert_array_equal(reader[:], samples)


@pytest.mark.parametrize("faults", [[503], [500, 429], ["drop"], ["drop", 502, "drop"]])
def test_passing_failures_are_tried_again(
    server: Server, samples: np.ndarray, faults: list[int | str]
) -> None:
    with recordings.open(server.address("a.ebin"), read_ahead=0) as reader:
        server.faults = list(faults)
        np.testing.assert_array_equal(reader[0:10], samples[0:10])


@pytest.mark.parametrize(("faults", "message"), [([500] * 9, "500"), ([404], "404")])
def test_lasting_failures_are_told(server: Server, faults: list[int | str], message: str) -> None:
    server.faults = list(faults)
    with pytest.raises(codec.CodecError, match=message):
        recordings.open(server.address("a.ebin"))


def test_a_file_replaced_meanwhile_is_noticed(server: Server) -> None:
    with recordings.open(server.address("a.ebin"), read_ahead=0) as reader:
        server.tag = '"two"'
        with pytest.raises(codec.CorruptionError, match="was replaced"):
            reader[0]


def test_the_sidecar_of_another_recording_is_noticed(
    server: Server, samples: np.ndarray, tmp_path: Path
) -> None:
    recordings.compress(samples[::-1], tmp_path / "b.ebin", sample_rate=1000, chunk_length=1000)
    with (
        recordings.open(server.address("a.ebin"), sidecar=server.address("b.eh")) as reader,
        pytest.raises(codec.CorruptionError, match="chunk 2"),
    ):
        reader[2000:3000]


def test_a_server_without_ranges_is_told_apart(server: Server) -> None:
    server.ranges = False
    with pytest.raises(codec.CodecError, match="does not serve ranges"):
        recordings.open(server.address("a.ebin"))


def test_a_truncated_object_is_noticed_at_open(server: Server, tmp_path: Path) -> None:
    data = (tmp_path / "a.ebin").read_bytes()
    (tmp_path / "a.ebin").write_bytes(data[:-100])
    with pytest.raises(codec.TruncationError):
        recordings.open(server.address("a.ebin"))


def test_mtscomp_pairs(server: Server, samples: np.ndarray, tmp_path: Path) -> None:
    pairs.compress(recordings.open_source(samples), tmp_path / "m.cbin", sample_rate=1000)
    with recordings.open(server.address("m.cbin"), sidecar=server.address("m.ch")) as reader:
        np.testing.assert_array_equal(reader[4321:4400], samples[4321:4400])
    with pytest.raises(codec.CodecError, match=r"give the address of its \.ch"):
        recordings.open(server.address("m.cbin"))
