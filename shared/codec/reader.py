"""Reading recordings: an array-like over local files and HTTP addresses."""

import os
import threading
import weakref
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.codec.chunk import Samples
from shared.codec.decoder import Window
from shared.codec.fetching import ChunkFetcher
from shared.codec.index import Readable, RecordingIndex
from shared.codec.opened import open_chunk
from shared.codec.slicing import inside, positions, two_axes

#: Most bytes of decoded chunks in the cache: a few seconds of a Neuropixels probe.
CACHE_BYTES = 96 << 20
#: Chunks of fewer stored bytes are inflated faster than other threads wake up.
WORTH_THREADS = 1 << 20
#: Most partly decoded chunks whose numbers are remembered, and most of them whose stored bytes
#: are kept, because the rest of a chunk is likely to be read next.
MEMORY, KEPT_STORED = 256, 2


class Restorable(Protocol):
    """A chunk that has been read and checked."""

    def restore(
        self, window: Window | None = None, *, out: Samples | None = None, threads: int = 1
    ) -> Samples:
        """Return the samples of a window."""
        ...


class ChunkPart(NamedTuple):
    """The wanted samples of one chunk, counted within it, and their destination."""

    number: int
    start: int
    stop: int
    out: Samples


class Reader:
    """A recording as an array of samples × channels, decoded chunk by chunk when it is read.

    Indexing follows numpy for the first two axes: integers, slices with any step, lists, index
    and mask arrays; lists on both axes select the outer product. For a few channels, only the
    parts they need are decoded. `shared.recordings.open` makes readers. They can be pickled, and
    used after a fork.

    Attributes
    ----------
    shape : tuple of int
        Samples × channels: also `n_samples` and `n_channels`; `size` is their product.
    dtype : numpy.dtype
    sample_rate, duration : float
        In Hz, and in seconds.
    nbytes : int
        Size of the uncompressed samples.
    index : RecordingIndex
    n_chunks : int
    chunk_bounds : list of int
        First sample of each chunk, and the number of samples.
    chunk_offsets : list of int
        Position of each chunk in the file, and the end of the last one.
    """

    ndim = 2

    def __init__(
        self,
        source: Readable,
        index: RecordingIndex,
        *,
        threads: int = 1,
        read_ahead: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.source, self.index = source, index
        self.shape, self.dtype, self.sample_rate = index.shape, index.dtype, index.sample_rate
        self.size = self.shape[0] * self.shape[1]
        self.nbytes = self.size * self.dtype.itemsize
        # The same attributes as mtscomp's readers.
        self.n_samples, self.n_channels = self.shape
        self.n_chunks, self.duration = index.n_chunks, self.n_samples / self.sample_rate
        self.chunk_bounds, self.chunk_offsets = index.bounds, index.offsets
        #: Opens the same recording again, in another process.
        self.reopen: Callable[[], Reader] | None = None
        self._threads = max(1, threads)
        self._read_ahead = read_ahead
        self._cache_bytes = cache_bytes
        self._start_again()
        OPEN_READERS.add(self)

    def _start_again(self) -> None:
        """Reset everything but the source, as a forked process must: threads are not copied."""
        self._cache: OrderedDict[int, Samples] = OrderedDict()
        self._parted: OrderedDict[int, int] = OrderedDict()
        self._opened: OrderedDict[int, Restorable] = OrderedDict()
        self._lock = threading.RLock()
        self._fetcher = ChunkFetcher(self.source, self.index, self._read_ahead, self._held)

    def _held(self) -> set[int]:
        """Return the chunks that need not be fetched."""
        with self._lock:
            return {*self._cache, *self._opened}

    def start_again(self) -> None:
        """Reset everything that a fork does not copy soundly."""
        self._start_again()
        renew = getattr(self.source, "start_again", None)
        if renew is not None:
            renew()

    def __reduce__(self) -> tuple[Callable[[], "Reader"], tuple[()]]:
        if self.reopen is None:
            raise TypeError("only a reader made by shared.recordings.open can be pickled")
        return self.reopen, ()

    @property
    def cmeta(self) -> dict[str, Any]:
        """The header in mtscomp's form, as far as the formats agree."""
        named = ("n_channels", "sample_rate", "shape", "chunk_bounds", "chunk_offsets")
        shared = {name: getattr(self, name) for name in named}
        return shared | {"dtype": self.dtype.name} | self.index.facts

    @property
    def sha1(self) -> str | None:
        """SHA-1 of all samples, if it was recorded."""
        digest = self.index.facts.get("sha1_uncompressed")
        return digest if isinstance(digest, str) else None

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"<{self.source.name}: {self.shape[0]} × {self.shape[1]} {self.dtype.name}, "
            f"{self.duration:.3f} s at {self.sample_rate:g} Hz>"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Samples:
        if copy is False:
            raise ValueError("a compressed recording cannot become an array without a copy")
        samples = self.read(0, self.shape[0])
        return samples if dtype is None else samples.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        rows, columns = two_axes(key)
        if isinstance(columns, int | np.integer):
            column = inside(int(columns), self.shape[1], 1)
            return self._rows(rows, np.array([column]))[..., 0]
        if isinstance(columns, slice) and columns == slice(None):
            return self._rows(rows, None)
        return self._rows(rows, positions(columns, self.shape[1], 1))

    def _rows(self, rows: Any, columns: NDArray[np.int64] | None) -> Any:
        """Return the samples that the first axis selects, of some channels."""
        if isinstance(rows, slice):
            chosen = range(*rows.indices(self.shape[0]))
            if chosen.step == 1 or len(chosen) == 0:
                start, stop = (chosen.start, chosen.stop) if len(chosen) else (0, 0)
                return self.read(start, stop, channels=columns)
            return self._pick(np.arange(chosen.start, chosen.stop, chosen.step), columns)
        if isinstance(rows, int | np.integer):
            number = inside(int(rows), self.shape[0], 0)
            return self.read(number, number + 1, channels=columns)[0]
        return self._pick(positions(rows, self.shape[0], 0), columns)

    def _pick(self, rows: NDArray[np.int64], columns: NDArray[np.int64] | None) -> Samples:
        """Return single samples, in any order."""
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        numbers = np.searchsorted(self.index.bounds, rows, "right") - 1
        for number in np.unique(numbers).tolist():
            mine = numbers == number
            out[mine] = self.chunk(number)[rows[mine] - self.index.bounds[number]]
        return out if columns is None else out[:, columns]

    def read(
        self,
        start: int,
        stop: int,
        *,
        channels: NDArray[np.int64] | None = None,
        out: Samples | None = None,
    ) -> Samples:
        """Return samples `start` to `stop`.

        Parameters
        ----------
        start, stop : int
            In samples; must lie within the recording.
        channels : array of int, optional
            Positions of the wanted channels, in any order; by default all.
        out : array, shape (stop - start, channels wanted), optional
            Receives the samples.

        Returns
        -------
        array, shape (stop - start, channels wanted)

        Raises
        ------
        CorruptionError
            With the number of the damaged chunk; wrong samples are never returned.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise IndexError(f"samples {start} to {stop} of {self.shape[0]}")
        width = self.shape[1] if channels is None else len(channels)
        if out is None:
            out = np.empty((stop - start, width), self.dtype)
        if not out.size:
            return out
        bounds = self.index.bounds
        first, end = bisect_right(bounds, start) - 1, bisect_left(bounds, stop)
        for number in range(first, end):
            self._fetcher.fetch_together(range(number, end))
            a, b = max(start, bounds[number]), min(stop, bounds[number + 1])
            wanted = out[a - start : b - start]
            part = ChunkPart(number, a - bounds[number], b - bounds[number], wanted)
            if channels is None:
                self._read_part(part)
            else:
                self._read_channels(part, channels)
        return out

    def _read_part(self, part: ChunkPart) -> None:
        """Read samples of one chunk, by the cache if it has them or will keep them.

        Whole chunks are seldom read twice, so they are not cached. Readers of a part may come
        back: the first time only the part is decoded, the second time the whole chunk, which is
        then cached. But a reader of the part that follows is likely to go on to the next chunk,
        so that part is decoded alone, once.
        """
        number, start, stop, out = part
        length = self.index.bounds[number + 1] - self.index.bounds[number]
        whole = stop - start == length
        with self._lock:
            held = number in self._cache
            end = self._parted.get(number)  # of the part decoded before
            again = end not in (None, start)
            if not (held or again or whole):
                self._parted[number] = stop if end is None else -1
                if len(self._parted) > MEMORY:
                    self._parted.popitem(last=False)
        if held or (again and not whole):
            out[:] = self.chunk(number)[start:stop]
        else:
            self._restore(number, None if whole else Window(start, stop), out=out)

    def _read_channels(self, part: ChunkPart, channels: NDArray[np.int64]) -> None:
        """Read some channels of one chunk, from the chunk decoded before or by themselves."""
        number, start, stop, out = part
        with self._lock:
            held = self._cache.get(number)
        if held is not None:
            out[:] = held[start:stop, channels]
            return
        rising, places = np.unique(channels, return_inverse=True)
        samples = self._restore(number, Window(start, stop, rising))
        out[:] = samples[:, places]

    # ---- chunks ----

    def chunk(self, number: int) -> Samples:
        """Return one chunk, from the cache if possible; do not write to it."""
        with self._lock:
            held = self._cache.get(number)
            if held is not None:
                self._cache.move_to_end(number)
                return held
        samples = self.decode(number)
        samples.flags.writeable = False
        with self._lock:
            self._cache[number] = samples
            size = sum(each.nbytes for each in self._cache.values())
            while size > self._cache_bytes and len(self._cache) > 1:
                size -= self._cache.popitem(last=False)[1].nbytes
        return samples

    def decode(self, number: int, out: Samples | None = None) -> Samples:
        """Decode a whole chunk."""
        return self._restore(number, None, out=out)

    def _restore(self, number: int, window: Window | None, out: Samples | None = None) -> Samples:
        """Read, check and restore a chunk or a window of it."""
        with self._lock:
            opened = self._opened.get(number)
        if opened is None:
            opened = self._open_chunk(self._fetcher.read(number), number)
            if window is not None:
                with self._lock:
                    self._opened[number] = opened
                    if len(self._opened) > KEPT_STORED:
                        self._opened.popitem(last=False)
        large = self.index.entry(number).size >= WORTH_THREADS
        return opened.restore(window, out=out, threads=self._threads if large else 1)

    def _open_chunk(self, data: bytes | memoryview, number: int) -> Restorable:
        return open_chunk(data, self.index.entry(number), self.index, self.source.name)

    # ---- context ----

    def close(self) -> None:
        """Close the file and release the threads."""
        self._fetcher.close()
        self._start_again()
        close = getattr(self.source, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


#: Readers to reset after a fork of this process.
OPEN_READERS: "weakref.WeakSet[Reader]" = weakref.WeakSet()


def _start_all_again() -> None:
    for reader in list(OPEN_READERS):
        reader.start_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_again)
