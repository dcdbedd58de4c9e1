"""Further files of a release's copy: texts, checksums, the ONE client's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import msgspec

from shared.alf.cache_tables import (
    BEFORE_QC,
    MIN_API_VERSION,
    OneDataset,
    OneSession,
    datasets_table,
    parquet,
    sessions_table,
)
from shared.model.release import ReleasedFile, ReleaseManifest
from shared.releases import describe, linked
from shared.releases.describe import ReleaseAddresses
from shared.releases.manifest import encode_manifest

MANIFEST, CHECKSUMS = "manifest.json", "manifest-sha256.txt"
"""Names of a copy's manifest, and of its checksums in the form of ``sha256sum --check``."""

TABLES = ("sessions.pqt", "datasets.pqt")


BESIDE = frozenset(
    {"README.md", "datacite.json", "ro-crate-metadata.json", MANIFEST, CHECKSUMS, *TABLES}
)
"""Files in the root of a copy, made for the copy."""


class CopiedFile(msgspec.Struct, frozen=True):
    """A file of a copy: of the release, or made for the copy.

    Attributes
    ----------
    path : str
        Path below the copy's root.
    size : int
        Bytes.
    file : ReleasedFile, optional
        The file of the release.
    body : bytes, optional
        The content made for the copy.
    """

    path: str
    size: int
    file: ReleasedFile | None = None
    body: bytes | None = None


def copied_files(
    manifest: ReleaseManifest,
    where: ReleaseAddresses,
    withdrawn: Collection[str] = frozenset(),
) -> list[CopiedFile]:
    """Return all files of a copy in written order.

    Parameters
    ----------
    manifest : ReleaseManifest
    where : ReleaseAddresses
    withdrawn : collection of str
        Ids of datasets to leave out; the manifest still lists them.
    """
    files = {path: file for path, file in manifest.paths().items() if file.id not in withdrawn}
    made = {
        "README.md": readme(manifest, where).encode(),
        "datacite.json": _json(describe.datacite(manifest, where)),
        "ro-crate-metadata.json": _json(linked.ro_crate(manifest, where)),
        MANIFEST: encode_manifest(manifest),
        **one_tables(manifest, withdrawn),
    }
    sums = {name: hashlib.sha256(body).hexdigest() for name, body in made.items()}
    sums |= {path: file.sha256 for path, file in files.items() if file.sha256}
    lines = "".join(f"{digest}  {path}\n" for path, digest in sums.items())
    made[CHECKSUMS] = lines.encode()
    return [
        *(CopiedFile(name, len(body), body=body) for name, body in made.items()),
        *(CopiedFile(path, file.size, file=file) for path, file in sorted(files.items())),
    ]


def one_tables(
    manifest: ReleaseManifest, withdrawn: Collection[str] = frozenset()
) -> dict[str, bytes]:
    """Return the cache tables with which ``ONE(mode="local")`` finds the copy's files."""
    remaining = [file for file in manifest.files if file.id not in withdrawn]
    metadata = {
        "date_created": manifest.created[:16].replace("T", " "),
        "origin": f"{manifest.name}@{manifest.version}",
        "min_api_version": MIN_API_VERSION if remaining else BEFORE_QC,
    }
    sessions = sessions_table(
        OneSession(
            session.id,
            session.lab,
            session.subject,
            session.date,
            session.number,
            session.task_protocol,
            ",".join(session.projects),
        )
        for session in manifest.sessions
    )
    datasets = datasets_table(
        OneDataset(
            file.session,
            file.id,
            file.path,
            file.size,
            file.md5 or "",
            default_revision=file.default,
            qc=file.qc,
        )
        for file in remaining
    )
    return dict(
        zip(TABLES, (parquet(sessions, metadata), parquet(datasets, metadata)), strict=True)
    )


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def readme(manifest: ReleaseManifest, where: ReleaseAddresses) -> str:
    """Return the copy's readme."""
    licence = manifest.terms.licence
    return f"""# {describe.title(manifest)}

{describe.description(manifest)}

Release {manifest.name}, version {manifest.version}, made {manifest.created[:10]}:
{len(manifest.files):,} files of {len(manifest.sessions):,} sessions, {manifest.size:,} bytes.

## Load

The files lie as the ONE convention has them, `lab/Subjects/subject/date/number/collection/file`,
and `sessions.pqt` and `datasets.pqt` are the tables of the ONE client (`pip install ONE-api`):

    from one.api import ONE
    one = ONE(cache_dir="this/folder", mode="local")
    eids = one.search()
    trials = one.load_object(eids[0], "trials")

Or, with Fornix installed:

    import fornix
    release = fornix.open("this/folder")  # or the zip as it is
    trials = release.load(release.sessions[0].id, "trials")

## Verify

    sha256sum --check --quiet {CHECKSUMS}

## Cite

{describe.citation(manifest, where)}

## Licence

{describe.licence_name(licence)}, {describe.licence_url(licence)}
"""
