"""The format of the IBL's mtscomp: `.cbin` data with a `.ch` JSON header.

Reads every pair that mtscomp 1.0 writes, and writes pairs that mtscomp and the IBL's readers
decode bit for bit. A chunk is one zlib stream of the differences along time (and, if the header
says so, along channels), in Fortran or C order.

A chunk's only checksum is zlib's Adler-32, which lets some damage pass. The header's SHA-1 of all
samples finds that, too: `verify` compares it.
"""

import hashlib
import json
import math
import zlib
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shared.codec import chunk, container, decoder
from shared.codec.container import Index
from shared.codec.errors import CodecError, CorruptionError, FormatError, TruncationError
from shared.codec.files import replacing
from shared.codec.parallel import run_jobs
from shared.codec.predict import transpose_into
from shared.codec.reader import LocalFile, Reader, ReaderSource
from shared.codec.source import Samples, Source, open_source, shares
from shared.codec.writer import Progress

try:  # faster than zlib, and the same format
    from isal import isal_zlib
except ImportError:  # pragma: no cover - isal has no wheel everywhere
    isal_zlib = None  # type: ignore[assignment]

#: Bytes of the source summed up at a time: little enough to be still in memory.
SUM_BYTES = 1 << 22
#: Chunks of less than this last several seconds: each costs time of its own.
MIN_CHUNK_BYTES = 1 << 16
#: The `.ch` version this module knows, the only one there is.
VERSION = "1.0"


def _decompressor() -> Any:
    return (isal_zlib or zlib).decompressobj()


def inflate(data: bytes | memoryview, size: int, name: str, number: int) -> bytes:
    """Decode a zlib stream that must hold exactly `size` bytes, and never allocate more."""
    try:
        stream = _decompressor()
        content: bytes = stream.decompress(data, size + 1)
    except Exception as error:  # zlib and isal each have their own
        raise CorruptionError(
            f"{name}: chunk {number} does not inflate: {error}", (number,)
        ) from (error)
    if len(content) != size or not stream.eof:
        raise CorruptionError(
            f"{name}: chunk {number} does not hold the {size} bytes expected", (number,)
        )
    return content


class MtscompReader(Reader):
    """A `.cbin` recording as an array, like `Reader`."""

    def __init__(
        self, source: Any, index: Index, header: dict[str, Any], options: dict[str, Any]
    ) -> None:
        super().__init__(source, index, **options)
        self.header = header

    def _open_chunk(
        self, data: bytes | memoryview, number: int, window: tuple[int, int] | None
    ) -> "DeflatedChunk":
        length = self.index.bounds[number + 1] - self.index.bounds[number]
        shape = (length, self.shape[1])
        return DeflatedChunk(
            data, shape, self.dtype, self.header, self.source.name, number, window
        )


@dataclass
class DeflatedChunk:
    """A chunk of a `.cbin` file, to be inflated and restored."""

    data: bytes | memoryview
    shape: tuple[int, int]
    dtype: np.dtype
    header: dict[str, Any]
    name: str
    number: int
    window: tuple[int, int] | None
    coming: Future[bytes] | None = None

    def inflate_by(self, submit: decoder.Submit) -> None:
        """Have another thread inflate the chunk: it is one stream."""
        self.coming = submit(self._inflated)

    def _inflated(self) -> bytes:
        size = math.prod(self.shape) * self.dtype.itemsize
        return inflate(self.data, size, self.name, self.number)

    def restore(self, scratch: bool = False, out: Samples | None = None) -> Samples:
        """Return the samples of the window."""
        theirs = self.coming is not None and not self.coming.cancel()
        content = self.coming.result() if self.coming and theirs else self._inflated()
        samples = restore(content, *self.shape, self.dtype, self.header)
        samples = samples[slice(*self.window)] if self.window else samples
        if out is None:
            return samples
        out[:] = samples
        return out


def restore(
    content: bytes, length: int, channels: int, dtype: np.dtype, header: dict[str, Any]
) -> Samples:
    """Undo the differences: along channels first, then along time, in the samples' own type."""
    stored = np.frombuffer(content, dtype.newbyteorder("<"))
    if header["chunk_order"] == "F":
        rows = stored.reshape(channels, length).astype(dtype)
        if header["do_spatial_diff"]:
            np.cumsum(rows, axis=0, dtype=dtype, out=rows)
        if header["do_time_diff"]:
            np.cumsum(rows, axis=1, dtype=dtype, out=rows)
        samples = np.empty((length, channels), dtype)
        transpose_into(rows, samples)
        return samples
    samples = stored.reshape(length, channels).astype(dtype)
    if header["do_spatial_diff"]:
        np.cumsum(samples, axis=1, dtype=dtype, out=samples)
    if header["do_time_diff"]:
        np.cumsum(samples, axis=0, dtype=dtype, out=samples)
    return samples


def read_header(data: bytes, name: str) -> tuple[Index, dict[str, Any]]:
    """Read a `.ch` file.

    Raises
    ------
    FormatError
        If it is not one, or contradicts itself.
    """
    try:
        header = json.loads(data)
        if header.get("version", VERSION) != VERSION or header.get("algorithm", "zlib") != "zlib":
            raise FormatError(
                f"{name} has version {header.get('version')!r} and algorithm "
                f"{header.get('algorithm')!r}; known are {VERSION} and 'zlib'"
            )
        dtype = np.dtype(str(header["dtype"]))
        bounds = [int(each) for each in header["chunk_bounds"]]
        offsets = [int(each) for each in header["chunk_offsets"]]
        channels, rate = int(header["n_channels"]), float(header["sample_rate"])
        options = {
            "chunk_order": str(header.get("chunk_order", "F")),
            "do_time_diff": bool(header.get("do_time_diff", True)),
            "do_spatial_diff": bool(header.get("do_spatial_diff", False)),
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(f"{name} is not an mtscomp header: {error}") from error
    row = channels * dtype.itemsize
    sound = (
        dtype.kind in "iuf"
        and 1 <= channels <= chunk.MAX_CHANNELS
        and len(bounds) == len(offsets) >= 1
        and bounds[0] == 0
        and offsets[0] == 0
        and all(0 < b - a <= chunk.MAX_CHUNK_BYTES // row for a, b in pairwise(bounds))
        and all(b > a for a, b in pairwise(offsets))
        and options["chunk_order"] in ("F", "C")
    )
    if not sound:
        raise FormatError(f"{name} contradicts itself")
    count = len(bounds) - 1
    facts = {key: header[key] for key in ("sha1_uncompressed",) if key in header}
    return Index(channels, rate, dtype, bounds, offsets, [0] * count, [0] * count, facts), options


def find_header(path: Path) -> Path:
    """Return the `.ch` beside a `.cbin`: of its name, or the only one of its stem.

    Downloaded files may have a dataset's UUID in their name, each its own, and names cut by
    `.stream`; then the stem before these must agree.
    """
    beside = path.with_suffix(".ch")
    if beside.is_file():
        return beside
    stem = _bare(path)
    matches = [each for each in path.parent.glob("*.ch") if _bare(each) == stem]
    if len(matches) == 1:
        return matches[0]
    raise CodecError(f"{path.name}: there is no header {beside.name} beside it; name it")


def _bare(path: Path) -> str:
    parts = path.name.split(".")[:-1]
    return ".".join(part for part in parts if part != "stream" and not _is_uuid(part))


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]


def open_pair(source: Any, sidecar: str | Path | None, options: dict[str, Any]) -> MtscompReader:
    """Open a `.cbin` file with its header."""
    from shared.codec import remote

    if sidecar is None:
        if not isinstance(source, LocalFile):
            raise CodecError(f"{source.name}: give the address of its .ch header as sidecar")
        sidecar = find_header(source.path)
    name = Path(str(sidecar).split("?")[0]).name
    index, header = read_header(remote.read_small(sidecar), name)
    if isinstance(source, LocalFile) and source.size() != index.offsets[-1]:
        raise TruncationError(
            f"{source.name} has {source.size()} bytes, and {name} says {index.offsets[-1]}: "
            "the file is cut short, or the header belongs to another"
        )
    return MtscompReader(source, index, header, options)


class MtscompSource(ReaderSource):
    """A `.cbin` recording as the source of another."""


class Deflating:
    """Makes any chunk of a `.cbin` file."""

    def __init__(self, source: Source, chunk_length: int, method: str, check: bool) -> None:
        self.source, self.chunk_length = source, chunk_length
        self.method, self.check = method, check

    def lead(self, number: int) -> None:
        """Return nothing: chunks share nothing."""

    def __call__(self, number: int, shared: None) -> container.Stored:
        """Return chunk `number`; the format has no checksums of chunks."""
        start = number * self.chunk_length
        samples = self.source.read(start, min(start + self.chunk_length, self.source.shape[0]))
        length, channels = samples.shape
        rows = np.empty((channels, length), samples.dtype)
        transpose_into(samples, rows)
        differences = np.empty_like(rows)
        differences[:, 0] = rows[:, 0]
        np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
        little = differences.astype(samples.dtype.newbyteorder("<"), copy=False)
        data = _deflate(little, self.method)
        if self.check:
            header = {"chunk_order": "F", "do_time_diff": True, "do_spatial_diff": False}
            content = inflate(data, samples.nbytes, "the chunk just written", number)
            again = restore(content, length, channels, samples.dtype, header)
            if not np.array_equal(again, samples):
                raise CodecError(f"chunk {number} does not decode to what was given")
        return container.Stored((data,), len(data), length, 0, 0)


def _deflate(data: Any, method: str) -> bytes:
    """Compress to a zlib stream: fast by ISA-L, small by zlib-ng, or plainly by zlib."""
    buffer = memoryview(data).cast("B") if not isinstance(data, bytes) else data
    if method == "fast":
        return bytes(isal_zlib.compress(buffer, 2) if isal_zlib else zlib.compress(buffer, 1))
    if method == "small":
        try:
            from zlib_ng import zlib_ng

            return bytes(zlib_ng.compress(buffer, 6))
        except ImportError:
            return zlib.compress(buffer, 6)
    if method == "zlib":
        return zlib.compress(buffer)
    raise CodecError(f"there is no method {method!r}; choose from fast, small, zlib")


def compress(
    source: object,
    target: str | Path,
    *,
    sample_rate: float | None = None,
    n_channels: int | None = None,
    dtype: np.dtype | str | None = None,
    method: str = "fast",
    workers: int = 1,
    check: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a `.cbin`/`.ch` pair that mtscomp decodes bit for bit.

    Parameters
    ----------
    source : array or path
        As for `shared.codec.compress`.
    target : path
        The `.cbin` file.
    sample_rate, n_channels, dtype
        As for `shared.codec.compress`.
    method : {'fast', 'small', 'zlib'}
        ISA-L, zlib-ng (smaller than mtscomp's own files, slower), or zlib as mtscomp uses it, to
        write the bytes that it writes. Chunks of little data last several seconds but for "zlib".
    workers : int
    check : bool
        Whether to decode every chunk before it counts as written.
    overwrite : bool
    progress : callable, optional

    Returns
    -------
    Path
        Of the `.ch` header.
    """
    target = Path(target)
    header_path = target.with_suffix(".ch")
    for each in (target, header_path):
        if each.exists() and not overwrite:
            raise CodecError(f"{each} exists; allow overwriting, or choose another name")
    opened = open_source(source, n_channels, dtype, sample_rate)
    rate = sample_rate or opened.sample_rate
    if rate is None:
        raise CodecError("give the sample rate: the source does not tell")
    total, channels = opened.shape
    if total == 0:
        raise CodecError("mtscomp files cannot be empty")
    length = max(1, round(rate))
    if method != "zlib":
        length *= max(1, MIN_CHUNK_BYTES // (length * channels * opened.dtype.itemsize))
    bounds = [*range(0, total, length), total]
    raw_sum, sum_ = hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    offsets, summed = [0], 0
    job = Deflating(opened, length, method, check)
    with replacing(target) as file:
        row = channels * opened.dtype.itemsize
        for stored in run_jobs(job, len(bounds) - 1, workers, shares(opened), (file, 0)):
            file.seek(offsets[-1])
            sum_.update(file.read(stored.size))
            offsets.append(offsets[-1] + stored.size)
            done = bounds[len(offsets) - 1]
            if (done - summed) * row >= SUM_BYTES or done == total:
                raw_sum.update(container.raw_bytes(opened.read(summed, done)))
                summed = done
            if progress:
                progress(done, total)
    header = {
        "version": VERSION,
        "algorithm": "zlib",
        "comp_level": -1,
        "do_time_diff": True,
        "do_spatial_diff": False,
        "dtype": opened.dtype.name,
        "n_channels": channels,
        "sample_rate": float(rate),
        "chunk_bounds": bounds,
        "chunk_offsets": offsets,
        "chunk_order": "F",
        "sha1_compressed": sum_.hexdigest(),
        "sha1_uncompressed": raw_sum.hexdigest(),
        "shape": [total, channels],
    }
    with replacing(header_path) as file:
        file.write(json.dumps(header).encode())
    return header_path


__all__ = ["MtscompReader", "compress", "open_pair", "read_header"]
