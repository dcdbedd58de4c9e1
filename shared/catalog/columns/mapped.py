"""The file of a kind: its columns in blocks, and at its end a directory of the blocks.

::

    FXCOLS01                8 bytes
    blocks                  each a zlib stream: codes, row numbers or JSON, see `StoredColumn`
    directory               a zlib stream of JSON, see `Directory`
    its offset, length, CRC-32 (8, 4 and 4 bytes, little-endian), FXCOLS01

A reader reads the last bytes, which hold the directory, and then only the blocks it needs.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from shared.catalog.columns import local
from shared.catalog.columns.blocks import BLOCK, BlockEntry, BlockFile, Blocks, Need, Read, Runs
from shared.catalog.columns.coded import Coded, Lists, grouped
from shared.catalog.columns.column import Array, Column, JsonText, narrowest
from shared.catalog.columns.numbers import Numbers
from shared.catalog.columns.table import Columns
from shared.catalog.columns.uuids import Uuids
from shared.catalog.damaged import Damaged

MAGIC = b"FXCOLS01"
TRAILER = struct.Struct("<QII8s")
LAST = 65_536
"""Bytes at the end that are read first; nearly every directory fits."""

VALUES = 16_384
"""Distinct values of a block."""

MANY_TEXTS, MANY_JSON = 65_536, 4_096
"""Most distinct values of a coded column; with more, values are stored with their rows, except
those of `SOUGHT`."""

SOUGHT = frozenset({"id", "key", "session", "subject", "start_time", "session_start"})
"""Fields by which rows are looked up; they are always coded."""

GROUPED = range(17, MANY_TEXTS + 1)
"""Numbers of distinct values with which a column of many rows gets a posting list."""

MANY_ROWS = 50_000
LEVEL = 3
"""Compression level of zlib."""


class StoredColumn(msgspec.Struct, omit_defaults=True):
    """The places of a column's blocks.

    Attributes
    ----------
    kind : str
        ``coded``, ``lists``, ``numbers``, ``uuids`` or ``local``.
    values : list of BlockEntry
        Distinct values as JSON, in order, `VALUES` per block.
    codes : list of BlockEntry
        A number for each row, `BLOCK` rows per block. For ``local``, the rows' values as JSON;
        for ``uuids``, first halves, then second halves.
    types : list of str
        NumPy type of the numbers in each block of ``codes``.
    starts : BlockEntry, optional
        First row of each value if rows are sorted by value; otherwise the start of its rows in
        ``order``.
    order : list of BlockEntry
        Posting list: row numbers of the first value, the second and so on, as differences.
    rows : int
        Rows per block, only for ``local``.
    """

    kind: str
    values: list[BlockEntry] = []
    codes: list[BlockEntry] = []
    types: list[str] = []
    starts: BlockEntry | None = None
    order: list[BlockEntry] = []
    rows: int = 0


class Directory(msgspec.Struct):
    """Content of a file: number of rows, sort order, and columns by field."""

    n: int
    order: tuple[str, ...]
    columns: dict[str, StoredColumn]


def pack(table: Columns) -> bytes:
    """Return the file of some rows."""
    out = _Writer()
    columns = {
        name: _stored(out, name, column, name in table.key_fields)
        for name, column in table.columns.items()
    }
    body = msgspec.json.encode(Directory(table.n, table.order, columns))
    entry = out.add(body, 9)
    out.parts.append(TRAILER.pack(entry.offset, entry.length, entry.crc, MAGIC))
    return b"".join(out.parts)


class _Writer:
    """Writes blocks one after the other."""

    def __init__(self) -> None:
        self.parts = [MAGIC]
        self._at = len(MAGIC)

    def add(self, plain: bytes, level: int = LEVEL) -> BlockEntry:
        packed = zlib.compress(plain, level)
        entry = BlockEntry(self._at, len(packed), len(plain), zlib.crc32(packed))
        self.parts.append(packed)
        self._at += len(packed)
        return entry

    def numbers(self, values: Array, *, steps: bool = False) -> list[BlockEntry]:
        """Add an array in blocks."""
        return [self.add(_little(each, steps)) for each in _cut(values)]


def _cut(values: Array) -> list[Array]:
    return [values[i : i + BLOCK] for i in range(0, len(values), BLOCK)]


def _little(values: Array, steps: bool = False) -> bytes:
    if steps:
        values = np.diff(values.astype(np.uint32), prepend=np.uint32(0))
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _stored(out: _Writer, name: str, column: Column, is_key: bool) -> StoredColumn:
    """Write a column; return its places."""
    if isinstance(column, Numbers):
        blocks = [_narrow(each) for each in _cut(np.asarray(column.values))]
        entries = [out.add(_little(each)) for each in blocks]
        return StoredColumn("numbers", codes=entries, types=[_type(each) for each in blocks])
    if isinstance(column, Uuids):
        halves = np.asarray(column.values).reshape(-1, 2)
        first, second = (halves[:, i].astype("<u8") for i in (0, 1))
        return StoredColumn("uuids", codes=[*out.numbers(first), *out.numbers(second)])
    if isinstance(column, local.Local):
        column = column.take(np.arange(column.n))
    assert isinstance(column, Coded)  # noqa: S101 - there are no others
    codes, values = _in_order(column)
    if not isinstance(column, Lists) and not is_key and _is_local(name, values):
        rows = local.ROWS if len(codes) <= 1 << 20 else 8 * local.ROWS
        code_list = codes.tolist()
        cut = [code_list[i : i + rows] for i in range(0, len(code_list), rows)]
        entries = [out.add(local.to_json([values[code] for code in each])) for each in cut]
        return StoredColumn("local", codes=entries, rows=rows)
    stored = StoredColumn("lists" if isinstance(column, Lists) else "coded")
    stored.values = [
        out.add(local.to_json(values[i : i + VALUES])) for i in range(0, len(values), VALUES)
    ]
    if bool(np.all(codes[1:] >= codes[:-1])):
        counts = np.bincount(codes, minlength=len(values))
        stored.starts = out.add(_little(np.append(0, np.cumsum(counts)), steps=True))
        return stored
    codes = narrowest(codes, len(values))
    stored.codes = out.numbers(codes)
    stored.types = [_type(codes)] * len(stored.codes)
    if is_key or (len(codes) > MANY_ROWS and len(values) in GROUPED):
        order, starts = grouped(codes, len(values))
        stored.order = out.numbers(order, steps=True)
        stored.starts = out.add(_little(starts, steps=True))
    return stored


def _in_order(column: Coded) -> tuple[Array, list[Any]]:
    """Return codes and values sorted by value, without unused values."""
    whole = np.asarray(column.codes)
    used = np.bincount(whole, minlength=len(column.values)) > 0
    order = [code for code in column.ranked() if used[code]]
    lut = np.zeros(len(column.values), np.uint32)
    lut[order] = np.arange(len(order))
    return lut[whole], [column.values[code] for code in order]


def _is_local(name: str, values: list[Any]) -> bool:
    many = MANY_JSON if any(type(value) is JsonText for value in values) else MANY_TEXTS
    return len(values) > many and name not in SOUGHT


def _narrow(values: Array) -> Array:
    """Return integers in the narrowest type that holds them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int64)


def _type(values: Array) -> str:
    return values.dtype.newbyteorder("<").str


def opened(
    name: str,
    read: Read,
    size: int,
    skip: frozenset[str],
    order: tuple[str, ...],
    key: Callable[[Mapping[str, Any]], str],
    key_fields: tuple[str, ...],
) -> Columns:
    """Return the rows of a file, which are read on demand.

    Parameters
    ----------
    name : str
        Name of the file in errors.
    read : callable
        See `blocks.Read`.
    size : int
        Its length in bytes.
    skip : frozenset of str
        Fields to leave out.
    order, key, key_fields
        See `Columns`.

    Raises
    ------
    Damaged
        It is no file of columns, or its end is missing.
    """
    file = BlockFile(name, read)
    directory = _directory(file, read, size)
    columns = {
        field: _column(file, stored, directory.n)
        for field, stored in directory.columns.items()
        if field not in skip
    }
    return Columns(columns, directory.n, order, key, key_fields, file=file)


def _directory(file: BlockFile, read: Read, size: int) -> Directory:
    last = min(size, LAST)
    (end,) = read([(size - last, last)])
    if len(end) < TRAILER.size or not end.endswith(MAGIC):
        raise Damaged(f"{file.name}: it does not end as a file of columns does.")
    offset, length, crc, _ = TRAILER.unpack(end[-TRAILER.size :])
    if offset + length + TRAILER.size != size:
        raise Damaged(f"{file.name}: its directory is not before its end.")
    start = offset - (size - last)
    body = end[start : start + length] if start >= 0 else read([(offset, length)])[0]
    if len(body) != length or zlib.crc32(body) != crc:
        raise Damaged(f"{file.name}: its directory is not what was written (CRC-32).")
    try:
        return msgspec.json.decode(zlib.decompress(body), type=Directory)
    except msgspec.DecodeError as error:
        raise Damaged(f"{file.name}: its directory is of another format: {error}") from None


def _column(file: BlockFile, stored: StoredColumn, n: int) -> Column:
    """Return a column that is read on demand."""
    if stored.kind == "numbers":
        return Numbers(Blocks(file, stored.codes, stored.types, n))
    if stored.kind == "uuids":
        half = len(stored.codes) // 2
        kinds = ["<u8"] * half
        return Uuids(
            Halves(
                Blocks(file, stored.codes[:half], kinds, n),
                Blocks(file, stored.codes[half:], kinds, n),
            )
        )
    if stored.kind == "local":
        return local.Local(file, stored.codes, n, stored.rows)
    lists = stored.kind == "lists"
    made = Lists if lists else Coded
    values = Values(file, stored.values, lists)
    if not stored.codes:
        codes: Any = Runs(lambda: _starts(file, stored))
        return made(codes, values, ascending=not lists)
    codes = Blocks(file, stored.codes, stored.types, n)
    postings = (lambda: _postings(file, stored, n)) if stored.order else None
    return made(codes, values, postings=postings, ascending=not lists)


def _starts(file: BlockFile, stored: StoredColumn) -> Array:
    if stored.starts is None:
        return np.zeros(1, np.uint32)
    return file.blocks([Need(stored.starts, _summed)])[0]


def _summed(body: bytes) -> Array:
    return np.cumsum(np.frombuffer(body, "<u4"), dtype=np.uint32)


def _postings(file: BlockFile, stored: StoredColumn, n: int) -> tuple[Blocks, Array]:
    kinds = ["<u4"] * len(stored.order)
    return Blocks(file, stored.order, kinds, n, steps=True), _starts(file, stored)


class Values:
    """The distinct values of a column, read at a call.

    Parameters
    ----------
    file : BlockFile
    entries : sequence of BlockEntry
    lists : bool
        Whether the values are lists.
    """

    def __init__(self, file: BlockFile, entries: Sequence[BlockEntry], lists: bool) -> None:
        self.file, self.entries = file, entries
        self._made = _lists_of_json if lists else local.of_json

    def needs(self) -> list[Need]:
        """Return the blocks with the values."""
        return [Need(entry, self._made, local.WEIGHT) for entry in self.entries]

    def __call__(self) -> list[Any]:
        """Return the values."""
        return [value for block in self.file.blocks(self.needs()) for value in block]


def _lists_of_json(body: bytes) -> list[tuple[Any, ...]]:
    return [tuple(value) for value in json.loads(body)]


class Halves:
    """UUIDs as pairs of numbers, in blocks.

    Parameters
    ----------
    first, second : Blocks
    """

    def __init__(self, first: Blocks, second: Blocks) -> None:
        self.first, self.second = first, second
        self.nbytes = first.nbytes + second.nbytes

    def needs(self, rows: Array) -> list[Need]:
        """Return the blocks with some rows."""
        return [*self.first.needs(rows), *self.second.needs(rows)]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: Any) -> Array:
        return np.stack([self.first[rows], self.second[rows]], axis=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = np.stack([np.asarray(self.first), np.asarray(self.second)], axis=1)
        return whole.astype(dtype or whole.dtype, copy=False)
