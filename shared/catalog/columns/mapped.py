"""The file of a kind: its columns in blocks, and at its end a directory that says where they are.

::

    FXCOLS01                8 bytes
    blocks                  each a zlib stream: codes, row numbers or JSON, see `StoredColumn`
    directory               a zlib stream of JSON, see `Directory`
    its offset, length, CRC-32 (8, 4 and 4 bytes, little-endian), FXCOLS01

A reader needs the last bytes, which hold the directory, and then only what it is asked for.
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
"""Bytes at the end that are read first; nearly every directory is within."""

VALUES = 16_384
"""Distinct values of a block."""

MANY_TEXTS, MANY_JSON = 65_536, 4_096
"""More distinct values than these are kept with their rows, unless rows are found by them."""

SOUGHT = frozenset({"id", "key", "session", "subject", "start_time", "session_start"})
"""Fields by which rows are found, however many values they have."""

GROUPED = range(17, MANY_TEXTS + 1)
"""Numbers of distinct values for which rows are found by posting lists, in kinds of many rows."""

MANY_ROWS = 50_000
LEVEL = 3
"""Of zlib."""


class StoredColumn(msgspec.Struct, omit_defaults=True):
    """Where a column is.

    Attributes
    ----------
    kind : str
        ``coded``, ``lists``, ``numbers``, ``uuids`` or ``local``.
    values : list of BlockEntry
        Distinct values as JSON, in order, `VALUES` of them a block.
    codes : list of BlockEntry
        A number for each row, `BLOCK` rows a block; of ``local``, the rows' values as JSON; of
        ``uuids``, first halves, then second halves.
    types : list of str
        Type of the numbers of each block of ``codes``, as numpy writes it.
    starts : BlockEntry, optional
        Row at which each value begins, where the rows of a value lie together; else the place in
        ``order`` where its rows begin.
    order : list of BlockEntry
        Posting list: numbers of the rows of the first value, the second and so on, as steps.
    rows : int
        Rows of a block of ``local``.
    """

    kind: str
    values: list[BlockEntry] = []
    codes: list[BlockEntry] = []
    types: list[str] = []
    starts: BlockEntry | None = None
    order: list[BlockEntry] = []
    rows: int = 0


class Directory(msgspec.Struct):
    """What a file holds: how many rows, what they are sorted by, and its columns by field."""

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
    """Blocks that are laid one after the other."""

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
    """Write a column; return where it is."""
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
        told = codes.tolist()
        cut = [told[i : i + rows] for i in range(0, len(told), rows)]
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
    """Return codes and values, only those that a row has, in the order of the values."""
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
    """Return whole numbers in the narrowest type that holds them."""
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
    """Return the rows of a file; they are read when they are asked for.

    Parameters
    ----------
    name : str
        What errors call the file.
    read : callable
        See `blocks.Read`.
    size : int
        Its length in bytes.
    skip : frozenset of str
        Fields that are left out.
    order, key, key_fields
        See `Columns`.

    Raises
    ------
    Damaged
        It is not such a file, or its end is missing.
    """
    file = BlockFile(name, read)
    about = _directory(file, read, size)
    columns = {
        field: _column(file, stored, about.n)
        for field, stored in about.columns.items()
        if field not in skip
    }
    return Columns(columns, about.n, order, key, key_fields, file=file)


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
    """Return a column that is read when it is asked for."""
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
    """The distinct values of a column, read when it is called.

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
        """Return the blocks in which the values are."""
        return [Need(entry, self._made, local.WEIGHT) for entry in self.entries]

    def __call__(self) -> list[Any]:
        """Return them."""
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
        """Return the blocks in which some rows are."""
        return [*self.first.needs(rows), *self.second.needs(rows)]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: Any) -> Array:
        return np.stack([self.first[rows], self.second[rows]], axis=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = np.stack([np.asarray(self.first), np.asarray(self.second)], axis=1)
        return whole.astype(dtype or whole.dtype, copy=False)
