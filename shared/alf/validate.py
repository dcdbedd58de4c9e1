"""Checks of a file by its header, and of an object's files by their numbers of rows.

All functions take bytes or file objects. So a file in a bucket is checked without a copy: a
seekable reader that fetches ranges is enough. Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NoReturn

import msgspec

from .dataset_types import dimensions
from .errors import FileInvalid, RowsInconsistent
from .foreign import JSON_BYTES, LINE_BYTES, YAML_BYTES, ContentRefused, read_json, read_yaml
from .path import parse_dataset_path, without_uuid


class Header(msgspec.Struct, frozen=True):
    """Facts about a file, from its header.

    Attributes
    ----------
    rows : int or None
        Length of the first dimension; None for formats without rows (video, binary, JSON).
    shape : tuple of int or None
        Dimensions of an array or table.
    dtype : str or None
        Type of an array's elements, in NumPy's notation, e.g. ``'<f8'``.
    columns : tuple of str or None
        Names of a table's columns, without its index.
    notes : tuple of str
        Remarks about an accepted file.
    """

    rows: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


MOST_ROWS = 2**40
"""Most rows of a file; an empty array may claim any number."""

MOST_DIMENSIONS = 32
"""Most dimensions of an array that every version of NumPy reads."""

TABLE_VALUES, VALUES_A_BYTE = 10**7, 100
"""Most values of a table, and further ones for each byte of the file. Repeated values take no
bytes in Parquet, so a hundred bytes could fill a reader's memory."""

# First bytes of formats without further checks: extension -> (offset, accepted bytes).
_MAGIC: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "avi": (0, (b"RIFF",)),
    "bz2": (0, (b"BZh",)),
    "flac": (0, (b"fLaC",)),
    "mj2": (4, (b"jP  ",)),
    "mov": (4, (b"ftyp", b"moov", b"mdat", b"wide", b"free")),
    "mp4": (4, (b"ftyp",)),
    "nwb": (0, (b"\x89HDF\r\n\x1a\n",)),
    "npz": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    "sparse_npz": (0, (b"PK\x03\x04",)),
    "tar": (257, (b"ustar",)),
    "tdms": (0, (b"TDSm", b"TDSh")),
    "tif": (0, (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    "wav": (0, (b"RIFF", b"RF64")),
    "zip": (0, (b"PK\x03\x04", b"PK\x05\x06")),
}
# Files of settings, whose readers need a JSON object.
_ARE_OBJECTS = r"_iblrig_taskSettings\.raw|.*\.wiring\.|.*\.ch$"
_DELIMITERS = {"csv": ",", "ssv": " ", "tsv": "\t", "htsv": "\t"}
# Files that may be empty: only the name of a flag counts, and a log may have no lines.
_MAY_BE_EMPTY = {"flag", "log"}


def header(
    source: bytes | BinaryIO, extension: str, *, size: int | None = None, name: str = ""
) -> Header:
    """Read the header of a file and check that the file is complete.

    Parameters
    ----------
    source : bytes or binary file object
        The file. For an ``npy``, the first bytes are enough if ``size`` is given. A ``pqt`` needs
        a seekable source, because its footer is read. Text formats are read to the end.
    extension : str
        File extension, with or without its dot.
    size : int, optional
        Size of the whole file in bytes, if ``source`` is only its beginning.
    name : str, optional
        Name of the file for messages.

    Returns
    -------
    Header
        Facts about the file; all None for formats without rows.

    Raises
    ------
    FileInvalid
        Empty, truncated or malformed file, wrong first bytes, or an array of Python objects.
    """
    extension = extension.lstrip(".").lower()
    name = name or f"*.{extension}"
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    if size is None:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    if size == 0 and extension not in _MAY_BE_EMPTY:
        _refuse(name, "size", "0", "the file is empty", "copy it again from the rig")
    if extension == "npy":
        return _npy(file, size, name)
    if extension == "pqt":
        return _parquet(file, size, name)
    if extension == "jsonable":
        return _json_lines(file, name)
    if extension in ("json", "ch"):
        _json(file.read(JSON_BYTES + 1), name)
    if extension in _DELIMITERS:
        return _delimited(file, _DELIMITERS[extension], name)
    if extension in ("yml", "yaml"):
        _yaml(file.read(YAML_BYTES + 1), name)
    if extension in _MAGIC:
        _magic(file, extension, name)
    return Header()


def check_rows(headers: Mapping[str, Header]) -> list[RowsInconsistent]:
    """Find the files whose number of rows differs from that of the rest of their object.

    Files of one object and collection with the same first dimension in the table of dataset types
    are columns of one table. So they have the same number of rows, or one row. A one-dimensional
    ``timestamps`` file may instead hold two points (sample, time) of a linear clock; in a header
    without shape, two rows count as such. Files of an object with different extra parts
    (``part00``) are separate tables. Only the latest revision of a file counts.
    Source: ONE convention, "row consistency"; :func:`~shared.alf.dataset_types.dimensions`.

    Parameters
    ----------
    headers : dict of str to Header
        Headers by dataset path, relative to the session; a UUID in a name is ignored.

    Returns
    -------
    list of RowsInconsistent
        One problem for each file that differs from the majority of its object; without a
        majority, one for each of the object's files.

    Raises
    ------
    ALFInvalid
        A path is not valid.
    """
    latest: dict[str, tuple[str, str]] = {}
    for path in headers:
        parsed = parse_dataset_path(without_uuid(path))
        key = parsed.without_revision
        latest[key] = max(latest.get(key, ("", path)), (parsed.revision, path))
    tables: defaultdict[tuple[str, str, str | None, str], dict[str, int]] = defaultdict(dict)
    problems = []
    for key, (_, path) in latest.items():
        parsed, file_header = parse_dataset_path(key), headers[path]
        expected = dimensions(parsed.filename)
        if file_header.rows is None or expected is None:
            continue
        if parsed.attribute.startswith("timestamps") and len(expected) == 1:
            if file_header.shape == (2, 2) or (
                file_header.shape is None and file_header.rows == 2
            ):
                continue
            if file_header.shape and file_header.shape[1:] not in ((), (1,)):
                problems.append(_wrong_timestamps(path, file_header.shape))
                continue
        tables[parsed.collection, parsed.object, parsed.extra, expected[0]][path] = (
            file_header.rows
        )
    for (_, object_name, _, _), rows in tables.items():
        problems += _unequal(object_name, rows)
    return problems


def _unequal(object_name: str, rows: dict[str, int]) -> list[RowsInconsistent]:
    """Return the problems of one object; a file with one row fits any number."""
    counts = Counter(n for n in rows.values() if n != 1)
    if len(counts) < 2:
        return []
    (most, files), (_, others) = counts.most_common(2)
    expected = most if files > others else None
    listed = ", ".join(f"{path.rpartition('/')[2]} {n}" for path, n in sorted(rows.items()))
    return [
        RowsInconsistent(
            path,
            "rows",
            str(n),
            f"the files of object {object_name!r} differ in their number of rows ({listed})",
            f"extract {object_name!r} again"
            + ("" if expected is None else f"; {expected} rows are expected"),
        )
        for path, n in rows.items()
        if n not in (1, expected)
    ]


def _wrong_timestamps(path: str, shape: tuple[int, ...]) -> RowsInconsistent:
    return RowsInconsistent(
        path,
        "shape",
        str(shape),
        "timestamps are one time per row, or two rows of (sample, time)",
        "save a vector, or the first and last sample with their times",
    )


def _refuse(name: str, part: str, text: str, rule: str, fix: str) -> NoReturn:
    raise FileInvalid(name, part, text[:80], rule, fix)


def _npy(file: BinaryIO, size: int, name: str) -> Header:
    import numpy as np
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, EOFError, TypeError) as error:
        fix = "write the array again with numpy.save"
        _refuse(name, "header", str(error), "not the header of an npy file", fix)
    if dtype.hasobject:
        _refuse(
            name,
            "dtype",
            str(dtype),
            "an array of Python objects can run foreign code when loaded",
            "save an array of numbers or fixed-length text, or a table",
        )
    if len(shape) > MOST_DIMENSIONS or not all(_is_length(n) for n in shape):
        fix = "write the array again with numpy.save"
        _refuse(name, "shape", str(shape), "not the dimensions of an array", fix)
    expected = file.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size != expected:
        _refuse(
            name,
            "size",
            str(size),
            f"an array of shape {shape} and type {dtype.str} makes {expected} bytes",
            "copy the file again from the rig, or extract it again",
        )
    columns = tuple(dtype.names) if dtype.names else None
    return Header(shape[0] if shape else 1, shape, dtype.str, columns)


def _parquet(file: BinaryIO, size: int, name: str) -> Header:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        fix = "copy the file again, or extract it again"
        _refuse(name, "footer", str(error), "not a whole Parquet file", fix)
    columns = tuple(c for c in schema.names if not c.startswith("__index_level_"))
    values = metadata.num_rows * max(len(schema.names), 1)
    if not _is_length(metadata.num_rows) or values > TABLE_VALUES + VALUES_A_BYTE * size:
        rule = f"a file of {size} bytes is no table of {metadata.num_rows} rows"
        fix = "write the table again, without what repeats"
        _refuse(name, "rows", str(metadata.num_rows), rule, fix)
    return Header(metadata.num_rows, (metadata.num_rows, len(columns)), None, columns)


def _is_length(n: object) -> bool:
    """Return whether a number of rows can be stored, and read by everybody."""
    return type(n) is int and 0 <= n <= MOST_ROWS


def _json(content: bytes, name: str) -> None:
    try:
        value = read_json(content)
    except ContentRefused as error:
        _refuse(name, "content", str(error), "not JSON", "copy the file again from the rig")
    if not isinstance(value, dict) and re.match(_ARE_OBJECTS, name.rpartition("/")[2]):
        rule = f"{_kind(value)}, where an object of names and values is needed"
        twice = isinstance(value, str) and value.lstrip().startswith("{")
        fix = "save the settings once, not their text" if twice else "save it again as {...}"
        _refuse(name, "content", repr(value), rule, fix)


def _kind(value: object) -> str:
    """Return the kind of a JSON value in words."""
    if value is None:
        return "null"
    kinds = {list: "a list", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")


def _yaml(content: bytes, name: str) -> None:
    try:
        read_yaml(content)
    except ContentRefused as error:
        fix = "correct the file at the place named"
        _refuse(name, "content", str(error), "not YAML", fix)


def _json_lines(file: BinaryIO, name: str) -> Header:
    """Count the values of a jsonable file, one per line.

    A killed rig leaves a torn last line; only the complete lines before it count.
    """
    rows, torn = 0, None
    for i, line in enumerate(_lines(file, name), start=1):
        if not line.strip():
            continue
        if torn is not None:
            break
        try:
            read_json(line)
        except ContentRefused as error:
            torn = (i, error, line[:60])
        else:
            rows += 1
    else:
        if torn is None:
            return Header(rows=rows)
        if rows:
            return Header(rows=rows, notes=(f"the last line is torn: {rows} whole ones count",))
    number, problem, text = torn
    rule = f"line {number} is not JSON: {problem}"
    fix = "copy the file again from the rig; if it is so there, remove that line"
    _refuse(name, f"line {number}", repr(text), rule, fix)


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a file; refuse lines that are too long."""
    while line := file.readline(LINE_BYTES):
        if len(line) == LINE_BYTES and not line.endswith(b"\n"):
            rule = f"a line has more than {LINE_BYTES} bytes"
            _refuse(name, "line", repr(line[:40]), rule, "split the file into lines")
        yield line


def _delimited(file: BinaryIO, delimiter: str, name: str) -> Header:
    """Count the rows of a delimited table.

    As in the ONE client, the first line is a header, unless all its cells are numbers or times:
    logs of rigs (ssv) have no header. Their readers skip rows with other separators or bad bytes.
    """
    if delimiter == " ":
        return _device_log(file)
    import csv  # the API checks names only

    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        lines = csv.reader(text, delimiter=delimiter)
        first = next(lines, [])
        rows = sum(1 for line in lines if line)
    except (csv.Error, UnicodeDecodeError) as error:
        fix = "save the table as UTF-8 text"
        _refuse(name, "content", str(error), "not a text table", fix)
    finally:
        text.detach()
    return _table(first, rows)


def _device_log(file: BinaryIO) -> Header:
    """Count the rows of a text log whose cells are separated by spaces, tabs or commas."""
    lines = _lines(file, "")
    first, rows = next(lines, b"").decode("utf-8-sig", errors="replace"), 0
    for line in lines:
        rows += bool(line.strip())
    return _table([cell for cell in re.split(r"[\s,;]+", first) if cell], rows)


def _table(first: Sequence[str], rows: int) -> Header:
    """Return the header of a table from its first line and the number of rows below it."""
    if first and all(map(_is_value, first)):
        return Header(rows + 1, (rows + 1, len(first)))
    return Header(rows, (rows, len(first)), None, tuple(first))


def _is_value(cell: str) -> bool:
    """Return whether a cell is a number or an instant (ISO 8601), not the name of a column."""
    try:
        float(cell)
    except ValueError:
        return re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", cell.strip()) is not None
    return True


def _magic(file: BinaryIO, extension: str, name: str) -> None:
    offset, accepted = _MAGIC[extension]
    start = file.read(offset + 8)[offset:]
    if not start.startswith(accepted):
        rule = f"a .{extension} file has {accepted[0]!r} at byte {offset}"
        _refuse(name, "header", repr(start), rule, "copy the file again, or correct its extension")
