"""Opening paths and addresses: recordings to read, and sources to compress."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from shared.codec.chunk import Samples
from shared.codec.errors import CodecError
from shared.codec.files import LocalFile, sidecar_path
from shared.codec.header import HEADER, read_header
from shared.codec.index import RecordingIndex, read_footer
from shared.codec.reader import CACHE_BYTES, Reader
from shared.recordings import mtscomp, remote
from shared.recordings.source import ArraySource, FileSource, SampleSource


def open(
    path: str | Path,
    *,
    sidecar: str | Path | None = None,
    index: RecordingIndex | None = None,
    threads: int | None = None,
    read_ahead: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Reader:
    """Open a recording: `.ebin` or mtscomp's `.cbin`, a local path or an HTTP address.

    Parameters
    ----------
    path : path or str
        An address may be presigned; then the index is read from the footer, or from `sidecar`.
    sidecar : path or str, optional
        The index (`.eh` or `.ch`), if it is not beside the file under the file's name.
    index : RecordingIndex, optional
        The index of an `.ebin`, if it is already known; then no request is made for it.
    threads : int, optional
        Threads for inflating chunks; by default up to four.
    read_ahead : int, optional
        Chunks to fetch ahead when reading forward: by default 1 for addresses, 0 for files.
    cache_bytes : int
        Most bytes of decoded chunks in the cache.

    Returns
    -------
    Reader
        An array-like; use it as a context manager.

    Raises
    ------
    CodecError
        If the file is truncated, of another kind, or its sidecar belongs to another file.
    """
    distant = remote.is_address(path)
    source: Any = remote.RemoteFile(str(path)) if distant else LocalFile(Path(path))
    options = {
        "threads": min(4, os.cpu_count() or 1) if threads is None else threads,
        "read_ahead": int(distant) if read_ahead is None else read_ahead,
        "cache_bytes": cache_bytes,
    }
    try:
        if source.name.endswith(".cbin"):
            reader: Reader = mtscomp.open_pair(source, sidecar, options)
        else:
            reader = Reader(source, index or _find_index(source, sidecar), **options)
    except BaseException:
        source.close()
        raise
    place = path if distant else Path(path).absolute()
    reader.reopen = functools.partial(open, place, sidecar=sidecar, index=index, **options)
    return reader


def _find_index(source: Any, sidecar: str | Path | None) -> RecordingIndex:
    """Read the index from the footer, and check the sidecar against it."""
    local = isinstance(source, LocalFile)
    if local:
        if sidecar is None and sidecar_path(source.path).is_file():
            sidecar = sidecar_path(source.path)
        read_header(source.read(0, HEADER.size), source.name)
    data = None if sidecar is None else remote.read_small(sidecar)
    if data is None or local:
        return read_footer(source, data)
    return RecordingIndex.from_json(data, remote.name_of(sidecar))


class ReaderSource:
    """A compressed recording as the source of another."""

    shareable = True
    sha1: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = open(path, threads=1)
        self.shape, self.dtype = self.reader.shape, self.reader.dtype
        self.sample_rate: float | None = self.reader.sample_rate
        copied = ("microvolts", "probe_map", "clock")
        facts = self.reader.index.facts
        self.facts: dict[str, object] = {key: facts[key] for key in copied if key in facts}

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        """Worker processes open the file themselves."""
        return type(self), (self.path,)

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`."""
        return self.reader.read(start, stop)


def open_source(
    source: object,
    n_channels: int | None = None,
    dtype: np.dtype[Any] | str | None = None,
    sample_rate: float | None = None,
    trim: bool = False,
) -> SampleSource:
    """Return the source for an array, or for a path by its suffix.

    `.npy`, mtscomp's `.cbin`, Fornix's `.ebin`, and anything else as raw samples.

    Raises
    ------
    CodecError
    """
    if not isinstance(source, str | Path):
        return ArraySource(source, sample_rate)
    path = Path(source)
    if not path.is_file():
        raise CodecError(f"{path} is not a file")
    if path.suffix in (".cbin", ".ebin"):
        return ReaderSource(path)
    return FileSource(path, n_channels, dtype, sample_rate, trim)
