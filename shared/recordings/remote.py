"""Bytes of a recording at an HTTP address, fetched by range requests.

Addresses may be plain or presigned: only GET is used, because a presigned address is signed for
one method.
"""

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.codec.errors import CodecError, CorruptionError

#: Bytes fetched from the end to learn the size: trailer and index of about an hour.
TAIL_BYTES = 1 << 16
#: Retries, and seconds before the second one; the wait doubles each time.
RETRIES, BACKOFF = 3, 0.2
PASSING = (429, 500, 502, 503, 504)
TIMEOUT = (10, 60)  # seconds to connect, and between bytes
#: Most bytes of a sidecar.
MAX_SIDECAR_BYTES = 1 << 28


class ServerAway(CodecError):
    """The server does not answer now; later it may."""


class RemoteFile:
    """A file at an address, read by ranges; safe to use from several threads."""

    distant = True  # each read is a request

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = name_of(url) or "the file"
        self.ahead = TAIL_BYTES
        self._local = threading.local()
        self._size: int | None = None
        self._tail = b""
        self._tag: str | None = None
        self._lock = threading.Lock()

    def size(self) -> int:
        """Return the number of bytes, learnt from a request for the last ones."""
        with self._lock:
            if self._size is None:
                response = self._get(f"bytes=-{self.ahead}")
                start, size = self._range(response)
                self._size, self._tail = size, response.content
                if len(self._tail) != size - start:
                    raise CodecError(f"{self.name}: the server sent a broken range")
            return self._size

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, fewer only at the end."""
        if self._size is not None:
            stop = min(stop, self._size)
            tail_start = self._size - len(self._tail)
            if start >= tail_start:
                return self._tail[start - tail_start : stop - tail_start]
        if stop <= start:
            return b""
        response = self._get(f"bytes={start}-{stop - 1}")
        if response.status_code == 416:
            return b""
        got, size = self._range(response)
        data: bytes = response.content
        if got != start or len(data) != min(stop, size) - start:
            raise CodecError(f"{self.name}: the server sent another range than was asked for")
        return data

    def _range(self, response: Any) -> tuple[int, int]:
        """Return the start of a partial answer, and the size of the whole file."""
        if response.status_code == 200 and "Content-Range" not in response.headers:
            raise CodecError(f"{self.name}: the server does not serve ranges; download the file")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
        if match is None:
            raise CodecError(f"{self.name}: the server does not tell which range it sent")
        tag = response.headers.get("ETag")
        if self._tag is not None and tag != self._tag:
            raise CorruptionError(f"{self.name} was replaced on the server while it was read")
        self._tag = tag
        return int(match[1]), int(match[3])

    def _get(self, span: str) -> Any:
        """Request a range; try again after a transient failure."""
        import requests

        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _session()
        headers = {"Range": span, "Accept-Encoding": "identity"}
        try:
            response = session.get(self.url, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise ServerAway(f"{self.name}: no answer: {type(error).__name__}") from error
        if response.status_code not in (200, 206, 416):
            hint = " (the address may have expired)" if response.status_code == 403 else ""
            answer = f"{response.status_code} {response.reason}{hint}"
            kind = ServerAway if response.status_code in PASSING else CodecError
            raise kind(f"{self.name}: the server answered {answer}")
        return response

    def start_again(self) -> None:
        """Drop what a forked process must not share: connections and a lock."""
        self._local = threading.local()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close this thread's connection."""
        session = getattr(self._local, "session", None)
        if session is not None:
            session.close()


def _session() -> Any:
    """Return a session that retries after transient failures."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    retry = Retry(
        RETRIES,
        backoff_factor=BACKOFF,
        backoff_jitter=BACKOFF,
        status_forcelist=PASSING,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def name_of(path: object) -> str:
    """Return the last part of a path or an address, for messages."""
    return unquote(Path(urlsplit(str(path)).path).name)


def read_small(path: str | Path) -> bytes:
    """Return a whole small file, local or at an address."""
    if not is_address(path):
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise CodecError(f"cannot read {path}: {error.strerror}") from error
    file = RemoteFile(str(path))
    data = file.read(0, MAX_SIDECAR_BYTES)
    file.close()
    if len(data) == MAX_SIDECAR_BYTES:
        raise CodecError(f"{file.name} is too large for an index")
    return data


def is_address(path: object) -> bool:
    """Return whether a path is an HTTP address."""
    return str(path).startswith(("http://", "https://"))
