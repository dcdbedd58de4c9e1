"""Zips of a release: the same release gives the same bytes, and a killed run can continue.

Files are stored, not compressed: their content is already compressed, and their places are known
in advance. Times, modes and order are fixed, and the headers hold nothing else. The library's
zipfile makes the headers and the directory. After each file, its place is noted in a journal
beside the zip, from which the next run continues.

`shared.releases.proving` reads, hashes and sums the contents while they are written.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

import msgspec

from shared.model import json
from shared.releases.copy import CopiedFile
from shared.releases.proving import (
    NO_SUMS,
    Blocks,
    FileStream,
    Sums,
    WholeFile,
    proved_files,
)

Progress = Callable[[str, int], None]
"""Called with the path of each finished file, and its bytes."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all files: the earliest possible in a zip."""

BUFFER = 2**20
"""Bytes of small files that are written at once; blocks of large ones bypass the buffer."""

SYNCED = 16 * 2**20
"""Bytes after which the written data are flushed to disk, while more is written."""

HEADERS = 30 + 20 + 46 + 28
"""Overhead of a file in bytes, beside its content and twice its name (APPNOTE 4.3, zip64)."""

END = 56 + 20 + 22
"""Bytes at the end of a zip64."""


class TooLargeForPart(ValueError):
    """A file does not fit into a part of the requested size."""


class _Begun(msgspec.Struct, frozen=True):
    """First line of a journal: the zip that is being written."""

    plan: str


class _Written(msgspec.Struct, frozen=True):
    """A line of a journal: a file in the zip; ``end`` is the offset after it."""

    path: str
    crc: int
    start: int
    end: int


def parts_of(files: Sequence[CopiedFile], most: int | None = None) -> list[list[CopiedFile]]:
    """Return the files of each part, in order; every part is a complete zip.

    Parameters
    ----------
    files : sequence of CopiedFile
    most : int, optional
        Most bytes of a part; None puts everything into one.

    Raises
    ------
    TooLargeForPart
    """
    if most is None:
        return [list(files)]
    parts: list[list[CopiedFile]] = []
    left = 0
    for file in files:
        need = file.size + HEADERS + 2 * len(file.path.encode())
        if need + END > most:
            raise TooLargeForPart(
                f"{file.path} has {file.size:,} bytes, more than a part of {most:,}: "
                "choose a larger part size."
            )
        if not parts or need > left:
            parts.append([])
            left = most - END
        parts[-1].append(file)
        left -= need
    return parts


def part_name(out: Path, number: int, count: int) -> Path:
    """Return the name of a part: ``NAME.zip`` for a single one, else ``NAME.part02.zip``."""
    if count == 1:
        return out
    return out.with_name(f"{out.name.removesuffix('.zip')}.part{number:02d}.zip")


def write_zip(
    files: Sequence[CopiedFile],
    out: Path,
    blocks: Blocks,
    progress: Progress = lambda path, size: None,
    *,
    readers: int = 1,
    sums: Sums = NO_SUMS,
) -> Path:
    """Write a zip, or finish an unfinished one.

    Parameters
    ----------
    files : sequence of CopiedFile
    out : Path
        Path of the zip; until it is complete, it is ``out.partial`` with a journal beside it.
    blocks : callable
        Yields the bytes of a release's file.
    progress : callable
        Called for each written file.
    readers : int
        Number of small files to read at once, see `proved_files`.
    sums : mapping of int
        CRC-32 of files that were hashed just now, see `proved_files`.

    Raises
    ------
    ContentDiffers
        A file differs from the release; the files written before it stay.
    """
    partial, journal = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.journal")
    plan = _plan(files)
    done = _resumable(partial, journal, plan, files)
    begun = done[-1].end if done else 0
    with open(partial, "r+b" if partial.exists() else "w+b", buffering=BUFFER) as file:
        file.truncate(begun)
        file.seek(begun)
        with open(journal, "ab" if done else "wb", buffering=0) as notes:
            if not done:
                _note(notes, _Begun(plan))
            for file_done in files[: len(done)]:
                progress(file_done.path, file_done.size)
            with (
                _Syncing(file) as syncing,
                proved_files(files[len(done) :], blocks, readers, sums) as contents,
            ):
                for copied_file, content in contents:
                    done.append(_write(file, begun, copied_file, content, syncing))
                    begun = done[-1].end
                    # A note may reach the disk before its file; then the zip is too short.
                    _note(notes, done[-1])
                    progress(copied_file.path, copied_file.size)
        _write_directory(file, files, done)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, out)
    journal.unlink()
    return out


def _write(
    file: BinaryIO,
    start: int,
    one: CopiedFile,
    content: WholeFile | FileStream,
    syncing: _Syncing,
) -> _Written:
    """Write a file at an offset; return its place."""
    info = _info(one)
    if isinstance(content, WholeFile):
        info.CRC = content.crc
        header = info.FileHeader()
        file.write(header)
        file.write(content.body)
        syncing.wrote(one.size)
    else:
        header = info.FileHeader()
        file.write(header)
        for block in content:
            file.write(block)
            syncing.wrote(len(block))
        info.CRC = content.crc
        file.seek(start)
        file.write(info.FileHeader())
        file.seek(start + len(header) + one.size)
    return _Written(one.path, info.CRC, start, start + len(header) + one.size)


def _write_directory(
    file: BinaryIO, files: Sequence[CopiedFile], written: Sequence[_Written]
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for copied_file, place in zip(files, written, strict=True):
            info = _info(copied_file)
            info.header_offset, info.CRC = place.start, place.crc
            archive.filelist.append(info)


def _info(file: CopiedFile) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(file.path, EPOCH)
    info.create_system, info.external_attr = 3, 0o100644 << 16  # Unix, a plain file
    info.file_size = info.compress_size = file.size
    info.CRC = 0  # set once it is known
    return info


class _Syncing:
    """Flushes written data to disk in the background, so that the end is quick."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._since = file, 0
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> _Syncing:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def wrote(self, size: int) -> None:
        """Count bytes written."""
        self._since += size
        if self._since >= SYNCED and (self._last is None or self._last.done()):
            if self._last is not None:
                self._last.result()
            self._since = 0
            self._last = self._pool.submit(os.fsync, self._file.fileno())


def _plan(files: Sequence[CopiedFile]) -> str:
    """Return the digest of the planned files and their order."""
    digest = hashlib.sha256()
    for file in files:
        body = hashlib.sha256(file.body or b"").hexdigest()
        checksum = (file.file.sha256 or file.file.md5 or "") if file.file else body
        digest.update(f"{file.path}\x1f{file.size}\x1f{checksum}\n".encode())
    return digest.hexdigest()


def _note(notes: RawIOBase, line: _Begun | _Written) -> None:
    notes.write(json.encode(line) + b"\n")


def _resumable(
    partial: Path, journal: Path, plan: str, files: Sequence[CopiedFile]
) -> list[_Written]:
    """Return the files that an earlier run wrote of the same zip."""
    try:
        first, *lines = journal.read_bytes().split(b"\n")
        length = partial.stat().st_size
        if json.decode(first, _Begun).plan != plan:
            return []
    except (OSError, ValueError):
        return []
    done: list[_Written] = []
    for file, line in zip(files, lines, strict=False):
        try:
            written = json.decode(line, _Written)
        except ValueError:  # an unfinished line
            break
        if written.path != file.path or written.end > length:
            break
        done.append(written)
    return done
