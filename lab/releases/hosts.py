"""Deposits of zips at hosts: FigShare, Zenodo and DANDI by their APIs, behind one interface.

A deposit is created, receives the files that it lacks, and stays a draft until its owner publishes
it on the host's own page.

Sources: FigShare API 2 (https://docs.figshare.com), Zenodo REST API (https://developers.zenodo.org).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from lab.releases.dandi import Dandi
from lab.releases.deposits import (
    Deposit,
    Host,
    HostClient,
    HostRefused,
    Seen,
    affiliation_of,
    description_of,
    licence_of,
    md5_of,
    orcid_of,
    title_of,
)


class Zenodo:
    """Zenodo, and other InvenioRDM hosts with its deposit API."""

    name: ClassVar[str] = "zenodo"
    token_variable: ClassVar[str] = "ZENODO_TOKEN"  # noqa: S105 - the name of a variable

    def __init__(self, token: str, url: str = "https://zenodo.org/api") -> None:
        self.client = HostClient(url, f"Bearer {token}")

    def begin(self, datacite: Mapping[str, Any]) -> Deposit:
        """Create a draft."""
        metadata = {
            "title": title_of(datacite),
            "upload_type": "dataset",
            "description": description_of(datacite),
            "creators": [
                {"name": entry["name"]}
                | ({"affiliation": place} if (place := affiliation_of(entry)) else {})
                | ({"orcid": orcid} if (orcid := orcid_of(entry)) else {})
                for entry in datacite["creators"]
            ],
            "license": licence_of(datacite).lower(),
            "version": datacite["version"],
            "keywords": [entry["subject"] for entry in datacite["subjects"]],
        }
        made = self.client.json("POST", "/deposit/depositions", {"metadata": metadata})
        return Deposit(self.name, str(made["id"]), made["links"]["html"])

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send a file as a stream.

        Zenodo takes a file in one request and keeps nothing of one that broke off: that file is
        sent again from its beginning, and no other. Large releases are sent in parts.

        Raises
        ------
        HostRefused
            What arrived is not what was sent.
        """
        where = f"/deposit/depositions/{deposit.id}"
        files = self.client.json("GET", f"{where}/files")
        checksums = {
            uploaded["filename"]: uploaded["checksum"].removeprefix("md5:") for uploaded in files
        }
        md5 = md5_of(path)
        if checksums.get(path.name) == md5:
            return False
        bucket = self.client.json("GET", where)["links"]["bucket"]
        with path.open("rb") as file:
            stored = self.client.put(f"{bucket}/{quote(path.name)}", file).json()
        if (arrived := stored["checksum"].removeprefix("md5:")) != md5:
            raise HostRefused(f"{path.name} arrived at Zenodo with MD5 {arrived}, not {md5}")
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
            "title": title_of(datacite),
            "description": description_of(datacite),
            "defined_type": "dataset",
            "authors": [
                {"name": entry["name"]}
                | ({"orcid_id": orcid} if (orcid := orcid_of(entry)) else {})
                for entry in datacite["creators"]
            ],
            "license": self._licence(datacite),
            "keywords": [entry["subject"] for entry in datacite["subjects"]],
        }
        made = self.client.json("POST", "/account/articles", body)
        identity = made["location"].rstrip("/").rpartition("/")[2]
        return Deposit(self.name, identity, f"https://figshare.com/account/articles/{identity}")

    def _licence(self, datacite: Mapping[str, Any]) -> int:
        """Return FigShare's number of the licence, by the address of its text.

        Raises
        ------
        HostRefused
            The account cannot choose it; the message names those that it can.
        """
        wanted = str(datacite["rightsList"][0]["rightsUri"])
        offered = self.client.json("GET", "/account/licenses")
        for licence in offered:
            if _same_text(licence.get("url") or "", wanted):
                return int(licence["value"])
        names = ", ".join(str(licence["name"]) for licence in offered)
        raise HostRefused(
            f"your account at FigShare has no licence {licence_of(datacite)}; it has {names}"
        )

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send the missing parts of a file."""
        where = f"/account/articles/{deposit.id}/files"
        md5, size = md5_of(path), path.stat().st_size
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


def _same_text(one: str, other: str) -> bool:
    """Tell whether two addresses of licences are of the same text."""
    return _bare(one) == _bare(other)


def _bare(url: str) -> str:
    return url.partition("://")[2].removeprefix("www.").rstrip("/")
