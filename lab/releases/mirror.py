"""Mirror releases: resumable, verified, incremental copies of one release, or of all of a server.

A mirror of one release is a folder with the content of its zip. A mirror of a server has a folder
for each version, ``NAME/VERSION``; files of an earlier version are linked, not fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from lab.client import ClientError
from lab.releases.remote import ReleaseServer
from shared.model.release import ReleasedFile, ReleaseManifest, ReleaseRecord, ReleaseState
from shared.releases.copy import MANIFEST, CopiedFile, copied_files
from shared.releases.manifest import BadManifest, decode_manifest

Seen = Callable[[str, int], None]

AT_ONCE = 4
"""Files fetched in parallel."""

HASHED = 2**20
"""Bytes of an existing file read at a time."""


class Mirrored(msgspec.Struct, frozen=True):
    """The result of mirroring one release.

    Attributes
    ----------
    key : str
        ``name@version``.
    fetched, kept, linked : int
        Files from the server, files that existed, and files of another version's folder.
    size : int
        Bytes from the server.
    removed : int
        Files of an earlier version, and withdrawn files, that were deleted.
    faults : list of str
        Files that could not be fetched, and why.
    """

    key: str
    fetched: int
    kept: int
    linked: int
    size: int
    removed: int
    faults: list[str]


class OtherRelease(ValueError):
    """The folder is a copy of another release."""


def mirror_release(
    server: ReleaseServer,
    record: ReleaseRecord,
    folder: Path,
    *,
    known: dict[str, Path] | None = None,
    trust: bool = True,
    seen: Seen = lambda path, size: None,
) -> Mirrored:
    """Bring a folder up to date with a version of a release.

    A file with the same checksum in the former run's manifest is not read again. Other existing
    files, or with ``trust`` false all of them, are read and compared.

    Parameters
    ----------
    server, record
        The version.
    folder : Path
    known : dict of Path, optional
        Files elsewhere on this disk to link, by SHA-256.
    trust : bool
    seen : callable
        Called for each file.

    Raises
    ------
    OtherRelease
        The folder holds another release.
    """
    manifest = server.manifest(record)
    before = _manifest_in(folder)
    if before and before.name != manifest.name:
        raise OtherRelease(f"{folder} is a copy of {before.name}: give another folder.")
    files = copied_files(manifest, server.where(record), record.withdrawn)
    parts = [file for file in files if file.file is not None]
    made = [file for file in files if file.file is None]
    folder.mkdir(parents=True, exist_ok=True)

    proved = _proved(before) if trust else {}

    def one(file: CopiedFile) -> tuple[str, int, str]:
        try:
            how, size = _bring(server, file, folder, known or {}, proved)
        except (ClientError, OSError, ContentFault) as error:
            return "fault", 0, f"{file.path}: {error}"
        seen(file.path, file.size)
        return how, size, ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(one, parts))
    faults = [text for how, _, text in results if how == "fault"]
    removed = 0
    if before:
        removed = _remove(folder, before.paths().keys() - {file.path for file in parts})
    for file in made if not faults else ():  # a manifest means that the copy is complete
        _replace(folder / file.path, file.body or b"")
    counts = [how for how, _, _ in results]
    return Mirrored(
        record.key,
        counts.count("fetched"),
        counts.count("kept"),
        counts.count("linked"),
        sum(size for _, size, _ in results),
        removed,
        faults,
    )


def mirror_server(
    server: ReleaseServer,
    folder: Path,
    *,
    trust: bool = True,
    seen: Seen = lambda path, size: None,
) -> Iterator[Mirrored]:
    """Mirror all visible releases of a server, each version into a folder of its own."""
    linkable = _by_digest(folder)
    for record in server.releases():
        place = folder / record.name / str(record.version)
        if record.state is ReleaseState.WITHDRAWN:
            shutil.rmtree(place, ignore_errors=True)
            continue
        yield mirror_release(server, record, place, known=linkable, trust=trust, seen=seen)
        linkable |= _digests_of(place)


class ContentFault(ValueError):
    """The server sent other bytes than its manifest describes."""


def _proved(before: ReleaseManifest | None) -> dict[str, str | None]:
    """Return the checksums of the files that a complete former run left."""
    return {path: file.sha256 for path, file in before.paths().items()} if before else {}


def _bring(
    server: ReleaseServer,
    file: CopiedFile,
    folder: Path,
    known: dict[str, Path],
    proved: dict[str, str | None],
) -> tuple[str, int]:
    wanted = file.file
    assert wanted is not None  # noqa: S101 - as the caller chose it
    target = folder / file.path
    trust = wanted.sha256 is not None and proved.get(file.path) == wanted.sha256
    if _is_there(target, wanted, trust):
        return "kept", 0
    target.parent.mkdir(parents=True, exist_ok=True)
    source = known.get(wanted.sha256 or "")
    if source and _is_there(source, wanted, trust=True):
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, target)
        return "linked", 0
    return "fetched", _fetch(server, file.path, wanted, target)


def _fetch(server: ReleaseServer, path: str, wanted: ReleasedFile, target: Path) -> int:
    """Fetch a file; an existing part of it is read, not fetched again."""
    partial = target.with_name(f"{target.name}.partial")
    kind = "sha256" if wanted.sha256 else "md5"
    digest = hashlib.new(kind, usedforsecurity=False)
    begun = 0
    if partial.exists():
        begun = partial.stat().st_size
        if begun > wanted.size:
            partial.unlink()
            begun = 0
        else:
            _hash_into(digest, partial)
    came = 0
    with partial.open("ab") as file:
        for block in server.blocks(path, wanted, begun):
            file.write(block)
            digest.update(block)
            came += len(block)
        file.flush()
        os.fsync(file.fileno())
    expected = wanted.sha256 or wanted.md5
    if begun + came != wanted.size or (expected and digest.hexdigest() != expected):
        partial.unlink()
        raise ContentFault(f"its {kind} is {digest.hexdigest()}, not {expected}; try again")
    os.replace(partial, target)
    return came


def _is_there(path: Path, wanted: ReleasedFile, trust: bool) -> bool:
    try:
        if path.stat().st_size != wanted.size:
            return False
    except OSError:
        return False
    if trust:
        return True
    kind = "sha256" if wanted.sha256 else "md5"
    digest = hashlib.new(kind, usedforsecurity=False)
    _hash_into(digest, path)
    return digest.hexdigest() == (wanted.sha256 or wanted.md5 or digest.hexdigest())


def _hash_into(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(HASHED):
            digest.update(block)


def _manifest_in(folder: Path) -> ReleaseManifest | None:
    try:
        return decode_manifest((folder / MANIFEST).read_bytes())
    except (OSError, BadManifest):
        return None


def _remove(folder: Path, paths: set[str]) -> int:
    removed = 0
    for path in paths:
        if (folder / path).is_file():
            (folder / path).unlink()
            removed += 1
    return removed


def _replace(path: Path, body: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(body)
    os.replace(partial, path)


def _by_digest(folder: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for manifest in sorted(folder.glob(f"*/*/{MANIFEST}")):
        paths |= _digests_of(manifest.parent)
    return paths


def _digests_of(folder: Path) -> dict[str, Path]:
    manifest = _manifest_in(folder)
    if manifest is None:
        return {}
    return {file.sha256: folder / path for path, file in manifest.paths().items() if file.sha256}
