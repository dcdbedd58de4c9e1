"""``--upload``: send the bytes of imported datasets, by the same protocol as rigs do.

The datasets are registered first, with their ids; the files uploaded to their paths then become
their bytes. Bytes that the server has are not sent again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError, ProtocolError

from lab.client import TRIES, Client, Patience, RequestRefused, Unreachable, patient_session
from lab.transfer import BLOCK, HashCache, Transfer, TransferStep

from .carrier import Carrier

FILES_AT_ONCE = 1000
"""Files of one upload; the server accepts 5,000."""

DISK = 10 * 10**9
"""Bytes of downloads after which they are uploaded and deleted before more are fetched."""

TRANSIENT = frozenset({429, *range(500, 600)})
"""Status codes of a data server after which a request is repeated."""

TIMEOUT = (10, 300)
"""Seconds to connect to a data server, and to wait for its next bytes."""


class NotFetched(Exception):
    """The bytes of a dataset cannot be fetched from the source; the message says why."""


@dataclass(frozen=True)
class Remote:
    """A dataset's file at the source.

    Attributes
    ----------
    id : str
        Id of the dataset.
    path : str
        Path within the session, without UUID.
    url : str or None
        Address.
    size : int or None
        Bytes, if known.
    md5 : str or None
        Checksum in hexadecimal, if known.
    """

    id: str
    path: str
    url: str | None
    size: int | None
    md5: str | None


class Uploader:
    """Uploads files to existing sessions.

    Parameters
    ----------
    client : Client
        Client of Fornix.
    carrier : Carrier
        Records the outcomes.
    hashes : HashCache
        Checksums, so that a resumed import reads no file twice.
    """

    def __init__(self, client: Client, carrier: Carrier, hashes: HashCache) -> None:
        self.client = client
        self.carrier = carrier
        self.hashes = hashes
        self._sent: set[str] = set()

    def send(self, eid: str, files: Mapping[str, Path]) -> None:
        """Upload files to a session.

        Parameters
        ----------
        eid : str
            The session's id.
        files : mapping of str to Path
            Path within the session → file on disk.
        """
        if self.carrier.dry_run:
            self.carrier.journal.tally("bytes", "to send", len(files))
            return
        paths = sorted(files)
        for start in range(0, len(paths), FILES_AT_ONCE):
            batch = {path: files[path] for path in paths[start : start + FILES_AT_ONCE]}
            self._send_batch(eid, batch)

    def _send_batch(self, eid: str, files: Mapping[str, Path]) -> None:
        self._sent = set()
        try:
            with _staged(files) as folder:
                transfer = Transfer(self.client, folder, self._notice, self.hashes)
                answer = transfer.upload({"id": eid}, list(files)).answer
        except RequestRefused as error:
            for path in files:
                self._refuse(eid, path, "the server refuses the upload", str(error))
            return
        for file in answer["files"]:
            if file["state"] in ("registered", "present"):
                # An upload that is sent again repeats its final answer.
                outcome = "created" if file["path"] in self._sent else "unchanged"
                self.carrier.journal.tally("bytes", outcome)
            else:
                reason = f"the upload was refused: {file.get('code', file['state'])}"
                self._refuse(eid, file["path"], reason, file.get("reason", ""))

    def _notice(self, step: TransferStep) -> None:
        if step.event == "sent":
            self._sent.add(step.path)
            self.carrier.count_bytes(step.bytes)

    def _refuse(self, eid: str, path: str, reason: str, detail: str) -> None:
        self.carrier.refuse("bytes", f"{eid}/{path}", reason, detail)


@contextmanager
def _staged(files: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a folder in which each file has its path within the session.

    Yields the folder itself if the files lie there so, else one of links, for names with UUIDs.
    """
    roots = {
        Path(str(file)[: -len(path) - 1]) if file.as_posix().endswith("/" + path) else None
        for path, file in files.items()
    }
    if len(roots) == 1 and (root := roots.pop()) is not None:
        yield root
        return
    with TemporaryDirectory() as scratch:
        for path, file in files.items():
            link = Path(scratch, path)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.symlink(file.absolute(), link)
            except OSError:  # Windows without the privilege
                shutil.copy2(file, link)
        yield Path(scratch)


class Fetcher:
    """Downloads datasets from a data server.

    Parameters
    ----------
    folder : Path
        Folder of downloads until they are uploaded.
    account : (str, str) or None
        User and password of the data server.
    of : str
        Address of the server that may receive the account.
    pause : callable
        Waits a number of seconds between tries.
    """

    def __init__(
        self,
        folder: Path,
        account: tuple[str, str] | None,
        of: str | None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.folder = folder
        self._account = account
        self._of = of and urlsplit(of).netloc
        self._pause = pause
        self._http = patient_session(Patience(TRANSIENT, pause))

    def fetch(self, remote: Remote) -> Path:
        """Download a file, unless it exists already; check its size and MD5.

        Raises
        ------
        NotFetched
            The file does not exist, or differs from the source's description.
        """
        if not remote.url or urlsplit(remote.url).scheme not in ("http", "https"):
            raise NotFetched("the source shows no address of its bytes")
        place = self.folder / remote.id
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = place.with_suffix(".part")
            # Alyx's addresses have the "#" of a revision unescaped.
            self._download(remote.url.replace("#", "%23"), partial)
            os.replace(partial, place)
        try:
            _check(place, remote)
        except NotFetched:
            place.unlink()
            raise
        return place

    def discard(self, files: Mapping[str, Path]) -> None:
        """Delete downloads that are no longer needed."""
        for file in files.values():
            file.unlink(missing_ok=True)

    def _download(self, url: str, partial: Path) -> None:
        """Stream an address to disk; repeat while the error is transient.

        Raises
        ------
        NotFetched
            The data server refuses.
        Unreachable
            The data server does not answer, several times in a row.
        """
        patience: Retry = Patience(TRANSIENT, self._pause)
        while True:
            try:
                return self._stream(url, partial)
            except requests.exceptions.ChunkedEncodingError as error:
                try:
                    patience = patience.increment("GET", url, error=ProtocolError(str(error)))
                except MaxRetryError:
                    raise _away(url, "broke off its answer") from None
                patience.sleep()
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _away(url, f"did not answer ({type(error).__name__})") from None
            except requests.RequestException as error:
                raise NotFetched(f"the data server's answer is wrong: {error}") from error

    def _stream(self, url: str, partial: Path) -> None:
        """Write the answer of an address to a file."""
        # The password goes to its own server only.
        account = self._account if urlsplit(url).netloc == self._of else None
        with self._http.get(url, stream=True, auth=account, timeout=TIMEOUT) as answer:
            if answer.status_code in TRANSIENT:
                raise _away(url, f"answered {answer.status_code}")
            if not answer.ok:
                raise NotFetched(f"the data server answered {answer.status_code}")
            with open(partial, "wb") as file:
                for block in answer.iter_content(BLOCK):
                    file.write(block)


def _away(url: str, trouble: str) -> Unreachable:
    return Unreachable(f"{urlsplit(url).netloc} {trouble}, {TRIES} times in a row")


def _check(file: Path, remote: Remote) -> None:
    """Raise unless a download matches the source's description."""
    size = file.stat().st_size
    if remote.size and size != remote.size:
        raise NotFetched(f"it has {size} bytes, not {remote.size} as the source says")
    if remote.md5:
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        if digest.hexdigest() != remote.md5.lower():
            raise NotFetched("its MD5 is not what the source says")


class Mover:
    """Fetches the bytes of a source's datasets and uploads them.

    Parameters
    ----------
    uploader : Uploader
    fetcher : Fetcher
    """

    def __init__(self, uploader: Uploader, fetcher: Fetcher) -> None:
        self.uploader = uploader
        self.fetcher = fetcher

    def move(self, eid: str, remotes: list[Remote]) -> None:
        """Fetch and upload the missing bytes of a session's datasets."""
        carrier = self.uploader.carrier
        if carrier.dry_run:
            carrier.journal.tally("bytes", "to send", len(remotes))
            return
        missing = _without_bytes(self.uploader.client, eid)
        wanted = [remote for remote in remotes if remote.id in missing]
        carrier.journal.tally("bytes", "unchanged", len(remotes) - len(wanted))
        files: dict[str, Path] = {}
        size = 0
        for remote in wanted:
            try:
                files[remote.path] = self.fetcher.fetch(remote)
            except NotFetched as error:
                carrier.refuse("bytes", remote.id, str(error), f"{remote.path}: {error}")
                continue
            size += files[remote.path].stat().st_size
            if size > DISK:
                self._send(eid, files)
                files, size = {}, 0
        self._send(eid, files)

    def _send(self, eid: str, files: Mapping[str, Path]) -> None:
        if files:
            self.uploader.send(eid, files)
            self.fetcher.discard(files)


def _without_bytes(client: Client, eid: str) -> set[str]:
    """Return the ids of a session's datasets whose bytes the server does not have."""
    offset, count, missing = 0, 1, set()
    while offset < count:
        answer: dict[str, Any] = client.get("/datasets", session=eid, limit=1000, offset=offset)
        rows, count = answer["results"], answer["count"]
        missing |= {dataset["id"] for dataset in rows if not dataset.get("sha256")}
        offset += len(rows) or count
    return missing
