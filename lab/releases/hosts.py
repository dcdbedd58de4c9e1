"""Deposits of zips at hosts: FigShare, Zenodo and DANDI by their APIs, behind one interface.

A deposit is created, receives the files that it lacks, and stays a draft until its owner publishes
it on the host's own page.

Sources: FigShare API 2 (https://docs.figshare.com), Zenodo REST API (https://developers.zenodo.org),
DANDI REST API (https://api.dandiarchive.org/swagger).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import msgspec
import requests

from lab.client import ClientError, Patience, patient_session

Seen = Callable[[str, int], None]

TIMEOUT = (10, 600)
"""Seconds to connect, and to wait for an answer."""

BLOCK = 2**20
"""Bytes read at a time."""

DANDI_PART = 64 * 2**20
"""Bytes of a part of DANDI's uploads (dandi-etag)."""


class HostRefused(ClientError):
    """A host refused; the message quotes it."""


class Deposit(msgspec.Struct, frozen=True):
    """A draft at a host.

    Attributes
    ----------
    host : str
    id : str
    page : str
        Page on which its owner views and publishes it.
    """

    host: str
    id: str
    page: str


class Host(Protocol):
    """A host of deposits."""

    name: ClassVar[str]
    token_variable: ClassVar[str]

    def begin(self, datacite: Mapping[str, Any]) -> Deposit:
        """Create a draft with a release's description."""

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send a file unless the draft has it already; return whether it was sent."""


class HostClient:
    """Requests to a host, with retries of transient errors.

    Parameters
    ----------
    url : str
        Address of its API.
    header : str
        Value of ``Authorization``.
    """

    def __init__(self, url: str, header: str) -> None:
        self.url = url.rstrip("/")
        self.http = patient_session(Patience())
        self.header = header

    def json(self, method: str, path: str, body: Any = None, *, allow: int = 0) -> Any:
        """Send JSON and return the answer's; None for the allowed status."""
        answer = self._send(method, path, json=body)
        if answer.status_code == allow:
            return None
        return answer.json() if answer.content else {}

    def put(self, url: str, data: Any, *, signed: bool = True) -> requests.Response:
        """Put bytes; signed addresses get no token of the account."""
        return self._send("PUT", url, data=data, token=signed)

    def _send(
        self, method: str, path: str, *, token: bool = True, **more: Any
    ) -> requests.Response:
        url = path if path.startswith("http") else self.url + path
        headers = {"Authorization": self.header} if token else {}
        try:
            answer = self.http.request(method, url, headers=headers, timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            raise ClientError(f"{self.url} did not answer ({type(error).__name__})") from error
        if not answer.ok and answer.status_code != 409:
            raise HostRefused(f"{method} {url} answered {answer.status_code}: {answer.text[:300]}")
        return answer


class Zenodo:
    """Zenodo, and other InvenioRDM hosts with its deposit API."""

    name: ClassVar[str] = "zenodo"
    token_variable: ClassVar[str] = "ZENODO_TOKEN"  # noqa: S105 - the name of a variable

    def __init__(self, token: str, url: str = "https://zenodo.org/api") -> None:
        self.client = HostClient(url, f"Bearer {token}")

    def begin(self, datacite: Mapping[str, Any]) -> Deposit:
        """Create a draft."""
        metadata = {
            "title": _title(datacite),
            "upload_type": "dataset",
            "description": _description(datacite),
            "creators": [
                {"name": entry["name"]}
                | (
                    {"affiliation": entry["affiliation"][0]["name"]}
                    if entry.get("affiliation")
                    else {}
                )
                | ({"orcid": orcid} if (orcid := _orcid(entry)) else {})
                for entry in datacite["creators"]
            ],
            "license": datacite["rightsList"][0]["rightsIdentifier"].lower(),
            "version": datacite["version"],
            "keywords": [entry["subject"] for entry in datacite["subjects"]],
        }
        made = self.client.json("POST", "/deposit/depositions", {"metadata": metadata})
        return Deposit(self.name, str(made["id"]), made["links"]["html"])

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send a file as a stream."""
        where = f"/deposit/depositions/{deposit.id}"
        files = self.client.json("GET", f"{where}/files")
        checksums = {
            uploaded["filename"]: uploaded["checksum"].removeprefix("md5:") for uploaded in files
        }
        if checksums.get(path.name) == _md5(path):
            return False
        bucket = self.client.json("GET", where)["links"]["bucket"]
        with path.open("rb") as file:
            self.client.put(f"{bucket}/{quote(path.name)}", file)
        seen(path.name, path.stat().st_size)
        return True


class FigShare:
    """FigShare, which names the parts of a file; parts that it has are not sent again."""

    name: ClassVar[str] = "figshare"
    token_variable: ClassVar[str] = "FIGSHARE_TOKEN"  # noqa: S105 - the name of a variable

    def __init__(self, token: str, url: str = "https://api.figshare.com/v2") -> None:
        self.client = HostClient(url, f"token {token}")

    def begin(self, datacite: Mapping[str, Any]) -> Deposit:
        """Create a draft."""
        body = {
            "title": _title(datacite),
            "description": _description(datacite),
            "defined_type": "dataset",
            "authors": [{"name": entry["name"]} for entry in datacite["creators"]],
            "keywords": [entry["subject"] for entry in datacite["subjects"]],
        }
        made = self.client.json("POST", "/account/articles", body)
        identity = made["location"].rstrip("/").rpartition("/")[2]
        return Deposit(self.name, identity, f"https://figshare.com/account/articles/{identity}")

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send the missing parts of a file."""
        where = f"/account/articles/{deposit.id}/files"
        md5, size = _md5(path), path.stat().st_size
        same = [
            existing
            for existing in self.client.json("GET", where)
            if existing["name"] == path.name
        ]
        begun = next((existing for existing in same if existing["supplied_md5"] == md5), None)
        if begun and begun["status"] == "available":
            return False
        if begun is None:
            body = {"name": path.name, "size": size, "md5": md5}
            location = self.client.json("POST", where, body)["location"]
            begun = self.client.json("GET", location)
        upload = begun["upload_url"]
        with path.open("rb") as file:
            for part in self.client.json("GET", upload)["parts"]:
                length = part["endOffset"] - part["startOffset"] + 1
                if part["status"] != "COMPLETE":
                    file.seek(part["startOffset"])
                    self.client.put(f"{upload}/{part['partNo']}", file.read(length))
                seen(path.name, length)
        self.client.json("POST", f"{where}/{begun['id']}")
        return True


class Dandi:
    """DANDI: a file becomes an asset of a dandiset's draft; it takes NWB and BIDS files only.

    Parameters
    ----------
    token, url
    dandiset : str
        Number of an existing dandiset: ``000409``.
    """

    name: ClassVar[str] = "dandi"
    token_variable: ClassVar[str] = "DANDI_API_KEY"  # noqa: S105 - the name of a variable

    def __init__(
        self, token: str, url: str = "https://api.dandiarchive.org/api", dandiset: str = ""
    ) -> None:
        self.client = HostClient(url, f"token {token}")
        self.dandiset = dandiset

    def begin(self, datacite: Mapping[str, Any]) -> Deposit:
        """Return the dandiset's draft; a new dandiset if none was given."""
        identity = self.dandiset
        if not identity:
            metadata = {"name": _title(datacite), "description": _description(datacite)}
            body = {"name": _title(datacite), "metadata": metadata}
            identity = self.client.json("POST", "/dandisets/", body)["identifier"]
        return Deposit(self.name, identity, f"https://dandiarchive.org/dandiset/{identity}/draft")

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send a file's parts, then make it an asset; a blob that DANDI has is not sent again."""
        etag, size = _dandi_etag(path), path.stat().st_size
        digest = {"algorithm": "dandi:dandi-etag", "value": etag}
        body = {"contentSize": size, "digest": digest, "dandiset": deposit.id}
        upload = self.client.json("POST", "/uploads/initialize/", body, allow=409)
        if upload is None:
            blob = self.client.json("POST", "/blobs/digest/", digest)["blob_id"]
        else:
            blob = self._send_parts(upload, path, seen)
        asset = {"blob_id": blob, "metadata": {"path": path.name, "contentSize": size}}
        where = f"/dandisets/{deposit.id}/versions/draft/assets/"
        self.client.json("POST", where, asset, allow=409)
        return upload is not None

    def _send_parts(self, upload: Mapping[str, Any], path: Path, seen: Seen) -> str:
        done = []
        with path.open("rb") as file:
            for part in upload["parts"]:
                block = file.read(part["size"])
                answer = self.client.put(part["upload_url"], block, signed=False)
                number, tag = part["part_number"], answer.headers["ETag"]
                done.append({"part_number": number, "size": part["size"], "etag": tag})
                seen(path.name, len(block))
        where = f"/uploads/{upload['upload_id']}"
        completed = self.client.json("POST", f"{where}/complete/", {"parts": done})
        self.client._send("POST", completed["complete_url"], data=completed["body"], token=False)
        return str(self.client.json("POST", f"{where}/validate/")["blob_id"])


HOSTS: Mapping[str, type[Zenodo] | type[FigShare] | type[Dandi]] = {
    one.name: one for one in (Zenodo, FigShare, Dandi)
}
"""Hosts by name."""


def host_of(name: str, url: str | None, **more: str) -> Host:
    """Return a host, with the token from its environment variable.

    Raises
    ------
    HostRefused
        The variable is not set.
    """
    kind = HOSTS[name]
    token = os.environ.get(kind.token_variable)
    if not token:
        raise HostRefused(f"Set {kind.token_variable}: a token of your account at {name}.")
    return kind(token, **({"url": url} if url else {}), **more)


def _title(datacite: Mapping[str, Any]) -> str:
    return str(datacite["titles"][0]["title"])


def _description(datacite: Mapping[str, Any]) -> str:
    return str(datacite["descriptions"][0]["description"])


def _orcid(creator: Mapping[str, Any]) -> str:
    identifiers = creator.get("nameIdentifiers") or [{"nameIdentifier": ""}]
    return str(identifiers[0]["nameIdentifier"]).removeprefix("https://orcid.org/")


def _blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _dandi_etag(path: Path) -> str:
    """Return the MD5 of the parts' MD5s, and the number of parts, as S3 does."""
    parts = [
        hashlib.md5(block, usedforsecurity=False).digest() for block in _blocks(path, DANDI_PART)
    ]
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(parts)}"
