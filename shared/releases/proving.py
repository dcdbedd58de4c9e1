"""Copying files of a release: reading ahead, and proving their content while writing.

Small files are read whole, several at once, to avoid waiting for a disk or server file by file.
Large ones are streams: while a block is written, another thread hashes it. SHA-256 and the zip's
CRC are computed from the written bytes, in one pass.

A local file that this process has just hashed is not hashed again: the reading that gave its
SHA-256 gave its CRC-32, too, and the written bytes must have that CRC-32. It finds every accident
but one of 2**32; against forgery there is the SHA-256 in the copy.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import msgspec

from shared.model.crc import crc32
from shared.model.release import ReleasedFile
from shared.releases.copy import CopiedFile

Block = bytes | memoryview

Blocks = Callable[[str, ReleasedFile], Iterable[Block]]
"""Takes a file of a release and its path in the copy; yields its bytes.

A block may be overwritten once `AHEAD` further ones have been taken.
"""

Sums = Mapping[str, int]
"""CRC-32 of files by their path in the copy, from the reading that gave their SHA-256."""

NO_SUMS: Sums = MappingProxyType({})
"""Of files that no reading of this process has hashed: each is hashed."""

WHOLE = 2**22
"""Most bytes of a file that is read whole."""

BLOCK = 2**21
"""Bytes of a block of a larger file."""

AHEAD = 8
"""Most blocks that wait to be hashed."""

BATCH = 32
"""Most small files of a batch; one thread reads a batch."""


class ContentDiffers(ValueError):
    """The bytes of a file differ from the release; the message names the file."""


class WholeFile(msgspec.Struct, frozen=True):
    """A small file's proved bytes, and their CRC-32."""

    body: Block
    crc: int


class FileStream:
    """A large file's bytes, which are proved at its end.

    Attributes
    ----------
    crc : int
        CRC-32 of the bytes taken so far.
    """

    def __init__(
        self,
        file: CopiedFile,
        blocks: Iterable[Block],
        pool: ThreadPoolExecutor,
        known: int | None = None,
    ) -> None:
        self._file, self._blocks, self._pool, self._known = file, blocks, pool, known
        self.crc = 0

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks.

        Raises
        ------
        ContentDiffers
            The bytes differ from the release; discard the yielded blocks.
        """
        digest, size = None if self._known is not None else _digest(self._file.file), 0
        waiting: deque[Future[None]] = deque()
        for block in self._blocks:
            size += len(block)
            if size > self._file.size:
                break
            if len(waiting) == AHEAD:
                waiting.popleft().result()
            if digest is None:
                waiting.append(self._pool.submit(self._add, block))
            else:
                waiting.append(self._pool.submit(digest.update, block))
                self._add(block)
            yield block
        for each in waiting:
            each.result()
        if digest is None:
            _prove_sum(self._file, size, self.crc, self._known)
        else:
            _prove(self._file, size, digest)

    def _add(self, block: Block) -> None:
        self.crc = crc32(block, self.crc)


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the bytes of a local file, in buffers that are used in turn."""
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= WHOLE:
            yield file.read()
            return
        ring: list[memoryview] = []
        turn = 0
        while True:
            if len(ring) < AHEAD + 2:
                ring.append(memoryview(bytearray(BLOCK)))
            buffer = ring[turn % len(ring)]
            if not (size := file.readinto(buffer)):
                return
            yield buffer[:size]
            turn += 1


@contextmanager
def proved_files(
    files: Sequence[CopiedFile], blocks: Blocks, readers: int = 1, sums: Sums = NO_SUMS
) -> Iterator[Iterator[tuple[CopiedFile, WholeFile | FileStream]]]:
    """Yield files with their contents, in order; read a stream before taking the next file.

    Parameters
    ----------
    files : sequence of CopiedFile
    blocks : callable
    readers : int
        Batches of small files to read at once: one from a disk, several over a network, where each
        file has a delay.
    sums : mapping of int
        CRC-32 of files that were hashed just now, which are proved by it.

    Raises
    ------
    ContentDiffers
        A file differs from the release; raised when its turn comes.
    """
    reading, hasher = ThreadPoolExecutor(readers), ThreadPoolExecutor(1)
    try:
        waiting = (
            (batch, reading.submit(_read, batch, blocks, sums) if batch[0].size <= WHOLE else None)
            for batch in _batches(files)
        )
        yield _contents(waiting, readers + 1, blocks, hasher, sums)
    finally:
        reading.shutdown(cancel_futures=True)
        hasher.shutdown(cancel_futures=True)


def _contents(
    waiting: Iterator[tuple[list[CopiedFile], Future[list[WholeFile | BaseException]] | None]],
    most: int,
    blocks: Blocks,
    hasher: ThreadPoolExecutor,
    sums: Sums,
) -> Iterator[tuple[CopiedFile, WholeFile | FileStream]]:
    ahead = deque(islice(waiting, most))
    while ahead:
        batch, future = ahead.popleft()
        ahead.extend(islice(waiting, 1))
        if future is None:
            file = batch[0]
            yield file, FileStream(file, _blocks(file, blocks), hasher, sums.get(file.path))
        else:
            for file, content in zip(batch, future.result(), strict=False):
                if isinstance(content, BaseException):
                    raise content
                yield file, content


def _batches(files: Sequence[CopiedFile]) -> Iterator[list[CopiedFile]]:
    """Yield batches of files: each large one alone, small ones up to `WHOLE` bytes."""
    batch: list[CopiedFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == BATCH or size + file.size > WHOLE):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _read(
    batch: Sequence[CopiedFile], blocks: Blocks, sums: Sums
) -> list[WholeFile | BaseException]:
    """Return the files of a batch, up to an error in place of the first unreadable one."""
    contents: list[WholeFile | BaseException] = []
    try:
        for file in batch:
            contents.append(_whole(file, blocks, sums.get(file.path)))
    except BaseException as error:
        contents.append(error)
    return contents


def _whole(file: CopiedFile, blocks: Blocks, known: int | None) -> WholeFile:
    parts, size = list[bytes](), 0
    for block in _blocks(file, blocks):
        parts.append(bytes(block))
        size += len(block)
        if size > file.size:
            break
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    crc = crc32(body)
    if known is not None:
        _prove_sum(file, size, crc, known)
    elif file.file is not None:
        digest = _digest(file.file)
        digest.update(body)
        _prove(file, size, digest)
    return WholeFile(body, crc)


def _blocks(file: CopiedFile, blocks: Blocks) -> Iterable[Block]:
    return (file.body or b"",) if file.file is None else blocks(file.path, file.file)


def _digest(file: ReleasedFile | None) -> hashlib._Hash:
    kind = "md5" if file is not None and not file.sha256 else "sha256"
    return hashlib.new(kind, usedforsecurity=False)


def _prove(file: CopiedFile, size: int, digest: hashlib._Hash) -> None:
    expected = file.file
    if expected is None:  # made for the copy just now
        return
    wanted = expected.sha256 or expected.md5
    if size != expected.size or (wanted and digest.hexdigest() != wanted):
        raise ContentDiffers(
            f"{file.path} is not what the release says: {size:,} bytes of {digest.name} "
            f"{digest.hexdigest()}, not {expected.size:,} of {wanted}. Verify the source."
        )


def _prove_sum(file: CopiedFile, size: int, crc: int, known: int | None) -> None:
    if size != file.size or crc != known:
        raise ContentDiffers(
            f"{file.path} is not what the release says: it has changed since it was hashed. "
            "Is it still being written?"
        )
