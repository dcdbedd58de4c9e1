"""Releases of a server, with an account or without: manifests, and bytes by ranges."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from lab.client import (
    ClientError,
    Patience,
    RecordMissing,
    RequestRefused,
    Unreachable,
    patient_session,
)
from lab.client.configuration import address
from lab.client.http import refuse_page
from shared.model import json
from shared.model.object_index import INDEXED, LocatedObject, ObjectIndex
from shared.model.release import ReleasedFile, ReleaseManifest, ReleaseRecord
from shared.releases.describe import ReleaseAddresses
from shared.releases.manifest import BadManifest, decode_manifest

BLOCK = 2**20
"""Bytes fetched at a time."""

PAGE = 250
"""Rows of one request (the most that a list answers)."""

TIMEOUT = (10, 300)
"""Seconds to connect, and to wait for bytes."""

GOOD = 3000
"""Seconds for which a storage address is reused; the server makes it valid for an hour."""

_ADDRESS = re.compile(r"(?P<api>.*)/releases/(?P<name>[^/?#]+)(?:/(?P<version>\d+|latest))?/?")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?:[@/](?P<version>\d+|latest))?")


class NoRelease(ClientError):
    """The given text names no release."""


def parse_address(text: str) -> tuple[str, str, str] | None:
    """Return API, name and version of a release's address; None if it is no address.

    Examples
    --------
    >>> parse_address("https://api.example.org/v1/releases/paper/2")
    ('https://api.example.org/v1', 'paper', '2')
    """
    if not re.match(r"https?://", text):
        return None
    split = urlsplit(text)
    match = _ADDRESS.fullmatch(f"{split.scheme}://{split.netloc}{split.path}")
    if match is None:
        raise NoRelease(f"{text} is no address of a release: write API/releases/NAME/VERSION.")
    return match["api"], match["name"], match["version"] or "latest"


class ReleaseServer:
    """A server's releases and their files.

    Parameters
    ----------
    url : str
        Address of the API.
    token : str, optional
        Token of an account; without one, requests are anonymous.
    grant : str, optional
        The part of a reviewer's address after ``?review=``.
    """

    def __init__(self, url: str, token: str | None = None, grant: str | None = None) -> None:
        self.url = address(url)
        self.token, self.grant = token, grant
        self.http = patient_session(Patience())
        self.requests = 0
        self._locations: dict[str, tuple[str, float]] = {}
        self._indexes: dict[str, ObjectIndex | None] = {}

    def _get(
        self, path: str, headers: dict[str, str] | None = None, *, follow: bool = True
    ) -> requests.Response:
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = f"Token {self.token}"
        self.requests += 1
        params = {"review": self.grant} if self.grant else None
        try:
            answer = self.http.get(
                self.url + path,
                headers=sent,
                params=params,
                timeout=TIMEOUT,
                stream=True,
                allow_redirects=follow,
            )
        except requests.RequestException as error:
            raise Unreachable(f"{self.url} did not answer ({type(error).__name__})") from error
        if answer.ok:
            return answer
        with answer:
            refuse_page(answer)
            raise _refusal(answer, path)

    def _read(self, path: str) -> bytes:
        """Return the JSON of a path as bytes; refuse a web page."""
        answer = self._get(path)
        refuse_page(answer)
        return answer.content

    def releases(self) -> list[ReleaseRecord]:
        """Return all visible versions of all releases."""
        records = self.json("/releases")["results"]
        return [json.read(record, ReleaseRecord) for record in records]

    def record(self, name: str, version: str = "latest") -> ReleaseRecord:
        """Return a version of a release.

        Raises
        ------
        RecordMissing
            No such version is visible to the account.
        """
        return json.decode(self._read(f"/releases/{quote(name)}/{version}"), ReleaseRecord)

    def manifest(self, record: ReleaseRecord) -> ReleaseManifest:
        """Return a version's manifest, verified by the record's digest.

        Raises
        ------
        NoRelease
            The manifest is damaged, or differs from the record.
        """
        content = self._read(f"/releases/{record.name}/{record.version}/manifest.json")
        try:
            return decode_manifest(content, record.manifest)
        except BadManifest as error:
            raise NoRelease(str(error)) from None

    def nwb_files(self, record: ReleaseRecord) -> Iterator[tuple[str, ReleasedFile]]:
        """Yield the NWB files that workers wrote for a version, each with its path in a copy."""
        offset = 0
        while True:
            where = f"/releases/{record.name}/{record.version}/nwb"
            page = self.json(f"{where}?limit={PAGE}&offset={offset}")
            for file_row in page["results"]:
                yield f"{file_row['folder']}/{file_row['path']}", json.read(file_row, ReleasedFile)
            offset += PAGE
            if offset >= page["count"]:
                return

    def where(self, record: ReleaseRecord) -> ReleaseAddresses:
        """Return the addresses of a version."""
        return ReleaseAddresses(api=self.url, doi=record.doi)

    def blocks(self, path: str, file: ReleasedFile, start: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from an offset on; broken connections are resumed.

        Raises
        ------
        ClientError
            The server refuses the file, or breaks off repeatedly.
        """
        tries = 0
        while start < file.size:
            before = start
            headers = {"Range": f"bytes={start}-"} if start else None
            try:
                with self._get(f"/{quote(file.place)}", headers) as answer:
                    if start and answer.status_code != 206:
                        raise ClientError(f"{self.url} does not send parts of {path}")
                    for block in answer.iter_content(BLOCK):
                        yield block
                        start += len(block)
                if start < file.size:
                    raise requests.exceptions.ChunkedEncodingError("the answer was too short")
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                tries = tries + 1 if start == before else 1
                if tries > 5:
                    raise ClientError(f"{self.url} broke off {path}: try again later") from error

    def json(self, path: str) -> Any:
        """Return the answer of a path, parsed."""
        return json.decode(self._read(path), Any)

    def location(self, file: ReleasedFile) -> str:
        """Return the storage's own address of a file, valid for a while without account.

        Raises
        ------
        ClientError
            The server refuses the file.
        """
        address, until = self._locations.get(file.id, ("", 0.0))
        if time.monotonic() < until:
            return address
        if file.size >= INDEXED:
            return self._locate(file).address
        answer = self._get(f"/{quote(file.place)}", follow=False)
        location = answer.headers.get("Location") or answer.url
        self._locations[file.id] = location, time.monotonic() + GOOD
        return location

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return the index of a large file, if the server has it; requested once.

        The same answer has the bytes' address, so the next request goes to them.

        Raises
        ------
        ClientError
            The server refuses the file.
        """
        if file.size >= INDEXED and file.id not in self._indexes:
            self._locate(file)
        return self._indexes.get(file.id)

    def _locate(self, file: ReleasedFile) -> LocatedObject:
        path = f"/datasets/{quote(file.id)}/index"
        located = json.decode(self._get(path).content, LocatedObject)
        self._locations[file.id] = located.address, time.monotonic() + min(GOOD, located.good_for)
        sound = located.index is not None and located.index.size == file.size
        self._indexes[file.id] = located.index if sound else None
        return located

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file by one range request; the first also looks up the address.

        Raises
        ------
        ClientError
            The answer has other bytes than requested.
        """
        last = min(start + length, file.size) - 1
        if last < start:
            return b""
        for _ in range(2):
            location = self.location(file)
            self.requests += 1
            headers = {"Range": f"bytes={start}-{last}"}
            try:
                answer = self.http.get(location, headers=headers, timeout=TIMEOUT)
            except requests.RequestException as error:
                raise ClientError(f"{self.url} broke off {file.path}: try again later") from error
            if answer.status_code != 403:
                break
            self._locations.pop(file.id, None)  # the address has expired
        data = answer.content
        if answer.status_code == 200 and len(data) == file.size:
            data = data[start : last + 1]
        if not answer.ok or len(data) != last + 1 - start:
            raise ClientError(
                f"{self.url} answered {answer.status_code} with {len(data)} bytes of {file.path}"
            )
        return data


def _refusal(answer: requests.Response, path: str) -> ClientError:
    try:
        body = answer.json()
    except ValueError:
        body = {"detail": answer.text[:200]}
    kind = RecordMissing if answer.status_code == 404 else RequestRefused
    return kind(answer.status_code, body if isinstance(body, dict) else {}, f"GET {path}")


def find_release(what: str) -> tuple[ReleaseServer, ReleaseRecord]:
    """Return the server and the version of a name or an address.

    Parameters
    ----------
    what : str
        ``API/releases/NAME[/VERSION]``, requested anonymously unless the account of `fornix login`
        is there; or ``NAME[@VERSION]`` on that account's server.

    Raises
    ------
    NoRelease
        The text is neither.
    """
    from lab.client import Client, NotConfigured, settings

    parsed = parse_address(what)
    if parsed is None:
        match = _NAMED.fullmatch(what)
        if match is None:
            raise NoRelease(f"{what!r} is no release: write NAME, NAME@VERSION or its address.")
        account = settings()
        token = account.token or (Client(account).login() if account.password else None)
        server = ReleaseServer(account.url, token)
        return server, server.record(match["name"], match["version"] or "latest")
    api, name, version = parsed
    query = dict(part.partition("=")[::2] for part in urlsplit(what).query.split("&"))
    token = None
    try:
        account = settings()
        if account.url == address(api):
            token = account.token or (Client(account).login() if account.password else None)
    except NotConfigured:
        pass
    server = ReleaseServer(api, token, query.get("review"))
    return server, server.record(name, version)
