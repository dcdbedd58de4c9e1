"""Addresses by which reviewers see a release before the public does: temporary and revocable.

An address contains a secret of 256 random bits. The record stores only its SHA-256, so readers of
the table cannot make an address. A revoked address is refused at once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from functools import lru_cache

import msgspec

from shared import catalog
from shared.access.visibility import may_review
from shared.model import json, moment
from shared.model.release import ReleaseRecord, ReleaseState
from shared.publishing import store
from shared.records import documents, objects
from shared.records.errors import NotFound
from shared.records.where import Where
from shared.releases.manifest import decode_manifest

KIND = "reviewer-link"

MOST_DAYS = 366
"""Most days for which an address is valid."""

_FORM = r"([0-9a-f]{16})\.([A-Za-z0-9_-]{43})"


class ReviewerLink(msgspec.Struct, frozen=True):
    """An address for reviewers, without its secret.

    Attributes
    ----------
    id : str
    release : str
        ``name@version``.
    digest : str
        SHA-256 of the secret.
    created, created_by
    expires : str
        UTC.
    revoked : str, optional
        Time of the revocation.
    note : str
        Its maker's note about the recipient.
    """

    id: str
    release: str
    digest: str
    created: str
    created_by: str
    expires: str
    revoked: str | None = None
    note: str = ""


def make(record: ReleaseRecord, days: int, note: str, *, who: str) -> tuple[ReviewerLink, str]:
    """Make an address valid for some days; return it and the token for ``?review=``.

    Raises
    ------
    ValueError
        The number of days is not positive, or too large.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"An address is good for 1 to {MOST_DAYS} days.")
    now = moment.now()
    identity, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    link = ReviewerLink(
        id=identity,
        release=record.key,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        created=now.isoformat(timespec="seconds"),
        created_by=who,
        expires=(now + timedelta(days=days)).isoformat(timespec="seconds"),
        note=note,
    )
    documents.create(KIND, identity, json.plain(link), who=who)
    return link, f"{identity}.{secret}"


def links_of(record: ReleaseRecord) -> list[ReviewerLink]:
    """Return the addresses of a version, oldest first."""
    stored_links = catalog.table(KIND).select([Where("release", "exact", record.key)]).all()
    return sorted(
        (json.read(row, ReviewerLink) for row in stored_links), key=lambda link: link.created
    )


def revoke(record: ReleaseRecord, identity: str, *, who: str) -> ReviewerLink:
    """Revoke an address; a revoked one stays unchanged.

    Raises
    ------
    NotFound
        The version has no such address.
    """
    at = moment.now().isoformat(timespec="seconds")

    def change(body: documents.Body) -> documents.Body:
        if body["release"] != record.key:
            raise NotFound(f"{record.key} has no address {identity}.")
        return {**body, "revoked": body.get("revoked") or at}

    return json.read(documents.update(KIND, identity, change, who=who).body, ReviewerLink)


def reviewed(token: str) -> ReleaseRecord | None:
    """Return the version that a reviewer's token opens now; None if it is not valid."""
    match = re.fullmatch(_FORM, token)
    stored_link = documents.find(KIND, match[1]) if match else None
    if stored_link is None or match is None:
        return None
    link = json.read(stored_link.body, ReviewerLink)
    digest = hashlib.sha256(match[2].encode()).hexdigest()
    if not hmac.compare_digest(digest, link.digest):
        return None
    if not may_review(link.expires, link.revoked is not None, moment.now()):
        return None
    name, _, version = link.release.rpartition("@")
    record = store.find(name, int(version))
    return None if record.state is ReleaseState.WITHDRAWN else record


def opens(token: str, dataset: str) -> bool:
    """Return whether a reviewer's token opens a dataset's file."""
    record = reviewed(token)
    if record is None or dataset in record.withdrawn:
        return False
    return dataset in _ids(store.manifest_key(record), record.manifest)


@lru_cache(maxsize=8)
def _ids(key: str, digest: str) -> frozenset[str]:
    """Return the ids of a manifest's datasets; cached, because a manifest never changes."""
    return frozenset(file.id for file in decode_manifest(objects.read(key), digest).files)
