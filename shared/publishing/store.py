"""Releases in the store: create, find, publish, withdraw.

A version's manifest is an object named by its own digest, ``releases/NAME/<sha256>.json``. The
record that names it is written after it and only once, so a version's content never changes. The
record has everything that may change (state, DOI, tombstones).

Only `shared.access.visibility` decides the visibility of files: publishing marks the release's tag
as public, from a day on if there is an embargo.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent import futures
from typing import Any

import msgspec

from shared import catalog
from shared.datasets.edit import update_dataset
from shared.model import json, moment
from shared.model.prefixes import RELEASES
from shared.model.release import (
    ReleaseManifest,
    ReleaseRecord,
    ReleaseState,
    ReleaseTerms,
    Tombstone,
    release_key,
)
from shared.publishing import nwb
from shared.publishing.gather import AT_ONCE, Gathered, GatheredSoFar, gather, tagged_paths
from shared.records import documents, objects
from shared.records.errors import Exists, NotFound, Stale
from shared.records.items import Dataset
from shared.records.where import Where
from shared.releases.manifest import content_digest, decode_manifest, encode_manifest

UNTAGGED = 2_000
"""Most datasets from which one request removes a tag: about ten seconds of writing."""

MOST_WITHDRAWN = 1_000
"""Most datasets withdrawn one by one in a version; a record holds no more tombstones."""


def find(name: str, version: int) -> ReleaseRecord:
    """Return a version of a release.

    Raises
    ------
    NotFound
    """
    return _record(documents.get("release", release_key(name, version)).body)


def versions(name: str) -> list[ReleaseRecord]:
    """Return all versions of a release, oldest first."""
    rows = catalog.table("release").select([Where("name", "exact", name)]).all()
    return sorted(map(_record, rows), key=lambda record: record.version)


def every() -> list[ReleaseRecord]:
    """Return all versions of all releases, by name and version."""
    records = map(_record, catalog.table("release").rows())
    return sorted(records, key=lambda record: (record.name, record.version))


def manifest_key(record: ReleaseRecord) -> str:
    """Return the key of a version's manifest in the data bucket."""
    return f"{RELEASES}{record.name}/{record.manifest}.json"


def manifest_of(record: ReleaseRecord) -> ReleaseManifest:
    """Return a version's manifest, checked by its digest."""
    return decode_manifest(objects.read(manifest_key(record)), record.manifest)


def create(
    name: str, tag: str, terms: ReleaseTerms, gathered: Gathered, *, who: str
) -> tuple[ReleaseRecord, bool]:
    """Make a release of a tag's datasets; repeating this makes no new version.

    Returns
    -------
    record : ReleaseRecord
    made : bool
        False if the latest version is already the same.

    Raises
    ------
    Stale
        Somebody else made a version at the same time.
    """
    content = content_digest(gathered.files)
    before = versions(name)
    latest = before[-1] if before else None
    if latest and (latest.content, latest.terms) == (content, terms):
        return latest, False
    manifest = ReleaseManifest(
        name=name,
        version=latest.version + 1 if latest else 1,
        tag=tag,
        created=moment.now().isoformat(timespec="seconds"),
        created_by=who,
        content=content,
        terms=terms,
        sessions=gathered.sessions,
        files=gathered.files,
        previous=latest.version if latest else None,
    )
    data = encode_manifest(manifest)
    record = ReleaseRecord(
        name=name,
        version=manifest.version,
        tag=tag,
        state=ReleaseState.CREATED,
        created=manifest.created,
        created_by=who,
        manifest=hashlib.sha256(data).hexdigest(),
        content=content,
        n_files=len(manifest.files),
        n_sessions=len(manifest.sessions),
        size=manifest.size,
        terms=terms,
        labs=gathered.labs,
    )
    _protect(tag, who)
    objects.write_new(manifest_key(record), data)
    try:
        documents.create("release", record.key, json.plain(record), who=who)
    except Exists:
        raise Stale(f"Version {record.version} of {name} was made by others; try again.") from None
    return record, True


def publish(
    record: ReleaseRecord,
    *,
    who: str,
    embargo_until: str | None,
    zone: str,
    as_nwb: bool = True,
    raw_as_nwb: bool = False,
) -> ReleaseRecord | GatheredSoFar:
    """Publish a version, from a day on if one is given.

    The tag is marked first, so that a published record always has public files. A tag of many
    sessions takes several calls; the last one publishes. With ``as_nwb``, workers write the
    sessions as NWB, too; with ``raw_as_nwb`` their raw recordings as well.

    Raises
    ------
    Stale
        The version was withdrawn, or the tag's datasets have changed.
    """
    if record.state is ReleaseState.WITHDRAWN:
        raise Stale(f"{record.key} was withdrawn; create a new version.")
    gathered = gather(record.tag)
    if isinstance(gathered, GatheredSoFar):
        return gathered
    if content_digest(gathered.files) != record.content:
        raise Stale(
            f"The tag {record.tag} is on other files than {record.key} has: create a new version."
        )
    marks = {"public": True, "embargo_until": embargo_until, "embargo_zone": zone}
    _mark(record.tag, who, **marks)
    if as_nwb:
        nwb.order(record, gathered.sessions, raw=raw_as_nwb, who=who)
    return _update(
        record,
        who,
        lambda now: msgspec.structs.replace(
            now,
            state=ReleaseState.PUBLISHED,
            published=now.published or moment.now().isoformat(timespec="seconds"),
            published_by=now.published_by or who,
            embargo_until=embargo_until,
            embargo_zone=zone,
        ),
    )


def set_doi(record: ReleaseRecord, doi: str, *, who: str) -> ReleaseRecord:
    """Set a version's DOI.

    Raises
    ------
    Stale
        It has another one.
    """

    def change(now: ReleaseRecord) -> ReleaseRecord:
        if now.doi and now.doi != doi:
            raise Stale(f"{now.key} has the DOI {now.doi}; a DOI does not change.")
        return msgspec.structs.replace(now, doi=doi)

    return _update(record, who, change)


def withdraw(record: ReleaseRecord, reason: str, *, who: str) -> tuple[ReleaseRecord, int]:
    """Withdraw a whole version; its tombstone stays, and so do files of other versions.

    The record is changed first, so that nobody sees a version whose files are going. If other
    versions keep the tag public, each file loses the tag; repeat the call until none is left.

    Returns
    -------
    record : ReleaseRecord
    left : int
        Files that still have the tag.
    """
    done = record
    if record.state is not ReleaseState.WITHDRAWN:
        stone = Tombstone("", "", reason, moment.now().isoformat(timespec="seconds"), who)
        done = _update(
            record,
            who,
            lambda now: msgspec.structs.replace(
                now, state=ReleaseState.WITHDRAWN, tombstones=(*now.tombstones, stone)
            ),
        )
    others = [version for version in _published_of_tag(record.tag) if version.key != record.key]
    if not others:
        _mark(record.tag, who, public=False, embargo_until=None)
        return done, 0
    remaining = {file.id for version in others for file in manifest_of(version).files}
    manifest = manifest_of(record)
    gone = {file.id for file in manifest.files} - remaining
    left = _untag(manifest, gone, record.tag, who)
    nwb.hide(record.tag, _sessions_of(manifest, gone), who=who)
    return done, left


def withdraw_datasets(
    record: ReleaseRecord, ids: Collection[str], reason: str, *, who: str
) -> ReleaseRecord:
    """Withdraw files from all versions that have them; each leaves a tombstone.

    Raises
    ------
    NotFound
        The version has no such file.
    Stale
        They are more than the record has room for.
    """
    manifest = manifest_of(record)
    wanted = set(ids)
    if unknown := sorted(wanted - {file.id for file in manifest.files}):
        raise NotFound(f"{record.key} has no dataset {unknown[0]}.")
    done = record
    for version in versions(record.name):
        own = manifest if version.key == record.key else manifest_of(version)
        stones = [
            Tombstone(file.id, path, reason, moment.now().isoformat(timespec="seconds"), who)
            for path, file in own.paths().items()
            if file.id in wanted
        ]
        changed = _update(version, who, lambda now, stones=stones: _with(now, stones))
        done = changed if version.key == record.key else done
    _untag(manifest, wanted, record.tag, who)
    nwb.hide(record.tag, _sessions_of(manifest, wanted), who=who)
    return done


def _sessions_of(manifest: ReleaseManifest, ids: Collection[str]) -> set[str]:
    return {file.session for file in manifest.files if file.id in ids}


def _with(record: ReleaseRecord, stones: Iterable[Tombstone]) -> ReleaseRecord:
    new = [stone for stone in stones if stone.dataset not in record.withdrawn]
    if len(record.tombstones) + len(new) > MOST_WITHDRAWN:
        raise Stale(
            f"{record.key} keeps up to {MOST_WITHDRAWN} tombstones: withdraw the whole version."
        )
    return msgspec.structs.replace(record, tombstones=(*record.tombstones, *new))


def _published_of_tag(tag: str) -> list[ReleaseRecord]:
    return [
        version
        for version in every()
        if version.tag == tag and version.state is ReleaseState.PUBLISHED
    ]


def _untag(manifest: ReleaseManifest, ids: Collection[str], tag: str, who: str) -> int:
    """Remove the release's tag from up to `UNTAGGED` datasets; return the number left.

    Missing datasets do not matter.
    """

    def edit(item: Dataset) -> None:
        item.tags = [each for each in item.tags or () if each != tag]

    def of_session(eid: str, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                update_dataset(eid, path, edit, who=who)
            except NotFound:
                continue

    wanted = {(file.session, file.path) for file in manifest.files if file.id in ids}
    tagged = ((eid, path) for eid, paths in tagged_paths(tag).items() for path in paths)
    todo = sorted(wanted.intersection(tagged))
    by_session: defaultdict[str, list[str]] = defaultdict(list)
    for eid, path in todo[:UNTAGGED]:
        by_session[eid].append(path)
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(of_session, by_session, by_session.values()))
    return max(0, len(todo) - UNTAGGED)


def _protect(tag: str, who: str) -> None:
    """Protect the released datasets from changes and deletion."""
    _mark(tag, who, protected=True)


def _mark(tag: str, who: str, **values: Any) -> None:
    documents.update("tag", tag, lambda body: {**body, **values}, who=who)


def _update(record: ReleaseRecord, who: str, change: Any) -> ReleaseRecord:
    def edit(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, **json.plain(change(_record(body)))}

    return _record(documents.update("release", record.key, edit, who=who).body)


def _record(body: Any) -> ReleaseRecord:
    return json.read(body, ReleaseRecord)
