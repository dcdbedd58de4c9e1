"""Writing recordings: from arrays, files and streams, by one process or several."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from shared.codec import chunk, container, decoder, encoder, fit
from shared.codec.container import Index, Stored
from shared.codec.errors import CodecError, VerificationError
from shared.codec.files import replacing
from shared.codec.levels import DEFAULT_LEVEL, LEVELS, Level, level_of
from shared.codec.parallel import run_jobs, starts_run
from shared.codec.source import Samples, Source, as_samples, blocks_of, open_source, shares

Progress = Callable[[int, int | None], None]


def sidecar_path(path: Path) -> Path:
    """Return where the index of a recording is kept: `.eh` beside `.ebin`."""
    return path.with_suffix(container.SIDECAR_SUFFIX)


def make_chunk(
    samples: Samples, number: int, first: int, level: Level, model: fit.Model | None, check: bool
) -> Stored:
    """Code one chunk, and decode it again to be sure.

    Raises
    ------
    VerificationError
        If it does not decode to what was given.
    """
    coded = encoder.encode(samples, level, model, fresh=starts_run(number))
    if check:
        length, channels = samples.shape
        again = decoder.decode(
            coded.mode,
            coded.meta,
            coded.meta_size,
            coded.body,
            length,
            channels,
            samples.dtype,
            scratch=True,
        )
        if not same_samples(again, samples):
            raise VerificationError(
                f"chunk {number} does not decode to what was given; this is a defect of the "
                "codec or of this machine's memory, and nothing was written"
            )
    return container.seal(coded, number, first, samples)


def same_samples(one: Samples, other: Samples, step: int = 1024) -> bool:
    """Compare bit by bit, in pieces that stay in the cache."""
    return one.shape == other.shape and all(
        np.array_equal(one[start : start + step], other[start : start + step])
        for start in range(0, len(one), step)
    )


class Writer:
    """Writes a recording as its samples come, in bounded memory.

    Parameters
    ----------
    target : path
        The `.ebin` file; its index is written beside it as `.eh`. Until `close` the data are in
        a file of that name with `.part` added; after a crash `salvage` reads that.
    n_channels : int
    dtype : data type
        int16, uint16 or int32.
    sample_rate : float
        In Hz.
    chunk_length : int, optional
        Samples per chunk; by default one second's, or several seconds' for few channels.
    level : {'default', 'fast', 'high'}
    check : bool
        Whether to decode every chunk before it counts as written.
    sha1 : bool
        Whether to record the SHA-1 of the raw bytes, as SpikeGLX does.
    overwrite : bool
        Whether an existing target may be replaced.
    n_samples : int, optional
        How many will come, if that is known: chunks of several seconds are about even then.

    Examples
    --------
    >>> with Writer("ap.ebin", 385, "int16", 30_000) as writer:  # doctest: +SKIP
    ...     for block in acquisition:
    ...         writer.append(block)
    """

    def __init__(
        self,
        target: str | Path,
        n_channels: int,
        dtype: np.dtype | str,
        sample_rate: float,
        *,
        chunk_length: int | None = None,
        level: str = DEFAULT_LEVEL,
        check: bool = True,
        sha1: bool = False,
        overwrite: bool = False,
        n_samples: int | None = None,
    ) -> None:
        self.target = Path(target)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        as_samples(np.zeros((0, n_channels), self.dtype))
        if not sample_rate > 0:
            raise CodecError(f"a sample rate of {sample_rate} Hz is impossible")
        if level not in LEVELS:
            raise CodecError(f"there is no level {level!r}; choose from {', '.join(LEVELS)}")
        if not overwrite and self.target.exists():
            raise CodecError(f"{self.target} exists; allow overwriting, or choose another name")
        self.level, self.check = level_of(level, sample_rate), check
        self.index = Index(n_channels, float(sample_rate), self.dtype, facts={"level": level})
        self.chunk_length = _chunk_length(chunk_length, self.index, n_samples)
        self._sha1 = hashlib.sha1(usedforsecurity=False) if sha1 else None
        self._held: list[Samples] = []
        self._n_held = 0
        self._model: fit.Model | None = None
        self._replacing = replacing(self.target)
        self._file = self._replacing.__enter__()
        self._file.write(container.pack_header(self.index, self.chunk_length, complete=False))

    def append(self, samples: object) -> None:
        """Add samples × channels, any number of samples at a time."""
        array = as_samples(samples, "the block")
        if array.shape[1] != self.index.n_channels or array.dtype.newbyteorder("=") != self.dtype:
            raise CodecError(
                f"a block of {array.shape[1]} channels of {array.dtype.name} does not continue "
                f"a recording of {self.index.n_channels} of {self.dtype.name}"
            )
        start = 0
        while start < len(array):
            stop = min(len(array), start + self.chunk_length - self._n_held)
            # A copy: the caller may fill the same array again.
            self._held.append(np.array(array[start:stop], self.dtype, order="C"))
            self._n_held += stop - start
            start = stop
            if self._n_held == self.chunk_length:
                self._write_held()

    def _write_held(self) -> None:
        samples = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        self._held, self._n_held = [], 0
        number = self.index.n_chunks
        if starts_run(number):
            self._model = fit.fit(samples, self.level)
        first = self.index.bounds[-1]
        stored = make_chunk(samples, number, first, self.level, self._model, self.check)
        self._file.writelines(stored.pieces)
        self.note(stored)
        if self._sha1:
            self._sha1.update(container.raw_bytes(samples))

    def note(self, stored: Stored) -> None:
        """Take a chunk that has been written into the index."""
        index = self.index
        index.bounds.append(index.bounds[-1] + stored.length)
        index.offsets.append(index.offsets[-1] + stored.size)
        index.crcs.append(stored.crc)
        index.raw_crcs.append(stored.raw_crc)

    def flush(self) -> None:
        """Make what is complete so far durable; an open chunk stays in memory."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Finish: the last chunk, the footer, the header, the sidecar; then the final name."""
        if self._n_held:
            self._write_held()
        if self._sha1:
            self.index.facts["sha1_uncompressed"] = self._sha1.hexdigest()
        self._file.seek(self.index.offsets[-1])
        self._file.write(container.pack_footer(self.index))
        self._file.seek(0)
        self._file.write(container.pack_header(self.index, self.chunk_length, complete=True))
        self._replacing.__exit__(None, None, None)
        with replacing(sidecar_path(self.target)) as sidecar:
            sidecar.write(self.index.to_json().encode())

    def discard(self, error: BaseException | None = None) -> None:
        """Give up: nothing is left at the target."""
        try:
            self._replacing.__exit__(
                type(error or CodecError()), error or CodecError("given up"), None
            )
        except BaseException as raised:
            if raised is not error and error is not None:
                raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard(error)


def _chunk_length(given: int | None, index: Index, n_samples: int | None) -> int:
    if given is None:
        facts = index.sample_rate, index.n_channels, index.dtype
        return container.default_chunk_length(*facts, n_samples)
    if not 0 < given * index.n_channels * index.dtype.itemsize <= chunk.MAX_CHUNK_BYTES:
        raise CodecError(f"chunks of {given} samples are impossible for this recording")
    return int(given)


# ---- whole recordings -------------------------------------------------------------------------


def compress(
    source: object,
    target: str | Path | None = None,
    *,
    sample_rate: float | None = None,
    n_channels: int | None = None,
    dtype: np.dtype | str | None = None,
    chunk_length: int | None = None,
    level: str = DEFAULT_LEVEL,
    workers: int = 1,
    check: bool = True,
    sha1: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Compress a recording losslessly.

    Parameters
    ----------
    source : array, path, or iterator of arrays
        Samples × channels of int16, uint16 or int32. A path may be `.npy`, `.cbin` (mtscomp),
        or raw; for raw files give `n_channels` and `dtype`, or have the SpikeGLX `.meta` beside.
        From an iterator (say `tail` of a growing file) the recording is written as it comes.
    target : path, optional
        By default the source's name with `.ebin`.
    sample_rate : float, optional
        In Hz; needed unless the source knows it.
    n_channels, dtype
        Of a raw file.
    chunk_length : int, optional
        Samples per chunk, each decodable by itself; by default one second's, or several
        seconds' for few channels.
    level : {'default', 'fast', 'high'}
    workers : int
        Processes (threads where the source cannot be shared). The result is the same bytes
        whatever their number.
    check : bool
        Whether to decode every chunk before it counts as written.
    sha1 : bool
        Whether to record the SHA-1 of the raw bytes.
    overwrite : bool
        Whether an existing target may be replaced.
    progress : callable, optional
        Called with samples done, and samples in all where that is known.

    Returns
    -------
    Index
        As written to the sidecar.

    Raises
    ------
    CodecError
        Nothing is left at the target then.
    """
    if target is None:
        if not isinstance(source, str | Path):
            raise CodecError("say where to write to")
        target = Path(source).with_suffix(container.SUFFIX)
    options: dict[str, Any] = {
        "chunk_length": chunk_length,
        "level": level,
        "check": check,
        "sha1": sha1,
        "overwrite": overwrite,
    }
    if isinstance(source, Iterator):
        return _compress_stream(source, target, sample_rate, options, progress)
    opened = open_source(source, n_channels, dtype, sample_rate)
    rate = sample_rate or opened.sample_rate
    if rate is None:
        raise CodecError("give the sample rate: the source does not tell")
    total, channels = opened.shape
    with Writer(target, channels, opened.dtype, rate, n_samples=total, **options) as writer:
        writer.index.facts.update(opened.facts)
        length = writer.chunk_length
        bounds = [*range(0, total, length), total]
        job = Job(opened, length, writer.level, check)
        place = writer._file, writer.index.offsets[-1]
        for stored in run_jobs(job, len(bounds) - 1, workers, shares(opened), place):
            writer.note(stored)
            if writer._sha1:
                start, stop = writer.index.bounds[-2:]
                writer._sha1.update(container.raw_bytes(opened.read(start, stop)))
            if progress:
                progress(writer.index.bounds[-1], total)
    return writer.index


def _compress_stream(
    source: Iterator[object],
    target: str | Path,
    sample_rate: float | None,
    options: dict[str, Any],
    progress: Progress | None,
) -> Index:
    """Compress blocks as they come."""
    if sample_rate is None:
        raise CodecError("give the sample rate: an iterator does not tell")
    blocks = blocks_of(source)
    first = next(blocks, None)
    if first is None:
        raise CodecError("the iterator gave no samples, so neither channels nor type are known")
    with Writer(target, first.shape[1], first.dtype, sample_rate, **options) as writer:
        done = 0
        while first is not None:
            writer.append(first)
            done += len(first)
            if progress:
                progress(done, None)
            first = next(blocks, None)
    return writer.index


class Job:
    """Makes any chunk of a source; the same in whatever process it runs."""

    def __init__(self, source: Source, chunk_length: int, level: Level, check: bool) -> None:
        self.source = source
        self.chunk_length = chunk_length
        self.level = level
        self.check = check

    def _read(self, number: int) -> Samples:
        start = number * self.chunk_length
        return self.source.read(start, min(start + self.chunk_length, self.source.shape[0]))

    def lead(self, number: int) -> fit.Model:
        """Return the model for the run of chunks that starts with `number`."""
        return fit.fit(self._read(number), self.level)

    def __call__(self, number: int, model: fit.Model) -> Stored:
        """Return chunk `number`, ready to be written."""
        samples, first = self._read(number), number * self.chunk_length
        return make_chunk(samples, number, first, self.level, model, self.check)
