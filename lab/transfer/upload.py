"""Send files to a session: the client's side of the upload protocol, for rigs and workers.

The server lists the files that it still needs; the client sends them to S3 in parallel, then
reports that all are there. Announcing the same files again continues where a killed run stopped.
No state is in memory only: the server has it, and a cache on disk has the hashes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from lab.client import (
    TRANSIENT,
    TRIES,
    Client,
    Conflicting,
    Patience,
    Unreachable,
    patient_session,
)
from lab.transfer.hashes import Changed, HashCache, Hashes
from lab.transfer.parts import WatchedFile
from lab.transfer.progress import Notice, Result, TransferStep, silent
from shared.model.upload import FINAL

PARALLEL = 6
"""Files, or parts of a large file, sent at the same time."""

PARTS_AT_ONCE = 6
"""Parts hashed and signed together; each takes 16 MiB of memory."""

FIRST_LOOK = 0.5
"""Seconds until the first request for the result: the server collects the events of an upload's
files for a second."""

TELL_AGAIN = 30.0
"""Seconds after which the client reports completion again, if the server does not validate."""

WAIT_SECONDS = 1800.0
"""Seconds to wait for the server's validation."""

S3_TRANSIENT = TRANSIENT | {409}
"""Answers of S3 after which the same bytes are sent again."""

TIMEOUT = (10, 300)
"""Seconds to connect to S3 and to wait for an answer."""

IDLE_ROUNDS = 3
"""Give up when so many rounds in a row sent nothing."""


@dataclass
class Transfer:
    """Sends files of one folder to one session.

    Parameters
    ----------
    client
        The API.
    folder
        Folder of the files.
    notice
        Called with each step.
    hashes
        Cache of digests.
    wait
        Seconds to wait for the server's validation.
    """

    client: Client
    folder: Path
    notice: Notice = silent
    hashes: HashCache = field(default_factory=HashCache)
    wait: float = WAIT_SECONDS
    sleep: Callable[[float], object] = time.sleep
    _sent: int = 0
    _idle_rounds: int = 0
    _local: threading.local = field(default_factory=threading.local)

    def upload(
        self,
        session: Mapping[str, Any],
        paths: Sequence[str],
        *,
        task: Mapping[str, Any] | None = None,
        again: bool = False,
    ) -> Result:
        """Upload files and wait until the server has validated them.

        Parameters
        ----------
        session
            The session, as ``POST /uploads`` takes it.
        paths
            Files relative to the folder, with ``/``.
        task
            The run that made the files: ``{id, attempt, run_record}``.
        again
            Try files once more that were refused before.

        Raises
        ------
        ClientError
            The server refuses the upload as a whole, or cannot be reached.
        """
        known, given_up = self._hash_all(paths)
        body: dict[str, Any] = {
            "session": dict(session),
            "files": [
                {"path": path, "size": hashes.size, "sha256": hashes.sha256, "md5": hashes.md5}
                for path, hashes in known.items()
            ],
        }
        if task is not None:
            body["task"] = dict(task)
        if again:
            body["again"] = True
        if not known:
            files = [
                {"path": path, "state": "rejected", "reason": why}
                for path, why in given_up.items()
            ]
            return Result({"id": None, "state": "rejected", "session": None, "files": files})
        answer = self._send_all(self.client.post("/uploads", body), known)
        answer["files"] += [
            {"path": path, "state": "rejected", "code": "changed", "reason": why}
            for path, why in given_up.items()
        ]
        if given_up and answer["state"] == "registered":
            answer["state"] = "partial"
        return Result(answer, self._sent)

    def _hash_all(self, paths: Sequence[str]) -> tuple[dict[str, Hashes], dict[str, str]]:
        """Return the hashes of the files, and for each unreadable file the reason."""

        def one(path: str) -> Hashes | str:
            try:
                return self.hashes.of(
                    self.folder / path,
                    lambda size: self.notice(TransferStep("hashed", path, size)),
                )
            except (Changed, OSError) as error:
                return str(error)

        with ThreadPoolExecutor(2) as pool:
            results = dict(zip(paths, pool.map(one, paths), strict=True))
        return (
            {path: one for path, one in results.items() if isinstance(one, Hashes)},
            {path: one for path, one in results.items() if isinstance(one, str)},
        )

    def _send_all(self, answer: dict[str, Any], known: Mapping[str, Hashes]) -> dict[str, Any]:
        """Send files until the server needs no more, then wait for its result."""
        without: dict[str, str] = {}
        counted: set[str] = set()
        pauses = self._pauses()
        reported: float | None = None  # when completion was last reported
        said = ""
        while answer["state"] not in FINAL:
            said = self._say(answer, said)
            upload, wanted = answer["id"], []
            if answer["state"] == "open":
                self._count_skipped(answer, known, counted)
                wanted = [
                    file
                    for file in answer["files"]
                    if file["state"] == "wanted" and file["path"] not in without
                ]
            if wanted:
                counted |= {file["path"] for file in wanted}
                without |= self._send_round(upload, wanted, known)
                reported = None
            # The server signs many files in groups; the state is open until it validates.
            all_sent = answer["state"] == "open" and all("method" in file for file in wanted)
            if all_sent and (reported is None or time.monotonic() - reported >= TELL_AGAIN):
                reported = time.monotonic() if self._completed(upload, without) else None
            if reported is not None or not wanted:
                self.sleep(next(pauses))
            answer = self.client.get(f"/uploads/{upload}")
        self._say(answer, said)
        self._count_skipped(answer, known, counted)  # the upload may have ended before
        return answer

    def _say(self, answer: Mapping[str, Any], before: str) -> str:
        """Report the server's state if it has changed; return it."""
        state = str(answer["state"])
        if state != before:
            self.notice(TransferStep("server", state=state))
        return state

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds between two requests for the server's result.

        Raises
        ------
        Unreachable
            The validation has taken too long.
        """
        deadline, pause = time.monotonic() + self.wait, FIRST_LOOK
        while time.monotonic() < deadline:
            yield pause
            pause = min(pause * 1.5, 5.0)
        raise Unreachable(
            f"the server has not validated the upload within {self.wait:.0f} s; "
            "run the same command again to see the result"
        )

    def _send_round(
        self, upload: str, wanted: Sequence[Mapping[str, Any]], known: Mapping[str, Hashes]
    ) -> dict[str, str]:
        """Send files in parallel, small ones first; return the reasons of those given up."""
        before = self._sent
        queue = sorted(wanted, key=lambda file: known[file["path"]].size)
        with ThreadPoolExecutor(PARALLEL) as pool:
            ends = pool.map(lambda file: self._send(upload, file, known[file["path"]]), queue)
            given_up = {path: why for path, why in ends if why}
        if self._sent == before and not given_up:
            self._idle_rounds += 1
            if self._idle_rounds >= IDLE_ROUNDS:
                raise Unreachable(
                    "S3 does not accept the addresses that the server signs; "
                    "is this computer's clock right?"
                )
        return given_up

    def _count_skipped(
        self, answer: Mapping[str, Any], known: Mapping[str, Hashes], counted: set[str]
    ) -> None:
        """Report the files that need not be sent."""
        for file in answer["files"]:
            path = file["path"]
            if file["state"] != "wanted" and path in known and path not in counted:
                counted.add(path)
                self.notice(TransferStep("skipped", path, known[path].size))

    def _completed(self, upload: str, without: Mapping[str, str]) -> bool:
        """Report that all files are sent; False if the server misses some."""
        try:
            self.client.post(f"/uploads/{upload}/complete", {"without": dict(without)})
        except Conflicting:
            return False
        return True

    def _send(self, upload: str, file: Mapping[str, Any], known: Hashes) -> tuple[str, str | None]:
        """Send one file; return its path, and the reason if it was given up.

        A file without an address, or whose address has expired, is left for the next round.
        """
        path = file["path"]
        try:
            if file.get("method") == "multipart":
                self._send_parts(upload, file, known)
            elif file.get("method") == "put":
                self._put(path, file["url"], file["headers"], known)
        except (Changed, FileNotFoundError, PermissionError) as error:
            return path, str(error) or "the file cannot be read any more"
        return path, None

    def _put(self, path: str, url: str, headers: Mapping[str, str], known: Hashes) -> None:
        """Send a small file in one piece."""
        self._unchanged(path, known)
        if known.size == 0:
            # requests would send an empty stream in chunks, which S3 refuses
            self._request(path, url, headers, b"", known)
            return
        sent = lambda size: self.notice(TransferStep("sent", path, size))  # noqa: E731
        with WatchedFile(self.folder / path, sent) as content:
            self._request(path, url, headers, content, known)

    def _send_parts(self, upload: str, file: Mapping[str, Any], known: Hashes) -> None:
        """Send a large file in parts, without those that S3 already has."""
        path, size, count = file["path"], file["part_size"], file["n_parts"]
        with (self.folder / path).open("rb") as source, ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            for first in range(1, count + 1, PARTS_AT_ONCE):
                self._unchanged(path, known)
                numbers = range(first, min(first + PARTS_AT_ONCE, count + 1))
                pieces = {number: source.read(size) for number in numbers}
                signed = self.client.post(
                    f"/uploads/{upload}/parts",
                    {
                        "path": path,
                        "parts": [
                            {"number": number, "sha256": hashlib.sha256(piece).hexdigest()}
                            for number, piece in pieces.items()
                        ],
                    },
                )["parts"]
                list(pool.map(lambda part: self._send_part(path, part, pieces, known), signed))  # noqa: B023
        self.client.post(f"/uploads/{upload}/assemble", {"path": path})

    def _send_part(
        self, path: str, part: Mapping[str, Any], pieces: Mapping[int, bytes], known: Hashes
    ) -> None:
        piece = pieces[part["number"]]
        if part["state"] == "stored":
            self.notice(TransferStep("skipped", path, len(piece)))
            return
        self._request(path, part["url"], part["headers"], piece, known)
        self.notice(TransferStep("sent", path, len(piece)))

    def _unchanged(self, path: str, known: Hashes) -> None:
        """Check that a file is still as announced.

        Raises
        ------
        Changed
            The file has changed.
        """
        stat = (self.folder / path).stat()
        if (stat.st_size, stat.st_mtime_ns) != (known.size, known.changed):
            raise Changed(f"{path} changed while it was sent; upload it again when it is complete")

    def _request(
        self,
        path: str,
        url: str,
        headers: Mapping[str, str],
        body: WatchedFile | bytes,
        known: Hashes,
    ) -> None:
        """PUT bytes to S3.

        An expired address is left for the next round, which gets a new one.

        Raises
        ------
        Changed
            S3 computes another checksum than the announced one.
        Unreachable
            S3 does not answer.
        """
        try:
            answer = self._http.put(url, data=body, headers=dict(headers), timeout=TIMEOUT)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(
                f"S3 did not answer ({type(error).__name__}), {TRIES} times in a row"
            ) from error
        if answer.ok or answer.status_code == 412:  # 412: it is there already
            self._sent += 1
        elif answer.status_code == 400 and (
            "BadDigest" in answer.text or "Checksum" in answer.text
        ):
            raise Changed(
                f"{path}: S3 found another SHA-256 than announced ({known.sha256[:8]}…): "
                "the file changed, or the disk or network spoils it"
            )
        elif answer.status_code != 403:
            trouble = f"answered {answer.status_code}: {answer.text[:200]}"
            raise Unreachable(f"S3 {trouble}")

    @property
    def _http(self) -> requests.Session:
        if not hasattr(self._local, "http"):
            self._local.http = patient_session(Patience(S3_TRANSIENT, self.sleep))
        return self._local.http
