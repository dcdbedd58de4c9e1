"""Addresses by which reviewers see a release before the public does: for a time, revocable.

An address holds a secret of 256 random bits, of which the record keeps the SHA-256 alone: who
reads the table cannot make an address, and one that is revoked is refused at once.
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
"""Days for which an address is good at most."""

_TOKEN = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


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
        When it was.
    note : str
        For whom it is, as its maker says.
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
    """Make an address good for some days; return it and what stands behind ``?review=``.

    Raises
    ------
    ValueError
        The days are none, or too many.
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
    """Return the addresses of a version, the oldest first."""
    rows = catalog.table(KIND).select([Where("release", "exact", record.key)]).all()
    return sorted((json.read(row, ReviewerLink) for row in rows), key=lambda link: link.created)


def revoke(record: ReleaseRecord, identity: str, *, who: str) -> ReviewerLink:
    """Revoke an address; one that is revoked already stays so.

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
    """Return the version that a reviewer's token opens now; None if it opens none."""
    match = _TOKEN.fullmatch(token)
    found = documents.find(KIND, match[1]) if match else None
    if found is None or match is None:
        return None
    link = json.read(found.body, ReviewerLink)
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
    """Return the datasets of a manifest, which never changes."""
    return frozenset(file.id for file in decode_manifest(objects.read(key), digest).files)
