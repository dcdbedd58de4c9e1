"""Files of a dandiset, from the DANDI archive or another server of its API.

The import uses these routes (DANDI API documentation): ``GET dandisets/{id}/`` has the newest
version, ``GET dandisets/{id}/versions/{version}/assets/`` lists files by pages, and
``GET assets/{asset}/download/`` leads to the bytes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import requests

from lab.client.retries import TRANSIENT, Patience, patient_session

ARCHIVE = "https://api.dandiarchive.org/api"

TIMEOUT = (10, 60)
"""Seconds to connect and to wait for bytes."""

PAGE = 100
CHUNK = 1 << 20
NAME = re.compile(r"(?:DANDI:)?(\d{6})(?:/([\w.]+))?", re.IGNORECASE)


class DandiError(Exception):
    """The archive refuses, or its answer does not follow its documentation."""


class Asset(NamedTuple):
    """One file of a dandiset."""

    id: str
    path: str
    size: int


class Dandiset:
    """A dandiset of a server.

    Parameters
    ----------
    name : str
        ``000409``, with its version if it is not the newest: ``000409/0.240101.1200``.
    url : str
        Address of the API.
    token : str, optional
        Needed for embargoed dandisets.
    patience : Patience, optional
        Number and delay of retries.
    """

    def __init__(
        self,
        name: str,
        url: str = ARCHIVE,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        match = NAME.fullmatch(name)
        if match is None:
            raise DandiError(f"{name!r} is no dandiset: write six digits, as 000409")
        self.number, self._version = match[1], match[2]
        self.url = url.rstrip("/")
        self._http = patient_session(patience or Patience(TRANSIENT))
        self._headers = {"Authorization": f"token {token}"} if token else {}

    def assets(self, pattern: str = "*.nwb") -> Iterator[Asset]:
        """Iterate over the files whose paths match a pattern.

        Raises
        ------
        DandiError
            The list cannot be read, or a path leads out of its folder.
        """
        version = self._version or self._newest()
        address: str | None = f"{self.url}/dandisets/{self.number}/versions/{version}/assets/"
        query: dict[str, Any] = {"page_size": PAGE, "order": "path"}
        while address:
            if not address.startswith(self.url):
                raise DandiError(f"{self.url} sends its list on to another server: {address}")
            answer = self._json(address, query)
            try:
                for listed in answer["results"]:
                    asset = Asset(
                        str(listed["asset_id"]), str(listed["path"]), int(listed["size"])
                    )
                    if fnmatch.fnmatch(asset.path, pattern):
                        yield _safe(asset)
                address, query = answer.get("next"), {}
            except (KeyError, TypeError, ValueError, AttributeError):
                raise DandiError(f"{address} is no list of files") from None

    def fetch(self, asset: Asset, folder: Path) -> Path:
        """Download a file, unless it exists already.

        Raises
        ------
        DandiError
            The file cannot be downloaded completely.
        """
        path = folder / asset.path
        if path.is_file() and path.stat().st_size == asset.size:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        address = f"{self.url}/assets/{asset.id}/download/"
        try:
            with (
                self._http.get(
                    address, headers=self._headers, timeout=TIMEOUT, stream=True
                ) as answer,
                open(partial, "wb") as file,
            ):
                if not answer.ok:
                    raise DandiError(f"{asset.path}: the archive answers {answer.status_code}")
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
        except requests.RequestException as error:
            raise DandiError(f"{asset.path}: {type(error).__name__}") from error
        if (size := partial.stat().st_size) != asset.size:
            partial.unlink()
            raise DandiError(f"{asset.path}: {size:,} of {asset.size:,} bytes came")
        partial.replace(path)
        return path

    def _newest(self) -> str:
        answer = self._json(f"{self.url}/dandisets/{self.number}/", {})
        published = answer.get("most_recent_published_version") or answer.get("draft_version")
        if not isinstance(published, dict) or not published.get("version"):
            raise DandiError(f"dandiset {self.number} has no version")
        return str(published["version"])

    def _json(self, address: str, query: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._http.get(address, params=query, headers=self._headers, timeout=TIMEOUT)
            body = answer.json() if answer.ok else None
        except (requests.RequestException, ValueError) as error:
            raise DandiError(f"{address}: {type(error).__name__}") from error
        if not isinstance(body, dict):
            raise DandiError(f"{address}: the archive answers {answer.status_code}")
        return body


def _safe(asset: Asset) -> Asset:
    path = PurePosixPath(asset.path)
    if path.is_absolute() or ".." in path.parts or "\\" in asset.path or "\0" in asset.path:
        raise DandiError(f"{asset.path!r} leads out of its folder")
    return asset
