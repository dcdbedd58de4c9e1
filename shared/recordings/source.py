"""Sources for compression: the protocol, arrays in memory, plain files and growing ones."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared.codec.chunk import Samples, as_samples
from shared.codec.errors import CodecError, FormatError
from shared.recordings import spikeglx


class SampleSource(Protocol):
    """Samples × channels, read piece by piece.

    `facts` are copied to the sidecar. `sha1` is the expected digest of the samples, if known.
    `shareable` means that another process can open the source itself.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    sample_rate: float | None
    facts: dict[str, object]
    sha1: str | None
    shareable: bool

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`, native and C-contiguous."""
        ...


def rate_of(source: SampleSource) -> float:
    """Return the sample rate of a source."""
    if source.sample_rate is None:
        raise CodecError("give the sample rate: the source does not tell")
    return source.sample_rate


class ArraySource:
    """An array in memory."""

    shareable = False
    sha1: str | None = None

    def __init__(self, array: object, sample_rate: float | None = None) -> None:
        self.array = as_samples(array)
        self.sample_rate = sample_rate
        self.shape = (int(self.array.shape[0]), int(self.array.shape[1]))
        self.dtype = self.array.dtype.newbyteorder("=")
        self.facts: dict[str, object] = {}

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`, native and C-contiguous."""
        return np.ascontiguousarray(self.array[start:stop], self.dtype)


class FileSource(ArraySource):
    """A file of plain samples, `.npy` or raw, mapped into memory.

    A raw file without a SpikeGLX `.meta` beside it needs the number of channels and the rate.
    `trim` drops bytes after the last whole sample, and accepts a file shorter than its `.meta`
    says.
    """

    shareable = True

    def __init__(
        self,
        path: Path,
        n_channels: int | None = None,
        dtype: np.dtype[Any] | str | None = None,
        sample_rate: float | None = None,
        trim: bool = False,
    ) -> None:
        self.arguments = (path, n_channels, dtype, sample_rate, trim)
        facts: dict[str, object] = {}
        if path.suffix == ".npy":
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise FormatError(
                    f"{path.name}: {error}. It may be cut short: copy it again"
                ) from error
        else:
            meta = spikeglx.read_meta(path)
            if meta is not None:
                n_channels = n_channels or meta.n_channels
                sample_rate = sample_rate or meta.sample_rate
                facts = meta.facts(n_channels)
                if not trim:
                    meta.check_size(path)
                    self.sha1 = meta.sha1
            array = _map_raw(path, n_channels, np.dtype(dtype or "int16"), trim)
        super().__init__(array, sample_rate)
        self.facts = facts

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Worker processes open the file themselves."""
        return FileSource, self.arguments


def _map_raw(path: Path, n_channels: int | None, dtype: np.dtype[Any], trim: bool) -> Samples:
    if n_channels is None:
        raise CodecError(f"{path.name}: give n_channels, or put the SpikeGLX .meta file beside it")
    if n_channels < 1:
        raise CodecError(f"{path.name}: {n_channels} channels are impossible")
    size, row_bytes = path.stat().st_size, n_channels * dtype.itemsize
    if size % row_bytes and not trim:
        raise CodecError(
            f"{path.name} has {size} bytes, which is no whole number of samples of {n_channels} "
            f"channels of {dtype.name}. If it was cut short, --trim (trim=True) leaves out the "
            f"last {size % row_bytes} bytes"
        )
    if size < row_bytes:
        return np.zeros((0, n_channels), dtype)
    return np.memmap(path, dtype, "r", shape=(size // row_bytes, n_channels))


def tail(
    path: str | Path,
    n_channels: int,
    dtype: np.dtype[Any] | str = "int16",
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
        Returns whether the writer is done; the rest of the file is then read. By default, the
        writer is done if the file has not grown for `idle` seconds.
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
    row_bytes = n_channels * dtype.itemsize
    most = max(1, (1 << 23) // row_bytes)
    position, last_growth = 0, time.monotonic()
    while True:
        done = finished() if finished else time.monotonic() - last_growth > idle
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            raise CodecError(f"{path.name} became shorter while it was followed")
        while size - position >= row_bytes:
            rows = min(most, (size - position) // row_bytes)
            block = np.fromfile(path, dtype, rows * n_channels, offset=position)
            position += block.nbytes
            last_growth = time.monotonic()
            yield block.reshape(-1, n_channels)
        if done:
            if path.exists() and path.stat().st_size != position:
                raise CodecError(f"{path.name} ends within a sample")
            return
        time.sleep(poll)
