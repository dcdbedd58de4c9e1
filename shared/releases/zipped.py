"""Zips of a release: the same release gives the same bytes, and a killed run goes on.

Files are stored, not compressed: what they hold is compressed already, and where each lies is
known beforehand. Times, modes and order are fixed and there is nothing else in the headers. The
library's zipfile writes; after each file its place is noted in a journal beside the zip, from
which the next run goes on.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from shared.model import json
from shared.model.release import ReleasedFile
from shared.releases.copy import CopiedFile

Blocks = Callable[[str, ReleasedFile], Iterator[bytes]]
"""Yields the bytes of a file of a release, of which the path in the copy is told too."""

Progress = Callable[[str, int], None]
"""Told of each file that is done, and its bytes."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all files: the earliest that a zip can say."""

AHEAD = 4
"""Blocks read while others are being written."""

HEADERS = 30 + 20 + 46 + 28
"""Bytes that a file takes beside its content and twice its name (APPNOTE 4.3, with zip64)."""

END = 56 + 20 + 22
"""Bytes at the end of a zip64."""


class ContentDiffers(ValueError):
    """The bytes of a file are not those of the release; the message names it."""


class TooLargeForPart(ValueError):
    """A file does not fit into a part of the size asked for."""


class _Begun(msgspec.Struct, frozen=True):
    """First line of a journal: what is being written."""

    plan: str


class _Written(msgspec.Struct, frozen=True):
    """A line of a journal: a file that is in the zip; ``end`` is the offset after it."""

    path: str
    crc: int
    start: int
    end: int


def parts_of(files: Sequence[CopiedFile], most: int | None = None) -> list[list[CopiedFile]]:
    """Return the files of each part, in order: every part is a whole zip.

    Parameters
    ----------
    files : sequence of CopiedFile
    most : int, optional
        Bytes of a part; None puts all into one.

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
    """Return the name of a part: ``NAME.zip`` of one, else ``NAME.part02.zip``."""
    if count == 1:
        return out
    return out.with_name(f"{out.name.removesuffix('.zip')}.part{number:02d}.zip")


def write_zip(
    files: Sequence[CopiedFile],
    out: Path,
    blocks: Blocks,
    progress: Progress = lambda path, size: None,
) -> Path:
    """Write a zip, or finish one that was begun.

    Parameters
    ----------
    files : sequence of CopiedFile
    out : Path
        What it is to be; until it is whole it is ``out.partial``, with a journal beside it.
    blocks : callable
        Yields the bytes of a release's file.
    progress : callable
        Told of each file written.

    Raises
    ------
    ContentDiffers
        A file is not what the release says; what was written before stays.
    """
    partial, journal = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.journal")
    plan = _plan(files)
    done = _resumable(partial, journal, plan, files)
    begun = done[-1].end if done else 0
    with open(partial, "r+b" if partial.exists() else "w+b") as file:
        file.truncate(begun)
        file.seek(begun)
        with open(journal, "ab" if done else "wb") as notes:
            if not done:
                _note(notes, _Begun(plan))
            _write(file, notes, files, done, blocks, progress)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, out)
    journal.unlink()
    return out


def _write(
    file: BinaryIO,
    notes: BinaryIO,
    files: Sequence[CopiedFile],
    done: Sequence[_Written],
    blocks: Blocks,
    progress: Progress,
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for one, written in zip(files, done, strict=False):
            info = _info(one)
            info.header_offset, info.CRC = written.start, written.crc
            info.compress_size = info.file_size = one.size
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
            progress(one.path, one.size)
        for one in files[len(done) :]:
            info = _info(one)
            start = file.tell()
            with archive.open(info, "w") as target:
                for block in _checked(one, blocks):
                    target.write(block)
            file.flush()
            _note(notes, _Written(one.path, info.CRC, start, file.tell()))
            progress(one.path, one.size)


def _info(file: CopiedFile) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(file.path, EPOCH)
    info.create_system, info.external_attr = 3, 0o100644 << 16  # Unix, a plain file
    info.file_size = file.size
    return info


def _checked(file: CopiedFile, blocks: Blocks) -> Iterator[bytes]:
    """Yield a file's bytes, read and hashed in another thread; refuse others at their end."""
    if file.file is None:
        yield file.body or b""
        return
    size, expected = 0, file.file
    kind = "sha256" if expected.sha256 else "md5"
    digest = hashlib.new(kind, usedforsecurity=False)
    for block in _ahead(blocks(file.path, expected), digest.update):
        size += len(block)
        if size > expected.size:
            break
        yield block
    wanted = expected.sha256 or expected.md5
    if size != expected.size or (wanted and digest.hexdigest() != wanted):
        raise ContentDiffers(
            f"{file.path} is not what the release says: {size:,} bytes of {kind} "
            f"{digest.hexdigest()}, not {expected.size:,} of {wanted}. Verify the source."
        )


def _ahead(blocks: Iterator[bytes], see: Callable[[bytes], object]) -> Iterator[bytes]:
    """Yield blocks that a thread reads ahead and shows to a function."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
    over = threading.Event()

    def put(each: bytes | BaseException | None) -> None:
        while not over.is_set():
            try:
                return ready.put(each, timeout=1)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for block in blocks:
                see(block)
                put(block)
                if over.is_set():
                    return
        except BaseException as error:
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while (block := ready.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block
    finally:
        over.set()
        thread.join()


def _plan(files: Sequence[CopiedFile]) -> str:
    """Return the digest of what is to be written where."""
    digest = hashlib.sha256()
    for file in files:
        body = hashlib.sha256(file.body or b"").hexdigest()
        known = (file.file.sha256 or file.file.md5 or "") if file.file else body
        digest.update(f"{file.path}\x1f{file.size}\x1f{known}\n".encode())
    return digest.hexdigest()


def _note(notes: BinaryIO, line: _Begun | _Written) -> None:
    notes.write(json.encode(line) + b"\n")
    notes.flush()


def _resumable(
    partial: Path, journal: Path, plan: str, files: Sequence[CopiedFile]
) -> list[_Written]:
    """Return the files that an earlier run wrote of the very same zip."""
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
        except ValueError:  # the line that was being written
            break
        if written.path != file.path or written.end > length:
            break
        done.append(written)
    return done
