"""Arrays of a file that is read on demand: blocks, each with its own compression and checksum.

A block is read when one of its rows is needed; blocks of one query are read in parallel. Blocks
stay in memory while there is room. So a new process answers after a few short reads, and a large
index takes only the memory of the blocks in use.
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
"""Bytes of blocks that a process keeps; a function has at least 512 MB."""

BLOCK = 1 << 18
"""Elements of a block: a megabyte of codes of four bytes."""


class BlockEntry(msgspec.Struct, frozen=True, array_like=True):
    """Place and checksum of a block.

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
    """A block that a query needs.

    Attributes
    ----------
    entry : BlockEntry
    made : callable
        Turns its bytes into the object to keep.
    weight : int
        Bytes of memory for each byte.
    """

    entry: BlockEntry
    made: Callable[[bytes], Any]
    weight: int = 1


class _BlockCache:
    """The most recently used unpacked blocks of all files of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, int], tuple[Any, int]] = OrderedDict()
        self.nbytes = 0

    def get(self, key: tuple[int, int]) -> Any:
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            block, _ = self._held[key]
            return block

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
        Name of the file in errors.
    read : callable
        See `Read`.
    """

    _numbers = iter(range(1 << 60))

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self._read = read
        self._number = next(BlockFile._numbers)

    def __del__(self) -> None:
        """Free the memory of its blocks."""
        KEPT.forget(self._number)

    def raw(self, entries: Sequence[BlockEntry]) -> list[bytes]:
        """Return the unpacked bytes of blocks.

        Raises
        ------
        Damaged
            They are missing or damaged.
        """
        bodies = self._read([(entry.offset, entry.length) for entry in entries])
        return [self._unpacked(entry, body) for entry, body in zip(entries, bodies, strict=True)]

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
        """Return decoded blocks; those not in memory are read together."""
        keys = [(self._number, need.entry.offset) for need in needs]
        decoded = [KEPT.get(key) for key in keys]
        absent = [i for i, block in enumerate(decoded) if block is None]
        if absent:
            bodies = self.raw([needs[i].entry for i in absent])
            for i, body in zip(absent, bodies, strict=True):
                decoded[i] = needs[i].made(body)
                KEPT.put(keys[i], decoded[i], len(body) * needs[i].weight)
        return decoded


class Blocks:
    """A long array of integers in blocks of one length.

    Parameters
    ----------
    file : BlockFile
    entries : sequence of BlockEntry
        The blocks.
    kinds : sequence of str
        NumPy type of each block's numbers.
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
        """Bytes of the whole array, read or not."""
        return self.n * self.dtype.itemsize

    def needs(self, rows: Array) -> list[Need]:
        """Return the blocks with some rows."""
        return self._needs(np.flatnonzero(np.bincount(rows // BLOCK)).tolist())

    def _needs(self, numbers: Iterable[int]) -> list[Need]:
        return [Need(self.entries[i], partial(self._array, self.kinds[i])) for i in numbers]

    def _load(self, numbers: Iterable[int]) -> list[Array]:
        return self.file.blocks(self._needs(numbers))

    def _array(self, kind: Any, body: bytes) -> Array:
        plain = np.frombuffer(body, kind)
        return np.cumsum(plain, dtype=kind) if self.steps else plain

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        blocks = self._load(range(len(self.entries)))
        whole = np.concatenate(blocks) if blocks else np.empty(0, self.dtype)
        return whole.astype(dtype or self.dtype, copy=False)

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
            in_block = which == number
            out[in_block] = block[rows[in_block] - number * BLOCK]
        return out

    def through(self, lut: Array) -> Array:
        """Return for each row the entry of its number in a table of all possible numbers."""
        out = np.empty(self.n, lut.dtype)
        for number, block in enumerate(self._load(range(len(self.entries)))):
            start = number * BLOCK
            _look_up(lut, block, out[start : start + len(block)])
        return out


def _look_up(lut: Array, codes: Array, out: Array) -> None:
    """Write for each code its entry of a table of all codes.

    Codes whose entries are the only true ones, side by side, are compared instead, which takes a
    tenth of the time: a quality and better, a time and later, a single value.
    """
    true = np.flatnonzero(lut) if lut.dtype == bool and codes.dtype.kind == "u" else None
    if true is None or (len(true) and true[-1] - true[0] >= len(true)):
        np.take(lut, codes, out=out, mode="clip")  # without a copy; no code is beyond the table
    elif not len(true):
        out[:] = False
    elif not true[0]:
        np.less_equal(codes, codes.dtype.type(true[-1]), out=out)
    else:
        first = codes.dtype.type(true[0])
        np.less_equal(codes - first, codes.dtype.type(true[-1]) - first, out=out)


class Runs:
    """Codes of a column whose rows are sorted by value.

    Parameters
    ----------
    starts : ndarray, or a function that reads it
        First row of each value, and the number of rows.
    """

    dtype = np.dtype(np.uint32)

    def __init__(self, starts: Array | Callable[[], Array]) -> None:
        self._starts = starts

    @cached_property
    def starts(self) -> Array:
        """First row of each value, and the number of rows."""
        return self._starts() if callable(self._starts) else self._starts

    @property
    def unique(self) -> bool:
        """Whether each row has a different value."""
        return bool(len(self.starts) - 1 == self.starts[-1])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
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
        """Return the codes of some rows, given in order: each once, in order."""
        return np.flatnonzero(np.diff(np.searchsorted(rows, self.starts)))

    def marked(self, mask: Array) -> Array:
        """Return the codes of the rows of a mask: each once, in order."""
        used = np.flatnonzero(np.diff(self.starts))  # reduceat would take the row after none
        return used[np.logical_or.reduceat(mask, self.starts[used])]

    def through(self, lut: Array) -> Array:
        """Return for each row the entry of its code in a table of all codes."""
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
    """Return for each row the entry of its code in a table of all codes."""
    return lut[codes] if isinstance(codes, np.ndarray) else codes.through(lut)
