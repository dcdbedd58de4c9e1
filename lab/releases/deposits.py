"""What deposits at hosts have in common: the draft, the host's interface, and requests to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec
import requests

from lab.client import ClientError, Patience, patient_session

Seen = Callable[[str, int], None]

TIMEOUT = (10, 600)
"""Seconds to connect, and to wait for an answer."""

BLOCK = 2**20
"""Bytes read at a time."""


class HostRefused(ClientError):
    """A host refused; the message quotes it.

    Attributes
    ----------
    status : int
        Of its answer; 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


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
        answer = self.send(method, path, json=body)
        if answer.status_code == allow:
            return None
        return answer.json() if answer.content else {}

    def put(self, url: str, data: Any, *, signed: bool = True) -> requests.Response:
        """Put bytes; signed addresses get no token of the account."""
        return self.send("PUT", url, data=data, token=signed)

    def send(
        self, method: str, path: str, *, token: bool = True, **more: Any
    ) -> requests.Response:
        """Send a request; return the answer, which may be a conflict (409).

        Raises
        ------
        HostRefused
            Any other answer of 400 and above.
        ClientError
            The host did not answer.
        """
        url = path if path.startswith("http") else self.url + path
        headers = {"Authorization": self.header} if token else {}
        try:
            answer = self.http.request(method, url, headers=headers, timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            raise ClientError(f"{self.url} did not answer ({type(error).__name__})") from error
        if not answer.ok and answer.status_code != 409:
            place = url.partition("?")[0]  # a signed address is a secret
            message = f"{method} {place} answered {answer.status_code}: {answer.text[:300]}"
            raise HostRefused(message, answer.status_code)
        return answer


def title_of(datacite: Mapping[str, Any]) -> str:
    """Return the title of a DataCite record."""
    return str(datacite["titles"][0]["title"])


def description_of(datacite: Mapping[str, Any]) -> str:
    """Return the description of a DataCite record."""
    return str(datacite["descriptions"][0]["description"])


def affiliation_of(creator: Mapping[str, Any]) -> str:
    """Return the first affiliation of a creator; empty without."""
    return str((creator.get("affiliation") or [{"name": ""}])[0]["name"])


def licence_of(datacite: Mapping[str, Any]) -> str:
    """Return the SPDX identifier of the licence of a DataCite record."""
    return str(datacite["rightsList"][0]["rightsIdentifier"])


def orcid_of(creator: Mapping[str, Any]) -> str:
    """Return the ORCID of a creator, ``0000-0002-1825-0097``; empty without."""
    identifiers = creator.get("nameIdentifiers") or [{"nameIdentifier": ""}]
    return str(identifiers[0]["nameIdentifier"]).removeprefix("https://orcid.org/")


def blocks_of(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """Yield a file's bytes."""
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks_of(path):
        digest.update(block)
    return digest.hexdigest()
