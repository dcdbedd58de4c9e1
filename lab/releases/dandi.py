"""Deposits at DANDI, by its API (https://api.dandiarchive.org/swagger)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from lab.releases.deposits import (
    Deposit,
    HostClient,
    HostRefused,
    Seen,
    affiliation_of,
    blocks_of,
    description_of,
    licence_of,
    orcid_of,
    title_of,
)
from shared.model.json import Faulty, decode, encode

PART, MOST_PARTS = 64 * 2**20, 10_000
"""Bytes of a part of an upload, unless there were more parts than S3 takes (dandi-etag)."""

LICENCES = ("CC0-1.0", "CC-BY-4.0")
"""Licences that dandischema knows (``LicenseType``)."""

GONE = frozenset({400, 403, 404, 410})
"""Answers of S3 and DANDI to what is sent to an upload that is over, or whose addresses are."""


class UploadPart(msgspec.Struct, frozen=True):
    """A part of an upload: its number from 1, bytes, and where they are put."""

    part_number: int
    size: int
    upload_url: str


class DandiUpload(msgspec.Struct):
    """How far an upload has come.

    Attributes
    ----------
    etag : str
        Of the file.
    url : str
        Address of the API.
    arrived : dict of str
        Tags of the parts that have arrived, by number.
    completed : bool
        Whether S3 has put the parts together.
    """

    etag: str
    url: str
    upload_id: str
    parts: tuple[UploadPart, ...]
    arrived: dict[int, str] = {}
    completed: bool = False


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
        """Return the dandiset's draft; a new dandiset if none was given.

        Raises
        ------
        HostRefused
            DANDI does not take the licence.
        """
        identity = self.dandiset or self._created(datacite)
        return Deposit(self.name, identity, f"https://dandiarchive.org/dandiset/{identity}/draft")

    def _created(self, datacite: Mapping[str, Any]) -> str:
        """Make a dandiset; return its number."""
        licence = licence_of(datacite)
        if licence not in LICENCES:
            raise HostRefused(f"DANDI takes {' and '.join(LICENCES)}, not {licence}")
        metadata = {
            "name": title_of(datacite),
            "description": description_of(datacite),
            "license": [f"spdx:{licence}"],
        }
        body = {"name": title_of(datacite), "metadata": metadata}
        identity = str(self.client.json("POST", "/dandisets/", body)["identifier"])
        # DANDI makes the account the contact person, but of a dandiset that names nobody.
        where = f"/dandisets/{identity}/versions/draft/"
        made = self.client.json("GET", where)
        people = [*made.get("contributor", ()), *map(_contributor, datacite["creators"])]
        body["metadata"] = made | {"contributor": people}
        self.client.json("PUT", where, body)
        return identity

    def send(self, deposit: Deposit, path: Path, seen: Seen) -> bool:
        """Send a file's parts, then make it an asset; a blob that DANDI has is not sent again.

        ``FILE.dandi.json`` holds which parts have arrived, until all have: an upload that broke
        off goes on with the others, as long as DANDI keeps it. Its owner alone can read it, as
        anybody with the addresses in it may send parts.
        """
        etag, size = dandi_etag(path), path.stat().st_size
        note = path.with_name(f"{path.name}.dandi.json")
        blob = self._gone_on(note, etag, path, seen)
        sent = blob is not None
        if blob is None:
            digest = {"algorithm": "dandi:dandi-etag", "value": etag}
            body = {"contentSize": size, "digest": digest, "dandiset": deposit.id}
            begun = self.client.json("POST", "/uploads/initialize/", body, allow=409)
            sent = begun is not None
            if begun is None:
                blob = str(self.client.json("POST", "/blobs/digest/", digest)["blob_id"])
            else:
                parts = msgspec.convert(begun["parts"], tuple[UploadPart, ...])
                upload = DandiUpload(etag, self.client.url, begun["upload_id"], parts)
                blob = self._send_parts(upload, note, path, seen)
        asset = {"blob_id": blob, "metadata": {"path": path.name, "contentSize": size}}
        where = f"/dandisets/{deposit.id}/versions/draft/assets/"
        self.client.json("POST", where, asset, allow=409)
        note.unlink(missing_ok=True)
        return sent

    def _gone_on(self, note: Path, etag: str, path: Path, seen: Seen) -> str | None:
        """Go on with an upload that broke off; None if there is none, or DANDI has it no more."""
        if not note.exists():
            return None
        try:
            upload = decode(note.read_bytes(), DandiUpload)
        except Faulty:
            return None
        if (upload.etag, upload.url) != (etag, self.client.url):
            return None
        try:
            return self._send_parts(upload, note, path, seen)
        except HostRefused as error:
            if error.status not in GONE:
                raise
            return None

    def _send_parts(self, upload: DandiUpload, note: Path, path: Path, seen: Seen) -> str:
        """Send the parts that have not arrived; return the id of the blob that they make."""
        start = 0
        with path.open("rb") as file:
            for part in upload.parts:
                if part.part_number not in upload.arrived:
                    file.seek(start)
                    answer = self.client.put(part.upload_url, file.read(part.size), signed=False)
                    upload.arrived[part.part_number] = answer.headers["ETag"]
                    _keep(note, upload)
                start += part.size
                seen(path.name, part.size)
        where = f"/uploads/{upload.upload_id}"
        if not upload.completed:
            done = [
                {
                    "part_number": part.part_number,
                    "size": part.size,
                    "etag": upload.arrived[part.part_number],
                }
                for part in upload.parts
            ]
            told = self.client.json("POST", f"{where}/complete/", {"parts": done})
            self.client.send("POST", told["complete_url"], data=told["body"], token=False)
            upload.completed = True
            _keep(note, upload)
        return str(self.client.json("POST", f"{where}/validate/")["blob_id"])


def _keep(note: Path, upload: DandiUpload) -> None:
    partial = note.with_name(f"{note.name}.tmp")
    partial.touch(0o600)
    partial.write_bytes(encode(upload))
    partial.replace(note)


def _contributor(creator: Mapping[str, Any]) -> dict[str, Any]:
    """Return a creator of a DataCite record as DANDI has contributors."""
    person = creator["nameType"] == "Personal"
    orcid, place = orcid_of(creator), affiliation_of(creator)
    return {
        "schemaKey": "Person" if person else "Organization",
        "name": creator["name"],
        "roleName": ["dcite:Author"],
        "includeInCitation": True,
        **({"identifier": orcid} if orcid and person else {}),
        **(
            {"affiliation": [{"schemaKey": "Affiliation", "name": place}]}
            if place and person
            else {}
        ),
    }


def dandi_etag(path: Path) -> str:
    """Return the MD5 of the parts' MD5s, and the number of parts, as S3 does.

    Source of the parts' size: ``PartGenerator.for_file_size`` of dandischema.
    """
    size = max(PART, -(-path.stat().st_size // MOST_PARTS))
    parts = [hashlib.md5(block, usedforsecurity=False).digest() for block in blocks_of(path, size)]
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(parts)}"
