"""Reading recordings: an array-like over local files and HTTP addresses."""

import functools
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec import container
from shared.codec.container import Index
from shared.codec.decoder import Unpacked
from shared.codec.errors import CodecError, CorruptionError, TruncationError
from shared.codec.files import replacing, write_at
from shared.codec.parallel import run_jobs
from shared.codec.source import Samples
from shared.codec.writer import Progress, sidecar_path

#: Decoded chunks kept, in bytes: a few seconds of a Neuropixels probe.
CACHE_BYTES = 96 << 20
#: Chunks stored in fewer bytes than this are inflated sooner than other threads are awake.
WORTH_THREADS = 1 << 20
#: Numbers of chunks remembered that were decoded in part.
MEMORY = 256


class LocalFile:
    """Bytes of a local file, safe to read from several threads."""

    ahead = 1 << 16

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        try:
            self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise CodecError(f"cannot open {path}: {error.strerror}") from error
        self._lock = threading.Lock()

    def size(self) -> int:
        """Return the number of bytes."""
        return os.fstat(self._handle).st_size

    def read(self, start: int, stop: int) -> memoryview:
        """Return the bytes from `start` to `stop`, fewer only at the end."""
        # An array of numpy comes in large pages, where there are any: no fault per 4 kB.
        buffer = memoryview(np.empty(max(0, stop - start), np.uint8))  # type: ignore[arg-type]
        done = 0
        while done < len(buffer):
            count = self._read_into(buffer[done:], start + done)
            if not count:
                break
            done += count
        return buffer[:done]

    def _read_into(self, buffer: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [buffer], start)
        with self._lock:  # pragma: no cover - Windows, macOS
            os.lseek(self._handle, start, os.SEEK_SET)
            piece = os.read(self._handle, len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class Reader:
    """A recording as an array of samples × channels, decoded chunk by chunk when it is read.

    Indexing follows numpy for the first two axes: integers, slices with any step, lists, index
    and mask arrays; both axes by lists select the outer product. Use `open`, not this class.

    Attributes
    ----------
    shape : tuple of int
        Samples × channels.
    dtype : numpy.dtype
    sample_rate : float
        In Hz.
    index : Index
    """

    ndim = 2

    def __init__(
        self,
        source: container.Readable,
        index: Index,
        *,
        threads: int = 1,
        read_ahead: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.source, self.index = source, index
        self.shape, self.dtype = index.shape, index.dtype
        self.sample_rate = index.sample_rate
        self._threads = max(1, threads)
        self._read_ahead = read_ahead
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, Samples] = OrderedDict()
        self._parted: OrderedDict[int, int] = OrderedDict()
        #: Of the last chunks decoded in part, since what follows the part is likely to be read.
        self._stored: OrderedDict[int, bytes | memoryview] = OrderedDict()
        self._coming: dict[int, Future[bytes | memoryview]] = {}
        self._lock = threading.RLock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._last = -1

    # ---- numpy's face ----

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the samples, uncompressed."""
        return self.size * self.dtype.itemsize

    @property
    def n_samples(self) -> int:
        """Number of samples per channel."""
        return self.shape[0]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        seconds = self.shape[0] / self.sample_rate
        return (
            f"<{self.source.name}: {self.shape[0]} × {self.shape[1]} {self.dtype.name}, "
            f"{seconds:.3f} s at {self.sample_rate:g} Hz>"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Samples:
        if copy is False:
            raise ValueError("a compressed recording cannot become an array without a copy")
        samples = self.read(0, self.shape[0])
        return samples if dtype is None else samples.astype(dtype, copy=False)

    def __iter__(self) -> Iterator[Samples]:
        for start in range(0, self.shape[0]):
            yield self[start]

    def __getitem__(self, key: Any) -> Any:
        rows, columns = _two_axes(key)
        if isinstance(rows, slice):
            samples = self._read_slice(*rows.indices(self.shape[0]))
        elif isinstance(rows, int | np.integer):
            number = _inside(int(rows), self.shape[0], 0)
            samples = self.read(number, number + 1)[0]
        else:
            samples = self._read_rows(_positions(rows, self.shape[0], 0))
        if isinstance(columns, slice) and columns == slice(None):
            return samples
        if isinstance(columns, int | np.integer):
            return samples[..., _inside(int(columns), self.shape[1], 1)]
        if isinstance(columns, slice):
            return samples[..., columns]
        return samples[..., _positions(columns, self.shape[1], 1)]

    def read(self, start: int, stop: int, *, out: Samples | None = None) -> Samples:
        """Return samples `start` to `stop` of all channels.

        Parameters
        ----------
        start, stop : int
            In samples; must lie within the recording.
        out : array, shape (stop - start, channels), optional
            Receives the samples.

        Returns
        -------
        array, shape (stop - start, channels)

        Raises
        ------
        CorruptionError
            Naming the chunk; nothing wrong is ever returned.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise IndexError(f"samples {start} to {stop} of {self.shape[0]}")
        first, last = self._chunks_of(start, stop)
        bounds = self.index.bounds
        if out is None and last == first + 1 and (start, stop) == (bounds[first], bounds[last]):
            with self._lock:
                held = self._cache.get(first)
            return self.decode(first) if held is None else held.copy()
        if out is None:
            out = np.empty((stop - start, self.shape[1]), self.dtype)

        parts = []
        for number in range(first, last):
            a, b = max(start, bounds[number]), min(stop, bounds[number + 1])
            wanted = out[a - start : b - start]
            parts.append(Part(number, a - bounds[number], b - bounds[number], wanted))
        # Two parts of a chunk's length are restored together; of what is longer, each chunk by
        # itself while another thread begins with the next.
        if len(parts) == 2 and stop - start <= bounds[first + 1] - bounds[first]:
            if self._by_threads(last - 1):
                self._fetch(last - 1, "inflate")
            self._finish([(part, self._begin_part(part)) for part in parts])
            return out
        begun: list[tuple[Part, Unpacked | None]] = []
        for part in parts:
            begin = self._aside(part, later=part.number > first)
            self._finish(begun)
            begun = [(part, begin())]
        self._finish(begun)
        return out

    def _aside(self, part: "Part", later: bool) -> Callable[[], Unpacked | None]:
        """Begin to read a part in another thread, if it pays and others are read before."""
        if later and self._by_threads(part.number):
            return self._workers("inflate").submit(self._begin_part, part).result
        return functools.partial(self._begin_part, part)

    def _finish(self, begun: "list[tuple[Part, Unpacked | None]]") -> None:
        """Write parts begun to their places."""
        for part, opened in begun:
            if opened is None:
                part.out[:] = self.chunk(part.number)[part.start : part.stop]
        both = [(part.out, opened) for part, opened in begun if opened is not None]
        container.restore_together([opened for _, opened in both], [out for out, _ in both])

    def _by_threads(self, number: int) -> bool:
        """Tell whether it pays to wake other threads for a chunk."""
        offsets = self.index.offsets
        return self._threads > 1 and offsets[number + 1] - offsets[number] >= WORTH_THREADS

    def _begin_part(self, part: "Part") -> Unpacked | None:
        """Begin to read samples of one chunk, unless the cache has them or is to keep them.

        Who reads a whole chunk seldom wants it twice. Who reads a part may come back for more:
        the first time only that part is decoded, the second time the chunk, which is then kept.
        But who comes back for what follows the part is likely to go on to the next chunk, and
        gets that part alone, once.
        """
        number, start, stop = part.number, part.start, part.stop
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
            return None
        return self._begin(number, None if whole else (start, stop))

    def _chunks_of(self, start: int, stop: int) -> tuple[int, int]:
        """Return the chunks that hold samples `start` to `stop`."""
        if stop <= start:
            return 0, 0
        bounds = self.index.bounds
        first = int(np.searchsorted(bounds, start, "right")) - 1
        last = int(np.searchsorted(bounds, stop, "left"))
        return first, last

    def _read_slice(self, start: int, stop: int, step: int) -> Samples:
        chosen = range(start, stop, step)
        if not len(chosen):
            return np.empty((0, self.shape[1]), self.dtype)
        if step == 1:
            return self.read(start, stop)
        if step < 0:
            return self._read_slice(chosen[-1], chosen[0] + 1, -step)[::-1]
        out = np.empty((len(chosen), self.shape[1]), self.dtype)
        first, last = self._chunks_of(start, chosen[-1] + 1)
        for number in range(first, last):
            low, high = self.index.bounds[number], self.index.bounds[number + 1]
            begin = -(-max(0, low - start) // step)
            end = min(len(chosen), -(-(high - start) // step))
            if begin < end:
                at = start + begin * step - low
                out[begin:end] = self.chunk(number)[at::step][: end - begin]
        return out

    def _read_rows(self, rows: NDArray[np.int64]) -> Samples:
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        numbers = np.searchsorted(self.index.bounds, rows, "right") - 1
        for number in np.unique(numbers).tolist():
            mine = numbers == number
            out[mine] = self.chunk(number)[rows[mine] - self.index.bounds[number]]
        return out

    # ---- chunks ----

    def chunk(self, number: int) -> Samples:
        """Return one chunk, from the cache where it is there; do not write to it."""
        with self._lock:
            held = self._cache.get(number)
            if held is not None:
                self._cache.move_to_end(number)
                return held
        samples = self.decode(number)
        self._keep(number, samples)
        return samples

    def _keep(self, number: int, samples: Samples) -> None:
        samples.flags.writeable = False
        with self._lock:
            self._cache[number] = samples
            held = sum(each.nbytes for each in self._cache.values())
            while held > self._cache_bytes and len(self._cache) > 1:
                held -= self._cache.popitem(last=False)[1].nbytes

    def stored(self, number: int) -> bytes | memoryview:
        """Return the bytes of one chunk as they are stored."""
        with self._lock:
            coming = self._coming.pop(number, None)
            parted = self._stored.get(number)
        if parted is not None:
            return parted
        start, stop = self.index.offsets[number], self.index.offsets[number + 1]
        data = coming.result() if coming else self.source.read(start, stop)
        if len(data) < stop - start:
            raise TruncationError(f"{self.source.name}: chunk {number} is cut short", (number,))
        return data

    @property
    def sha1(self) -> str | None:
        """Return the SHA-1 of all samples, if it was recorded."""
        found = self.index.facts.get("sha1_uncompressed")
        return found if isinstance(found, str) else None

    def decode(self, number: int, scratch: bool = False) -> Samples:
        """Decode a whole chunk; with `scratch`, it holds until the thread's next call."""
        return self._begin(number).restore(scratch)

    def _begin(self, number: int, window: tuple[int, int] | None = None) -> Unpacked:
        """Read and check a chunk, and begin to inflate it."""
        data = self.stored(number)
        self._order_ahead(number)
        if window is not None:
            with self._lock:
                self._stored[number] = data
                if len(self._stored) > 2:
                    self._stored.popitem(last=False)
        opened = self._open_chunk(data, number, window)
        if self._by_threads(number):
            opened.inflate_by(self._workers("inflate").submit)
        return opened

    def _open_chunk(
        self, data: bytes | memoryview, number: int, window: tuple[int, int] | None
    ) -> Unpacked:
        return container.open_chunk(data, self.index, number, self.source.name, window)

    def _order_ahead(self, number: int) -> None:
        """Fetch what a reader going forward will want next, while this chunk is decoded."""
        if not self._read_ahead:
            return
        with self._lock:
            going_on, self._last = number - self._last in (0, 1), number
            if not going_on:
                self._coming.clear()
                return
            for ahead in range(number + 1, min(number + 1 + self._read_ahead, self.n_chunks)):
                self._fetch(ahead, "fetch")

    def _fetch(self, number: int, workers: str) -> None:
        """Have another thread read the bytes of a chunk, unless they or its samples are here."""
        with self._lock:
            if not any(number in each for each in (self._coming, self._stored, self._cache)):
                start, stop = self.index.offsets[number : number + 2]
                fetching = self._workers(workers).submit(self.source.read, start, stop)
                self._coming[number] = fetching

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return self.index.n_chunks

    def _workers(self, kind: str) -> ThreadPoolExecutor:
        """Return the threads that inflate, or those that fetch."""
        with self._lock:
            if kind not in self._pools:
                count = self._threads - 1 if kind == "inflate" else self._read_ahead
                self._pools[kind] = ThreadPoolExecutor(count, f"fornix-codec-{kind}")
            return self._pools[kind]

    # ---- context ----

    def close(self) -> None:
        """Let go of the file and the threads."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._pools.clear()
        self._cache.clear()
        self._stored.clear()
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


@dataclass(frozen=True)
class Part:
    """Samples of one chunk that are wanted, counted within it, and where they go."""

    number: int
    start: int
    stop: int
    out: Samples


def _two_axes(key: Any) -> tuple[Any, Any]:
    """Split a key in one for samples and one for channels."""
    if key is Ellipsis:
        return slice(None), slice(None)
    if not isinstance(key, tuple):
        return key, slice(None)
    if Ellipsis in [each for each in key if not isinstance(each, np.ndarray)]:
        at = next(i for i, each in enumerate(key) if each is Ellipsis)
        key = key[:at] + (slice(None),) * (3 - len(key)) + key[at + 1 :]
    if len(key) > 2:
        raise IndexError(f"{len(key)} indices for a recording of samples × channels")
    return (*key, slice(None))[0], (*key, slice(None), slice(None))[1]


def _inside(number: int, length: int, axis: int) -> int:
    if not -length <= number < length:
        raise IndexError(f"index {number} is out of bounds for axis {axis} with size {length}")
    return number % length


def _positions(key: Any, length: int, axis: int) -> NDArray[np.int64]:
    """Turn a list, an index array or a mask into positions."""
    array = np.asarray(key)
    if array.dtype == bool:
        if array.shape != (length,):
            raise IndexError(f"a mask of shape {array.shape} for axis {axis} with size {length}")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise IndexError("recordings are indexed by integers, slices, and lists of integers")
    positions = array.astype(np.int64)
    for bad in positions[(positions < -length) | (positions >= length)][:1]:
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {length}")
    return positions % length


# ---- opening ----------------------------------------------------------------------------------


def open(
    path: str | Path,
    *,
    sidecar: str | Path | None = None,
    threads: int | None = None,
    read_ahead: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Any:
    """Open a recording: `.ebin` or mtscomp's `.cbin`, a local path or an HTTP address.

    Parameters
    ----------
    path : path or str
        An address may be presigned; then the index is read from the footer, or from `sidecar`.
    sidecar : path or str, optional
        The index (`.eh` or `.ch`), where it is not beside the file under its name.
    threads : int, optional
        To inflate chunks by, of which one reads and restores them, too: by default up to four.
    read_ahead : int, optional
        Chunks fetched ahead when reading forward: by default 1 for addresses, 0 for files.
    cache_bytes : int
        Decoded chunks kept.

    Returns
    -------
    Reader
        An array-like; use it as a context manager.

    Raises
    ------
    CodecError
        If the file is truncated, of another kind, or its sidecar belongs to another file.
    """
    from shared.codec import mtscomp, remote

    text = str(path)
    distant = text.startswith(("http://", "https://"))
    source: Any = remote.RemoteFile(text) if distant else LocalFile(Path(path))
    ahead = read_ahead if read_ahead is not None else int(distant)
    threads = min(4, os.cpu_count() or 1) if threads is None else threads
    options = {"threads": threads, "read_ahead": ahead, "cache_bytes": cache_bytes}
    try:
        if source.name.endswith(".cbin"):
            return mtscomp.open_pair(source, sidecar, options)
        return Reader(source, _find_index(source, sidecar), **options)
    except BaseException:
        source.close()
        raise


def _find_index(source: Any, sidecar: str | Path | None) -> Index:
    """Read the index from the footer, and hold the sidecar against it."""
    from shared.codec import remote

    if sidecar is None and isinstance(source, LocalFile):
        beside = sidecar_path(source.path)
        sidecar = beside if beside.is_file() else None
    if isinstance(source, LocalFile):
        container.unpack_header(source.read(0, container.FILE_HEADER.size), source.name)
    data = None if sidecar is None else remote.read_small(sidecar)
    if data is None or isinstance(source, LocalFile):
        return container.read_footer(source, data)
    return Index.from_json(data, Path(str(sidecar).split("?")[0]).name)


@dataclass
class ReaderSource:
    """A compressed recording as the source of another."""

    path: Path

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.reader = open(self.path, threads=1)
        self.shape, self.dtype = self.reader.shape, self.reader.dtype
        self.sample_rate: float | None = self.reader.sample_rate
        self.facts: dict[str, object] = {}

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        """Worker processes open the file themselves."""
        return type(self), (self.path,)

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`."""
        return self.reader.read(start, stop)


# ---- whole recordings -------------------------------------------------------------------------


class Decoding:
    """Decodes any chunk of a recording straight into its place in a file."""

    def __init__(
        self,
        path: Path,
        sidecar: Path | None,
        target: Path,
        offset: int,
        reader: Reader | None = None,
    ) -> None:
        self.arguments = (path, sidecar, target, offset)
        self.reader = reader or open(path, sidecar=sidecar, threads=1)
        self.target, self.offset = target, offset
        self.handle = os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Worker processes open the files themselves."""
        return type(self), self.arguments

    def lead(self, number: int) -> None:
        """Return nothing: chunks share nothing."""

    def __call__(self, number: int, shared: None) -> int:
        """Write one chunk; return its number of samples."""
        samples = self.reader.decode(number, scratch=True)
        row = self.reader.shape[1] * self.reader.dtype.itemsize
        position = self.offset + self.reader.index.bounds[number] * row
        write_at(self.handle, position, [container.raw_bytes(samples)])
        return len(samples)


def decompress(
    source: str | Path,
    target: str | Path | None = None,
    *,
    sidecar: str | Path | None = None,
    workers: int = 1,
    overwrite: bool = False,
    salvage: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Write a recording as plain samples.

    Parameters
    ----------
    source : path
        `.ebin` or `.cbin`.
    target : path, optional
        `.npy`, or any other suffix for raw little-endian samples; by default the source's name
        with `.bin`.
    sidecar : path, optional
    workers : int
        Processes.
    overwrite : bool
        Whether an existing target may be replaced.
    salvage : bool
        Whether to write what is undamaged, with zeros in place of the rest.
    progress : callable, optional
        Called with samples done and samples in all.

    Returns
    -------
    list of str
        What was damaged, when salvaging; empty otherwise.

    Raises
    ------
    CodecError
        Nothing is left at the target then.
    """
    source = Path(source)
    target = Path(target) if target is not None else source.with_suffix(".bin")
    if target.exists() and not overwrite:
        raise CodecError(f"{target} exists; allow overwriting, or choose another name")
    if salvage:
        return _salvage(source, target, progress)
    given = Path(sidecar) if sidecar is not None else None
    with open(source, sidecar=given, threads=1) as reader:
        header = b""
        if target.suffix == ".npy":
            header = _npy_header(reader.shape, reader.dtype)
        total, count = reader.shape[0], reader.n_chunks
        with replacing(target) as file:
            file.write(header)
            file.truncate(len(header) + reader.nbytes)
            file.flush()
            job = Decoding(source, given, Path(file.name), len(header), reader)
            done = 0
            for length in run_jobs(job, count, workers, shareable=True):
                done += length
                if progress:
                    progress(done, total)
            os.close(job.handle)
    return []


def _npy_header(shape: tuple[int, int], dtype: np.dtype) -> bytes:
    import io

    buffer = io.BytesIO()
    header = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def open_salvaged(source: str | Path) -> tuple[Reader, list[str]]:
    """Open a damaged recording: by its index where there is one, else by its chunks.

    Returns
    -------
    Reader
        Raises `CorruptionError` for damaged chunks, and reads all others.
    list of str
        What is wrong with the file as a whole.
    """
    file = LocalFile(Path(source))
    try:
        return Reader(file, container.read_footer(file), cache_bytes=0), []
    except CodecError as error:
        index, problems = container.rebuild_index(file)
        return Reader(file, index, cache_bytes=0), [str(error), *problems]


def _salvage(source: Path, target: Path, progress: Progress | None) -> list[str]:
    """Write all chunks that decode, and zeros for the others."""
    reader, problems = open_salvaged(source)
    with reader, replacing(target) as file:
        if target.suffix == ".npy":
            file.write(_npy_header(reader.shape, reader.dtype))
        for number in range(reader.n_chunks):
            start, stop = reader.index.bounds[number : number + 2]
            try:
                samples = reader.decode(number)
            except CorruptionError as error:
                problems.append(f"{error}: samples {start} to {stop} are zeros")
                samples = np.zeros((stop - start, reader.shape[1]), reader.dtype)
            file.write(container.raw_bytes(samples))
            if progress:
                progress(stop, reader.shape[0])
    return problems


def verify(
    source: str | Path,
    against: object = None,
    *,
    progress: Progress | None = None,
) -> list[str]:
    """Check every byte of a recording, and every sample where the original is given.

    Parameters
    ----------
    source : path
    against : array or path, optional
        The original.
    progress : callable, optional

    Returns
    -------
    list of str
        What is wrong, chunk by chunk; empty when all is well.
    """
    from shared.codec.source import open_source

    problems: list[str] = []
    try:
        reader = open(source, threads=1)
    except CodecError as error:
        problems.append(str(error))
        if str(source).endswith(".cbin"):
            return problems
        reader, more = open_salvaged(source)
        problems += more
    with reader:
        original = None
        if against is not None:
            original = open_source(against, reader.shape[1], reader.dtype)
            if original.shape != reader.shape:
                return [*problems, f"the original is {original.shape}, not {reader.shape}"]
        total = hashlib.sha1(usedforsecurity=False)
        for number in range(reader.n_chunks):
            start, stop = reader.index.bounds[number : number + 2]
            try:
                samples = reader.decode(number)
                if reader.sha1:
                    total.update(container.raw_bytes(samples))
                if original is not None and not np.array_equal(
                    samples, original.read(start, stop)
                ):
                    problems.append(f"chunk {number}: differs from the original")
            except CodecError as error:
                problems.append(str(error))
            if progress:
                progress(stop, reader.shape[0])
        if not problems and reader.sha1 not in (None, total.hexdigest()):
            problems.append(f"{reader.source.name}: the samples have another SHA-1 than it says")
    return list(dict.fromkeys(problems))


__all__: Sequence[str] = [
    "Reader",
    "decompress",
    "open",
    "open_salvaged",
    "verify",
]
