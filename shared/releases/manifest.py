"""Manifests: their digest, their bytes, the difference of two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from shared.alf.names import check_path
from shared.alf.path import parse_session_path
from shared.model import json
from shared.model.release import FORMAT, ReleasedFile, ReleaseManifest, check_release_name


class BadManifest(ValueError):
    """A manifest is unusable; the message gives the reason and the remedy."""


class FileChange(msgspec.Struct, frozen=True):
    """A file with different content in two releases: ids, sizes and hashes of both."""

    path: str
    before: ReleasedFile
    after: ReleasedFile


class ReleaseDifference(msgspec.Struct, frozen=True):
    """The difference of two releases, by path in the copy."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[FileChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def content_digest(files: Iterable[ReleasedFile]) -> str:
    """Return the SHA-256 of a release's paths and contents.

    Code versions, quality and terms do not count as content.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.session, file.path)):
        parts = (file.session, file.path, file.id, str(file.size), file.sha256 or file.md5 or "")
        digest.update("\x1f".join(parts).encode() + b"\n")
    return digest.hexdigest()


def encode_manifest(manifest: ReleaseManifest) -> bytes:
    """Return the bytes of a manifest: indented JSON, always the same."""
    return msgspec.json.format(json.encode(manifest), indent=1) + b"\n"


def decode_manifest(data: bytes, sha256: str | None = None) -> ReleaseManifest:
    """Return the manifest of some bytes.

    Parameters
    ----------
    data : bytes
    sha256 : str, optional
        Its expected digest.

    Raises
    ------
    BadManifest
        It has another digest or a later format, or contains an invalid path.
    """
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise BadManifest(f"The manifest is not the one of SHA-256 {sha256}: fetch it again.")
    try:
        manifest = json.decode(data, ReleaseManifest)
    except json.Faulty as error:
        raise BadManifest(f"This is no manifest of a release: {error}") from None
    if manifest.format > FORMAT:
        raise BadManifest(
            f"The manifest has format {manifest.format}; this Fornix reads up to {FORMAT}: "
            "install a newer one."
        )
    try:
        check_release_name(manifest.name)
        for session in manifest.sessions:
            if parse_session_path(session.folder).build() != session.folder:
                raise BadManifest(f"{session.folder} is no session's folder.")
        session_ids = {session.id for session in manifest.sessions}
        for file in manifest.files:
            check_path(file.path)
            if file.session not in session_ids:
                raise BadManifest(f"{file.path} is of a session that the manifest lacks.")
            if file.size < 0:
                raise BadManifest(f"{file.path} has {file.size} bytes.")
    except ValueError as error:
        raise BadManifest(f"The manifest is damaged or hostile: {error}") from None
    if len({path.casefold() for path in manifest.paths()}) != len(manifest.files):
        raise BadManifest("The manifest names a file twice.")
    return manifest


def difference(before: ReleaseManifest, after: ReleaseManifest) -> ReleaseDifference:
    """Return the changes from one release to another, in the order of paths."""
    old, new = before.paths(), after.paths()
    return ReleaseDifference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(
            FileChange(path, old[path], new[path])
            for path in sorted(old.keys() & new.keys())
            if not _same(old[path], new[path])
        ),
    )


def _same(one: ReleasedFile, other: ReleasedFile) -> bool:
    if one.sha256 and other.sha256:
        return one.sha256 == other.sha256
    return (one.size, one.md5) == (other.size, other.md5)
