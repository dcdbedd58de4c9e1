"""Arrays of a file that is not read but asked: blocks, each compressed and summed by itself.

A block is read when a row of it is asked for, those of one question in parallel, and is kept while
there is room. So a process that has just started answers after a few short reads, and a large
index takes the memory of what is asked of it.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from shared.catalog.columns.column import Array
from shared.catalog.damaged import Damaged

Read = Callable[[Sequence[tuple[int, int]]], list[bytes]]
"""Takes (offset, length)s of a file and returns their bytes."""

ROOM = 192_000_000
"""Bytes of blocks that a process keeps; a function has 512 MB at the least."""

BLOCK = 1 << 18
"""Elements of a block: a megabyte of codes of four bytes."""


class BlockEntry(msgspec.Struct, frozen=True, array_like=True):
    """Where a block is, and what must be there.

    Attributes
    ----------
    offset, length : int
        Bytes in the file.
    size : int
        Bytes when unpacked.
    crc : int
        CRC-32 of the packed bytes.
    """

    offset: int
    length: int
    size: int
    crc: int


class Need(NamedTuple):
    """A block that is needed.

    Attributes
    ----------
    entry : BlockEntry
    made : callable
        Makes of its bytes what is kept.
    weight : int
        Bytes that are kept for each byte.
    """

    entry: BlockEntry
    made: Callable[[bytes], Any]
    weight: int = 1


class _BlockCache:
    """Unpacked blocks of all files of this process, the ones used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, int], tuple[Any, int]] = OrderedDict()
        self.nbytes = 0

    def get(self, key: tuple[int, int]) -> Any:
        with self._lock:
            if (found := self._held.get(key)) is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: tuple[int, int], block: Any, nbytes: int) -> None:
        with self._lock:
            if key not in self._held:
                self._held[key] = block, nbytes
                self.nbytes += nbytes
            while self.nbytes > ROOM and len(self._held) > 1:
                _, (_, size) = self._held.popitem(last=False)
                self.nbytes -= size

    def forget(self, number: int) -> None:
        with self._lock:
            for key in [key for key in self._held if key[0] == number]:
                self.nbytes -= self._held.pop(key)[1]


KEPT = _BlockCache()


class BlockFile:
    """A file of blocks.

    Parameters
    ----------
    name : str
        What errors call it.
    read : callable
        See `Read`.
    """

    _numbers = iter(range(1 << 60))

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self._read = read
        self._number = next(BlockFile._numbers)

    def __del__(self) -> None:
        """Leave the room to others."""
        KEPT.forget(self._number)

    def raw(self, entries: Sequence[BlockEntry]) -> list[bytes]:
        """Return what blocks hold, unpacked.

        Raises
        ------
        Damaged
            They are not there as they were written.
        """
        found = self._read([(entry.offset, entry.length) for entry in entries])
        return [self._unpacked(entry, body) for entry, body in zip(entries, found, strict=True)]

    def _unpacked(self, entry: BlockEntry, body: bytes) -> bytes:
        where = f"{self.name}, bytes {entry.offset} to {entry.offset + entry.length}"
        if len(body) != entry.length:
            raise Damaged(f"{where}: the file ends before them.")
        if zlib.crc32(body) != entry.crc:
            raise Damaged(f"{where}: not what was written (CRC-32).")
        plain = zlib.decompress(body)
        if len(plain) != entry.size:
            raise Damaged(f"{where}: {len(plain)} bytes instead of {entry.size}.")
        return plain

    def blocks(self, needs: Sequence[Need]) -> list[Any]:
        """Return blocks as they are used; those that are not kept are read together."""
        keys = [(self._number, need.entry.offset) for need in needs]
        found = [KEPT.get(key) for key in keys]
        absent = [i for i, block in enumerate(found) if block is None]
        if absent:
            bodies = self.raw([needs[i].entry for i in absent])
            for i, body in zip(absent, bodies, strict=True):
                found[i] = needs[i].made(body)
                KEPT.put(keys[i], found[i], len(body) * needs[i].weight)
        return found


class Blocks:
    """A long array of whole numbers in blocks of one length.

    Parameters
    ----------
    file : BlockFile
    entries : sequence of BlockEntry
        The blocks.
    kinds : sequence of str
        The type of each block's numbers, as numpy writes it.
    n : int
        Length.
    steps : bool
        Whether a block holds each number's difference from the one before (32 bits, wrapping).
    """

    def __init__(
        self,
        file: BlockFile,
        entries: Sequence[BlockEntry],
        kinds: Sequence[str],
        n: int,
        *,
        steps: bool = False,
    ) -> None:
        self.file, self.entries, self.n, self.steps = file, entries, n, steps
        self.kinds = [np.dtype(kind) for kind in kinds]
        self.dtype = np.result_type(*self.kinds) if self.kinds else np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.n

    @property
    def nbytes(self) -> int:
        """Bytes of all of it, read or not."""
        return self.n * self.dtype.itemsize

    def needs(self, rows: Array) -> list[Need]:
        """Return the blocks in which some rows are."""
        return self._needs(np.flatnonzero(np.bincount(rows // BLOCK)).tolist())

    def _needs(self, numbers: Iterable[int]) -> list[Need]:
        return [Need(self.entries[i], partial(self._array, self.kinds[i])) for i in numbers]

    def _load(self, numbers: Iterable[int]) -> list[Array]:
        return self.file.blocks(self._needs(numbers))

    def _array(self, kind: Any, body: bytes) -> Array:
        plain = np.frombuffer(body, kind)
        return np.cumsum(plain, dtype=kind) if self.steps else plain

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._load(range(len(self.entries)))
        found = np.concatenate(whole) if whole else np.empty(0, self.dtype)
        return found.astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows: Any) -> Array:
        """Return the numbers of some rows (an array of row numbers), or of a slice of them."""
        if isinstance(rows, slice):
            first, last, _ = rows.indices(self.n)
            if last <= first:
                return np.empty(0, self.dtype)
            numbers = range(first // BLOCK, (last - 1) // BLOCK + 1)
            start = numbers[0] * BLOCK
            return np.concatenate(self._load(numbers))[first - start : last - start]
        rows = np.asarray(rows)
        if not len(rows):
            return np.empty(0, self.dtype)
        which = rows // BLOCK
        needed = np.flatnonzero(np.bincount(which, minlength=len(self.entries)))
        blocks = self._load(needed.tolist())
        if len(needed) == 1:
            return blocks[0][rows - int(needed[0]) * BLOCK]
        out = np.empty(len(rows), self.dtype)
        if bool(np.all(rows[1:] >= rows[:-1])):
            edges = np.searchsorted(rows, np.append(needed, needed[-1] + 1) * BLOCK)
            for i, block in enumerate(blocks):
                a, b = edges[i], edges[i + 1]
                out[a:b] = block[rows[a:b] - int(needed[i]) * BLOCK]
            return out
        for number, block in zip(needed.tolist(), blocks, strict=True):
            mine = which == number
            out[mine] = block[rows[mine] - number * BLOCK]
        return out

    def through(self, lut: Array) -> Array:
        """Return for each row what a table of all possible numbers says of its number."""
        out = np.empty(self.n, lut.dtype)
        for number, block in enumerate(self._load(range(len(self.entries)))):
            start = number * BLOCK
            np.take(lut, block, out=out[start : start + len(block)])
        return out


class Runs:
    """Codes of a column whose rows of one value lie together, in the order of the values.

    Parameters
    ----------
    starts : ndarray, or a function that reads it
        Row at which each value begins, and the number of rows.
    """

    dtype = np.dtype(np.uint32)

    def __init__(self, starts: Array | Callable[[], Array]) -> None:
        self._starts = starts

    @cached_property
    def starts(self) -> Array:
        """Row at which each value begins, and the number of rows."""
        return self._starts() if callable(self._starts) else self._starts

    @property
    def unique(self) -> bool:
        """Whether each row has a value of its own."""
        return bool(len(self.starts) - 1 == self.starts[-1])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return int(self.starts.nbytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        codes = np.arange(len(self.starts) - 1, dtype=np.uint32)
        return self.through(codes).astype(dtype or np.uint32, copy=False)

    def __getitem__(self, rows: Any) -> Array:
        """Return the codes of some rows."""
        rows = np.asarray(rows)
        if self.unique:
            return rows.astype(np.uint32)
        return (np.searchsorted(self.starts, rows, side="right") - 1).astype(np.uint32)

    def present(self, rows: Array) -> Array:
        """Return the codes that some rows, given in order, have: each once, in order."""
        return np.flatnonzero(np.diff(np.searchsorted(rows, self.starts)))

    def through(self, lut: Array) -> Array:
        """Return for each row what a table of all codes says of its code."""
        return lut if self.unique else np.repeat(lut, np.diff(self.starts))

    def rows_of(self, codes: Array) -> Array:
        """Return the rows of some codes, in order."""
        if self.unique:
            return codes.astype(np.uint32)
        first, counts = self.starts[codes].astype(np.int64), np.diff(self.starts)[codes]
        ends = np.cumsum(counts)
        shift = np.repeat(first - (ends - counts), counts)
        return (shift + np.arange(int(ends[-1]) if len(ends) else 0)).astype(np.uint32)


def through(codes: Any, lut: Array) -> Array:
    """Return for each row what a table of all codes says of its code."""
    return lut[codes] if isinstance(codes, np.ndarray) else codes.through(lut)
