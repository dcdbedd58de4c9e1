"""Verify copies: a folder or a zip against its checksums, a server against its manifest."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

import msgspec

from lab.client import ClientError
from lab.releases.remote import BLOCK, ReleaseServer
from shared.model.release import ReleasedFile, ReleaseManifest, ReleaseRecord
from shared.releases.copy import CHECKSUMS, MANIFEST
from shared.releases.manifest import BadManifest, decode_manifest

Seen = Callable[[str, int], None]


class Fault(msgspec.Struct, frozen=True):
    """A file that differs from the manifest, and how."""

    path: str
    reason: str


class Verification(msgspec.Struct, frozen=True):
    """The result of a verification.

    Attributes
    ----------
    n_files, size
        Number and bytes of the files read.
    faults : list of Fault
    extra : list of str
        Files that are not in the release.
    """

    n_files: int
    size: int
    faults: list[Fault]
    extra: list[str] = []


class NoCopy(ValueError):
    """The path is no copy of a release; the message names the missing parts."""


class CopyReader(Protocol):
    """A folder or a zip, read by names."""

    def names(self) -> list[str]:
        """Return the paths of all files."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes."""


class FolderReader:
    """Files of a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the paths of all files, except those of unfinished copies."""
        paths = (path for path in self.root.rglob("*") if path.is_file())
        names = (path.relative_to(self.root).as_posix() for path in paths)
        return sorted(name for name in names if not name.endswith(".partial"))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes."""
        with (self.root / name).open("rb") as file:
            while block := file.read(BLOCK):
                yield block


class ZipReader:
    """Files of a zip, or of its parts together."""

    def __init__(self, *paths: Path) -> None:
        try:
            self._zips = [zipfile.ZipFile(path) for path in paths]
        except (OSError, zipfile.BadZipFile) as error:
            raise NoCopy(f"{paths[0]} is no whole zip: {error}") from None
        self._home = {name: archive for archive in self._zips for name in archive.namelist()}

    def names(self) -> list[str]:
        """Return the paths of all files."""
        return sorted(name for name in self._home if not name.endswith("/"))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes."""
        with self._home[name].open(name) as file:
            while block := file.read(BLOCK):
                yield block


def parts_beside(path: Path) -> list[Path]:
    """Return all parts of a file's zip; the file alone if the zip is whole."""
    stem, dot, rest = path.name.rpartition(".part")
    if not dot or not rest.endswith(".zip") or not rest.removesuffix(".zip").isdecimal():
        return [path]
    return sorted(path.parent.glob(f"{stem}.part*.zip"))


def open_copy(path: Path) -> CopyReader:
    """Return a reader for a copy.

    Raises
    ------
    NoCopy
        The path is neither folder nor zip.
    """
    return FolderReader(path) if path.is_dir() else ZipReader(*parts_beside(path))


def read_manifest(copy: CopyReader, where: Path) -> ReleaseManifest:
    """Return the manifest of a copy.

    Raises
    ------
    NoCopy
        The manifest is missing or damaged.
    """
    if MANIFEST not in copy.names():
        raise NoCopy(f"{where} has no {MANIFEST}: it is no copy of a release.")
    try:
        return decode_manifest(b"".join(copy.blocks(MANIFEST)))
    except BadManifest as error:
        raise NoCopy(f"{where}: {error}") from None


def verify_copy(
    path: Path, record: ReleaseRecord | None = None, seen: Seen = lambda path, size: None
) -> Verification:
    """Read a folder or a zip completely and compare each file with the manifest.

    Parameters
    ----------
    path : Path
    record : ReleaseRecord, optional
        The server's record of the release, to verify the manifest as well.
    seen : callable
        Called for each file read.

    Raises
    ------
    NoCopy
        The path is no copy of a release, or of another one.
    """
    copy = open_copy(path)
    manifest = read_manifest(copy, path)
    if record:
        digest = hashlib.sha256(b"".join(copy.blocks(MANIFEST))).hexdigest()
        if digest != record.manifest:
            raise NoCopy(f"{path} is a copy of another release than {record.key}.")
    names = set(copy.names())
    sums = _checksums(copy) if CHECKSUMS in names else {}
    wanted: dict[str, tuple[str, str, int | None]] = {
        name: ("sha256", digest, None) for name, digest in sums.items()
    }
    for name, file in manifest.paths().items():
        if record:
            withdrawn = file.id in record.withdrawn
        else:  # the checksums omit files that were withdrawn before the copy was made
            withdrawn = bool(sums and file.sha256 and name not in sums)
        if not withdrawn:
            kind = "sha256" if file.sha256 else "md5"
            wanted[name] = (kind, file.sha256 or file.md5 or "", file.size)
    faults, size = [], 0
    for name, (kind, digest, length) in sorted(wanted.items()):
        if name not in names:
            faults.append(Fault(name, "it is missing"))
            continue
        try:
            found, read = _digest(copy.blocks(name), kind)
        except (OSError, zipfile.BadZipFile) as error:
            faults.append(Fault(name, f"it cannot be read: {error}"))
            continue
        size += read
        seen(name, read)
        if length is not None and read != length:
            faults.append(Fault(name, f"it has {read:,} bytes, not {length:,}"))
        elif digest and found != digest:
            faults.append(Fault(name, f"its {kind} is {found}, not {digest}"))
    extra = sorted(names - wanted.keys() - {CHECKSUMS})
    return Verification(len(wanted), size, faults, extra)


def verify_server(
    server: ReleaseServer,
    record: ReleaseRecord,
    *,
    quick: bool = False,
    seen: Seen = lambda path, size: None,
) -> Verification:
    """Compare the server's bytes of each file with the manifest.

    NWB files that its workers wrote for the release are compared with their registration.

    Parameters
    ----------
    quick : bool
        Whether to request only the last byte of each file, to check presence and size.
    """
    manifest = server.manifest(record)
    faults, size, n_files = [], 0, 0
    released = manifest.paths().items()
    remaining = ((path, file) for path, file in released if file.id not in record.withdrawn)
    for path, file in chain(remaining, server.nwb_files(record)):
        n_files += 1
        try:
            reason, read = _fault_of(server, path, file, quick)
        except ClientError as error:
            reason, read = str(error), 0
        size += read
        seen(path, read)
        if reason:
            faults.append(Fault(path, reason))
    return Verification(n_files, size, faults)


def _fault_of(
    server: ReleaseServer, path: str, file: ReleasedFile, quick: bool
) -> tuple[str, int]:
    if quick:
        return "", len(server.read(file, max(0, file.size - 1), 1))
    kind = "sha256" if file.sha256 else "md5"
    found, read = _digest(server.blocks(path, file), kind)
    wanted = file.sha256 or file.md5
    if read != file.size:
        return f"it has {read:,} bytes, not {file.size:,}", read
    return (f"its {kind} is {found}, not {wanted}" if wanted and found != wanted else ""), read


def _digest(blocks: Iterator[bytes], kind: str) -> tuple[str, int]:
    digest, size = hashlib.new(kind, usedforsecurity=False), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _checksums(copy: CopyReader) -> dict[str, str]:
    lines = b"".join(copy.blocks(CHECKSUMS)).decode().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}
