"""The format of the IBL's mtscomp: `.cbin` data with a `.ch` JSON header.

This module reads every pair that mtscomp writes, from the beta 0.1.0b1 on, and writes pairs that
mtscomp and the IBL's readers decode bit for bit. A chunk is one zlib stream of the differences
along time (and, if the header says so, along channels), in Fortran or C order.

A chunk's only checksum is zlib's Adler-32, which lets some damage pass. The header's SHA-1 of all
samples finds that, too: `verify` compares it.
"""

import hashlib
import json
import math
import zlib
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.codec.chunk import MAX_CHANNELS, MAX_CHUNK_BYTES, Samples, Sealed, raw_bytes
from shared.codec.decoder import Window, take
from shared.codec.errors import CodecError, CorruptionError, FormatError, TruncationError
from shared.codec.files import LocalFile, Progress, refuse_existing, replacing
from shared.codec.index import RecordingIndex, chunk_bounds
from shared.codec.predict import transpose_into
from shared.codec.reader import Reader
from shared.model.identity import is_uuid
from shared.recordings import remote
from shared.recordings.parallel import OrderedJob, run_jobs
from shared.recordings.source import SampleSource, rate_of

try:  # faster than zlib, and the same format
    from isal import isal_zlib
except ImportError:  # pragma: no cover - isal has no wheel everywhere
    isal_zlib = None  # type: ignore[assignment]

#: Bytes of the source that are hashed at a time, few enough to be still in memory.
SUM_BYTES = 1 << 22
#: Least bytes of a chunk; smaller ones last several seconds instead, as each chunk costs time.
MIN_CHUNK_BYTES = 1 << 16
#: The written `.ch` version, and that of the beta 0.1.0b1, which is equivalent.
VERSION, KNOWN_VERSIONS = "1.0", ("1.0", "0.0")
#: Exceptions from reading an invalid header.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def inflate(data: bytes | memoryview, size: int, name: str, number: int) -> bytes:
    """Decode a zlib stream of exactly `size` bytes; never allocate more."""
    try:
        stream = (isal_zlib or zlib).decompressobj()
        content: bytes = stream.decompress(data, size + 1)
    except Exception as error:  # zlib and isal have different exceptions
        problem = f"{name}: chunk {number} does not inflate: {error}"
        raise CorruptionError(problem, (number,)) from error
    if len(content) != size or not stream.eof:
        problem = f"{name}: chunk {number} does not hold the {size} bytes expected"
        raise CorruptionError(problem, (number,))
    return content


class Deflation(NamedTuple):
    """Conversion of a chunk's samples to the deflated bytes."""

    order: str = "F"
    in_time: bool = True
    in_space: bool = False


class MtscompReader(Reader):
    """A `.cbin` recording as an array, like `Reader`."""

    def __init__(
        self, source: Any, index: RecordingIndex, deflation: Deflation, **options: Any
    ) -> None:
        super().__init__(source, index, **options)
        self.deflation = deflation

    def _open_chunk(self, data: bytes | memoryview, number: int) -> "DeflatedChunk":
        shape = self.index.entry(number).length, self.shape[1]
        return DeflatedChunk(data, shape, self.dtype, self.deflation, self.source.name, number)


@dataclass(frozen=True)
class DeflatedChunk:
    """A chunk of a `.cbin` file, inflated and restored on demand."""

    data: bytes | memoryview
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    deflation: Deflation
    name: str
    number: int

    def restore(
        self, window: Window | None = None, *, out: Samples | None = None, threads: int = 1
    ) -> Samples:
        """Return the samples of a window; all are inflated for it."""
        size = math.prod(self.shape) * self.dtype.itemsize
        content = inflate(self.data, size, self.name, self.number)
        samples = restore(content, self.shape, self.dtype, self.deflation)
        return take(samples, window or Window(0, len(samples)), out)


def restore(
    content: bytes, shape: tuple[int, int], dtype: np.dtype[Any], deflation: Deflation
) -> Samples:
    """Undo the differences: along channels first, then along time, in the samples' own type."""
    fortran = deflation.order == "F"
    stored = np.frombuffer(content, dtype.newbyteorder("<"))
    values = stored.reshape(shape[::-1] if fortran else shape).astype(dtype)
    if deflation.in_space:
        np.cumsum(values, axis=0 if fortran else 1, dtype=dtype, out=values)
    if deflation.in_time:
        np.cumsum(values, axis=1 if fortran else 0, dtype=dtype, out=values)
    if not fortran:
        return values
    samples = np.empty(shape, dtype)
    transpose_into(values, samples)
    return samples


def read_header(data: bytes, name: str) -> tuple[RecordingIndex, Deflation]:
    """Read a `.ch` file, and raise `FormatError` if it is none, or contradicts itself."""
    try:
        header = json.loads(data)
        version, algorithm = header.get("version", VERSION), header.get("algorithm", "zlib")
        if version not in KNOWN_VERSIONS or algorithm != "zlib":
            raise FormatError(
                f"{name} has version {version!r} and algorithm {algorithm!r}; known are "
                f"{' and '.join(KNOWN_VERSIONS)}, and 'zlib'"
            )
        dtype = np.dtype(str(header["dtype"]))
        bounds = [int(number) for number in header["chunk_bounds"]]
        offsets = [int(number) for number in header["chunk_offsets"]]
        channels, rate = int(header["n_channels"]), float(header["sample_rate"])
        # Before August 2019, the order could not be chosen; it was that of the samples in memory.
        order = str(header.get("chunk_order", "C"))
        in_time = bool(header.get("do_time_diff", True))
        deflation = Deflation(order, in_time, bool(header.get("do_spatial_diff", False)))
    except UNREADABLE as error:
        raise FormatError(f"{name} is not an mtscomp header: {error}") from error
    row = channels * dtype.itemsize
    sound = (
        dtype.kind in "iuf"
        and 1 <= channels <= MAX_CHANNELS
        and len(bounds) == len(offsets) >= 1
        and bounds[0] == 0
        and offsets[0] == 0
        and all(0 < b - a <= MAX_CHUNK_BYTES // row for a, b in pairwise(bounds))
        and all(b > a for a, b in pairwise(offsets))
        and deflation.order in ("F", "C")
    )
    if not sound:
        raise FormatError(f"{name} contradicts itself")
    if not 0 < rate < 1e12:
        raise FormatError(
            f"{name} gives a sample rate of {rate:g} Hz: put the right one in its place"
        )
    facts = {key: header[key] for key in ("sha1_uncompressed",) if key in header}
    length = bounds[1] if len(bounds) > 1 else 1
    return RecordingIndex(channels, rate, dtype, length, bounds, offsets, [], facts), deflation


def find_header(path: Path) -> Path:
    """Return the `.ch` beside a `.cbin`: of its name, or the only one of its stem.

    Downloaded files may have different UUIDs of datasets in their names, or `.stream` at the end
    of the name; then the stem before these must agree.
    """
    beside = path.with_suffix(".ch")
    if beside.is_file():
        return beside
    stem = _bare(path)
    matches = [header for header in path.parent.glob("*.ch") if _bare(header) == stem]
    if len(matches) == 1:
        return matches[0]
    raise CodecError(f"{path.name}: there is no header {beside.name} beside it; name it")


def _bare(path: Path) -> str:
    parts = path.name.split(".")[:-1]
    return ".".join(part for part in parts if part != "stream" and not is_uuid(part.lower()))


def open_pair(
    source: Any, sidecar: str | Path | None, options: dict[str, Any], torn: bool = False
) -> MtscompReader:
    """Open a `.cbin` file with its header; open a torn file only if that is allowed."""
    if sidecar is None:
        if not isinstance(source, LocalFile):
            raise CodecError(f"{source.name}: give the address of its .ch header as sidecar")
        sidecar = find_header(source.path)
    name = remote.name_of(sidecar)
    index, deflation = read_header(remote.read_small(sidecar), name)
    if isinstance(source, LocalFile) and source.size() != index.offsets[-1] and not torn:
        raise TruncationError(
            f"{source.name} has {source.size()} bytes, and {name} says {index.offsets[-1]}: "
            "the file is cut short, or the header belongs to another. What is whole of it can be "
            "restored: `fornix codec decompress --salvage`"
        )
    return MtscompReader(source, index, deflation, **options)


class Deflating(OrderedJob):
    """Makes the chunks of a `.cbin` file, in any order."""

    def __init__(self, source: SampleSource, chunk_length: int, method: str, check: bool) -> None:
        self.source, self.chunk_length = source, chunk_length
        self.method, self.check = method, check

    def __call__(self, number: int, shared: None) -> Sealed:
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
            content = inflate(data, samples.nbytes, "the chunk just written", number)
            again = restore(content, samples.shape, samples.dtype, Deflation())
            if not np.array_equal(again, samples):
                raise CodecError(f"chunk {number} does not decode to what was given")
        return Sealed((data,), len(data), length, 0)


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
    source: SampleSource,
    target: str | Path,
    *,
    sample_rate: float | None = None,
    method: str = "fast",
    workers: int = 1,
    check: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a `.cbin`/`.ch` pair that mtscomp decodes bit for bit.

    Parameters
    ----------
    source : SampleSource
        See `shared.recordings.open_source`.
    target : path
        The `.cbin` file.
    sample_rate : float, optional
        In Hz; needed unless the source knows it.
    method : {'fast', 'small', 'zlib'}
        ISA-L, zlib-ng (smaller than mtscomp's files, slower), or zlib, which writes the same bytes
        as mtscomp. Small chunks last several seconds, except with "zlib".
    workers : int
    check : bool
        Whether to decode every chunk before it counts as written.
    overwrite : bool
    progress : callable, optional

    Returns
    -------
    Path
        Path of the `.ch` header.
    """
    target = Path(target)
    header_path = target.with_suffix(".ch")
    refuse_existing(target, header_path, overwrite=overwrite)
    rate = sample_rate or rate_of(source)
    total, channels = source.shape
    if total == 0:
        raise CodecError("mtscomp files cannot be empty")
    row = channels * source.dtype.itemsize
    length = max(1, round(rate))
    if method != "zlib":
        length *= max(1, MIN_CHUNK_BYTES // (length * row))
    bounds = chunk_bounds(total, length)
    raw_sum, sum_ = hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    offsets, summed = [0], 0
    job = Deflating(source, length, method, check)
    with (
        replacing(target, overwrite, durable=False) as file,
        closing(run_jobs(job, len(bounds) - 1, workers, source.shareable, (file, 0))) as results,
    ):
        for sealed in results:
            file.seek(offsets[-1])
            sum_.update(file.read(sealed.size))
            offsets.append(offsets[-1] + sealed.size)
            done = bounds[len(offsets) - 1]
            if (done - summed) * row >= SUM_BYTES or done == total:
                raw_sum.update(raw_bytes(source.read(summed, done)))
                summed = done
            if progress:
                progress(done, total)
        if source.sha1 not in (None, raw_sum.hexdigest()):
            raise CorruptionError("the samples have another SHA-1 than their .meta says")
    header = {
        "version": VERSION,
        "algorithm": "zlib",
        "comp_level": -1,
        "do_time_diff": True,
        "do_spatial_diff": False,
        "dtype": source.dtype.name,
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
