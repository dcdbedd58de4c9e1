"""What can be compressed: arrays, files of several kinds, iterators and growing files."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.codec import chunk
from shared.codec.errors import CodecError, FormatError

Samples = NDArray[Any]


class Source(Protocol):
    """Samples × channels, read piece by piece."""

    shape: tuple[int, int]
    dtype: np.dtype
    sample_rate: float | None
    facts: dict[str, object]

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`, native and C-contiguous."""
        ...


def as_samples(samples: object, name: str = "the array") -> Samples:
    """Return samples × channels in native byte order, or say what is wrong with them.

    A one-dimensional array is one channel.
    """
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise CodecError(f"{name} has {array.ndim} dimensions; recordings have samples × channels")
    dtype = array.dtype.newbyteorder("=")
    if dtype not in chunk.DTYPE_CODES:
        kinds = ", ".join(each.name for each in chunk.DTYPE_CODES)
        raise CodecError(f"{name} holds {array.dtype}; the codec takes {kinds}")
    if not 1 <= array.shape[1] <= chunk.MAX_CHANNELS:
        raise CodecError(f"{name} has {array.shape[1]} channels; 1 to 65536 are possible")
    return array


@dataclass
class ArraySource:
    """An array in memory."""

    array: Samples
    sample_rate: float | None = None

    def __post_init__(self) -> None:
        self.array = as_samples(self.array)
        self.shape = (int(self.array.shape[0]), int(self.array.shape[1]))
        self.dtype = self.array.dtype.newbyteorder("=")
        self.facts: dict[str, object] = {}

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`, native and C-contiguous."""
        return np.ascontiguousarray(self.array[start:stop], self.dtype)


class FileSource(ArraySource):
    """A file of plain samples, `.npy` or raw, mapped into memory when it is read."""

    def __init__(
        self,
        path: Path,
        n_channels: int | None,
        dtype: np.dtype | str | None,
        sample_rate: float | None,
    ) -> None:
        self.path = path
        self.arguments = (path, n_channels, dtype, sample_rate)
        if path.suffix == ".npy":
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise FormatError(f"{path.name}: {error}") from error
        else:
            n_channels, sample_rate = _from_meta(path, n_channels, sample_rate)
            array = _map_raw(path, n_channels, np.dtype(dtype or "int16"))
        super().__init__(array, sample_rate)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Worker processes open the file themselves."""
        return FileSource, self.arguments


def _map_raw(path: Path, n_channels: int | None, dtype: np.dtype) -> Samples:
    if n_channels is None:
        raise CodecError(f"{path.name}: give n_channels, or put the SpikeGLX .meta file beside it")
    if n_channels < 1:
        raise CodecError(f"{path.name}: {n_channels} channels are impossible")
    size = path.stat().st_size
    if size % (n_channels * dtype.itemsize):
        raise CodecError(
            f"{path.name} has {size} bytes, which is no whole number of samples of {n_channels} "
            f"channels of {dtype.name}"
        )
    if size == 0:
        return np.zeros((0, n_channels), dtype)
    return np.memmap(path, dtype, "r").reshape(-1, n_channels)


def _from_meta(
    path: Path, n_channels: int | None, sample_rate: float | None
) -> tuple[int | None, float | None]:
    """Take what is not given from the SpikeGLX metadata beside a raw file."""
    meta = path.with_suffix(".meta")
    if meta.is_file():
        text = meta.read_text(errors="replace")
        pairs = dict(re.findall(r"^~?(\w+)=(.*?)\s*$", text, re.MULTILINE))
        if n_channels is None and pairs.get("nSavedChans", "").isdigit():
            n_channels = int(pairs["nSavedChans"])
        rate = pairs.get("imSampRate") or pairs.get("niSampRate")
        if sample_rate is None and rate:
            sample_rate = float(rate)
    return n_channels, sample_rate


def open_source(
    source: object,
    n_channels: int | None = None,
    dtype: np.dtype | str | None = None,
    sample_rate: float | None = None,
) -> Source:
    """Return what reads a source: an array, or a path of a kind known by its suffix.

    `.npy`, mtscomp's `.cbin`, Fornix's `.ebin`, and anything else as raw samples.
    """
    if not isinstance(source, str | Path):
        return ArraySource(np.asanyarray(source), sample_rate)
    path = Path(source)
    if not path.is_file():
        raise CodecError(f"{path} is not a file")
    if path.suffix == ".cbin":
        from shared.codec.mtscomp import MtscompSource

        return MtscompSource(path)
    if path.suffix == ".ebin":
        from shared.codec.reader import ReaderSource

        return ReaderSource(path)
    return FileSource(path, n_channels, dtype, sample_rate)


def shares(source: Source) -> bool:
    """Tell whether a source is a file, which another process can open for itself."""
    return type(source) is not ArraySource


def tail(
    path: str | Path,
    n_channels: int,
    dtype: np.dtype | str = "int16",
    *,
    finished: Callable[[], bool] | None = None,
    idle: float = 10.0,
    poll: float = 0.2,
) -> Iterator[Samples]:
    """Follow a raw file while another program writes it.

    Parameters
    ----------
    path : path
        The growing file; it may not exist yet.
    n_channels : int
    dtype : data type
    finished : callable, optional
        Tells that the writer is done; what is there then is read to its end. By default the
        writer is done when nothing was added for `idle` seconds.
    idle, poll : float
        In seconds.

    Yields
    ------
    array, shape (samples, channels)
        At most about 8 MB at a time.

    Raises
    ------
    CodecError
        If the file shrinks while it is followed, or ends within a sample.
    """
    path, dtype = Path(path), np.dtype(dtype)
    row = n_channels * dtype.itemsize
    most = max(1, (1 << 23) // row)
    position, last_growth = 0, time.monotonic()
    while True:
        done = finished() if finished else time.monotonic() - last_growth > idle
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            raise CodecError(f"{path.name} became shorter while it was followed")
        while size - position >= row:
            rows = min(most, (size - position) // row)
            block = np.fromfile(path, dtype, rows * n_channels, offset=position)
            position += block.nbytes
            last_growth = time.monotonic()
            yield block.reshape(-1, n_channels)
        if done:
            if path.exists() and path.stat().st_size != position:
                raise CodecError(f"{path.name} ends within a sample")
            return
        time.sleep(poll)


def blocks_of(source: Iterable[object], name: str = "a block") -> Iterator[Samples]:
    """Check the blocks of an iterator one by one."""
    for block in source:
        yield as_samples(block, name)


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object."""
    try:
        data = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise FormatError(f"{path.name} does not hold a JSON object")
    return data
