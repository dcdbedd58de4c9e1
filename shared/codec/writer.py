"""Writing recordings: from arrays, files and streams, by one process or several."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from shared.codec import decoder, encoder, fit, index
from shared.codec.chunk import MAX_CHUNK_BYTES, Sealed, raw_bytes, seal
from shared.codec.errors import CodecError, CorruptionError, VerificationError
from shared.codec.files import SUFFIX, Progress, refuse_existing, replacing, sidecar_path
from shared.codec.header import RecordingHeader, default_chunk_length, published_chunk_length
from shared.codec.index import RecordingIndex
from shared.codec.levels import DEFAULT_LEVEL, LEVELS, Level
from shared.codec.opening import open_source
from shared.codec.overview import Overview, overview_path, seconds_of
from shared.codec.parallel import run_jobs, starts_run
from shared.codec.source import Samples, SampleSource, as_samples


class Coder:
    """Makes chunks, and decodes each again to be sure."""

    def __init__(self, level: Level, check: bool, overview_rate: float | None) -> None:
        self.level, self.check, self.overview_rate = level, check, overview_rate

    def make(self, samples: Samples, number: int, first: int, model: fit.Model) -> Sealed:
        """Return one chunk, ready to be written; with it, what the overview takes of it.

        Raises
        ------
        VerificationError
            If it does not decode to what was given.
        """
        coded = encoder.encode(samples, self.level, model, fresh=starts_run(number))
        if self.check:
            again = decoder.decode(coded, samples.shape, samples.dtype, scratch=True)
            if not same_samples(again, samples):
                raise VerificationError(
                    f"chunk {number} does not decode to what was given; this is a defect of the "
                    "codec or of this machine's memory, and nothing was written"
                )
        sealed = seal(coded, number, first, samples)
        if self.overview_rate is None:
            return sealed
        return sealed._replace(extra=seconds_of(samples, first, self.overview_rate))


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
    published : bool
        Whether the recording is to be shown on the web: chunks then have some 3,000 samples.
    overview : bool, optional
        Whether to write how loud each channel is in each second, as `.rms.npy`; by default
        where it is published.
    precious : bool
        Whether to refuse where a writer that died left an unfinished file.

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
        published: bool = False,
        overview: bool | None = None,
        precious: bool = True,
    ) -> None:
        self.target = Path(target)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        as_samples(np.zeros((0, n_channels), self.dtype))
        if not 0 < sample_rate < 1e12:
            raise CodecError(f"a sample rate of {sample_rate} Hz is impossible")
        if level not in LEVELS:
            raise CodecError(f"there is no level {level!r}; choose from {', '.join(LEVELS)}")
        refuse_existing(self.target, overwrite=overwrite)
        overview = published if overview is None else overview
        self.coder = Coder(LEVELS[level], check, sample_rate if overview else None)
        self.overview = Overview(n_channels) if overview else None
        if chunk_length is None and published:
            chunk_length = published_chunk_length(n_channels, self.dtype)
        if chunk_length is None:
            chunk_length = default_chunk_length(sample_rate, n_channels, self.dtype, n_samples)
        if not 0 < chunk_length * n_channels * self.dtype.itemsize <= MAX_CHUNK_BYTES:
            raise CodecError(f"chunks of {chunk_length} samples are impossible for this recording")
        self.header = RecordingHeader(
            n_channels, float(sample_rate), self.dtype, int(chunk_length)
        )
        self.index = RecordingIndex(*self.header[:4], facts={"level": level})
        self._sha1 = hashlib.sha1(usedforsecurity=False) if sha1 else None
        self._held: list[Samples] = []
        self._n_held = 0
        self._model: fit.Model | None = None
        self._files = ExitStack()
        part = replacing(self.target, overwrite, precious and not overwrite, durable=False)
        self.file = self._files.enter_context(part)
        try:
            self.file.write(self.header.pack())
        except BaseException as error:
            self.discard(error)
            raise

    @property
    def chunk_length(self) -> int:
        """Samples of every chunk but the last."""
        return self.header.chunk_length

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
        if self._model is None or starts_run(number):
            self._model = fit.fit(samples, self.coder.level)
        sealed = self.coder.make(samples, number, self.index.bounds[-1], self._model)
        self.file.writelines(sealed.pieces)
        self.note(sealed, samples)

    def note(self, sealed: Sealed, samples: Samples | None) -> None:
        """Take in a chunk that has been written; of samples, where they are given, the SHA-1."""
        self.index.add(sealed)
        if self.overview is not None:
            self.overview.add(sealed.extra)
        if self._sha1 is not None and samples is not None:
            self._sha1.update(raw_bytes(samples))

    @property
    def hexdigest(self) -> str | None:
        """The SHA-1 of the raw bytes so far, if it is computed."""
        return None if self._sha1 is None else self._sha1.hexdigest()

    def flush(self) -> None:
        """Make what is complete so far durable; an open chunk stays in memory."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Finish: the last chunk, the footer, the header, the sidecar; then the final names."""
        try:
            if self._n_held:
                self._write_held()
            if self._sha1 is not None:
                self.index.facts["sha1_uncompressed"] = self._sha1.hexdigest()
            self.file.seek(self.index.offsets[-1])
            self.file.write(index.pack_footer(self.index))
            size = self.file.tell()
            self.file.seek(0)
            complete = self.header._replace(
                samples=self.index.shape[0], chunks=self.index.n_chunks
            )
            self.file.write(complete.pack())
            if self.overview is not None:
                with replacing(overview_path(self.target)) as beside:
                    np.save(beside, self.overview.levels())
            with replacing(sidecar_path(self.target)) as sidecar:
                sidecar.write(self.index.to_json(size).encode())
                self._files.close()  # both names change together, and become durable together
        except BaseException as error:
            self.discard(error)
            raise

    def discard(self, error: BaseException | None = None) -> None:
        """Give up: nothing is left at the target."""
        error = error or CodecError("given up")
        try:
            self._files.__exit__(type(error), error, None)
        except BaseException as raised:
            if raised is not error:
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


# ---- whole recordings -------------------------------------------------------------------------


def compress(
    source: object,
    target: str | Path | None = None,
    *,
    sample_rate: float | None = None,
    n_channels: int | None = None,
    dtype: np.dtype | str | None = None,
    workers: int = 1,
    trim: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> RecordingIndex:
    """Compress a recording losslessly.

    Parameters
    ----------
    source : array, path, or iterator of arrays
        Samples × channels of int16, uint16 or int32. A path may be `.npy`, `.cbin` (mtscomp),
        or raw; for raw files give `n_channels` and `dtype`, or have the SpikeGLX `.meta` beside,
        which the file is then held against.
        From an iterator (say `tail` of a growing file) the recording is written as it comes.
    target : path, optional
        By default the source's name with `.ebin`.
    sample_rate : float, optional
        In Hz; needed unless the source knows it.
    n_channels, dtype
        Of a raw file.
    workers : int
        Processes. The result is the same bytes whatever their number.
    trim : bool
        Whether to take what is whole of a torn raw file, whatever its `.meta` says.
    progress : callable, optional
        Called with samples done, and samples in all where that is known.
    **options
        As for `Writer`: `chunk_length`, `level`, `check`, `sha1`, `overwrite`, `published`,
        `overview`.

    Returns
    -------
    RecordingIndex
        As written to the sidecar.

    Raises
    ------
    CodecError
        Nothing is left at the target then.
    """
    if target is None:
        if not isinstance(source, str | Path):
            raise CodecError("say where to write to")
        target = Path(source).with_suffix(SUFFIX)
    if isinstance(source, Iterator):
        return _compress_stream(source, target, sample_rate, options, progress)
    opened = open_source(source, n_channels, dtype, sample_rate, trim)
    rate = sample_rate or opened.sample_rate
    if rate is None:
        raise CodecError("give the sample rate: the source does not tell")
    total, channels = opened.shape
    options = options | {"sha1": options.get("sha1", False) or opened.sha1 is not None}
    options |= {"n_samples": total, "precious": False}
    with Writer(target, channels, opened.dtype, rate, **options) as writer:
        writer.index.facts.update(opened.facts)
        length = writer.chunk_length
        job = ChunkJob(opened, length, writer.coder)
        place = writer.file, writer.index.offsets[-1]
        results = run_jobs(job, -(-total // length), workers, opened.shareable, place)
        with closing(results):
            for sealed in results:
                start = writer.index.bounds[-1]
                summed = opened.read(start, start + sealed.length) if options["sha1"] else None
                writer.note(sealed, summed)
                if progress:
                    progress(writer.index.bounds[-1], total)
        if opened.sha1 is not None and opened.sha1 != writer.hexdigest:
            raise CorruptionError(
                f"{source} has another SHA-1 than its .meta says: it was changed or damaged since "
                "it was recorded, or the .meta is another file's. Copy it again from where it was "
                "recorded; --trim (trim=True) takes it as it is"
            )
    return writer.index


def _compress_stream(
    source: Iterator[object],
    target: str | Path,
    sample_rate: float | None,
    options: dict[str, Any],
    progress: Progress | None,
) -> RecordingIndex:
    """Compress blocks as they come."""
    if sample_rate is None:
        raise CodecError("give the sample rate: an iterator does not tell")
    blocks = (as_samples(block, "a block") for block in source)
    first = next(blocks, None)
    if first is None:
        raise CodecError("the iterator gave no samples, so neither channels nor type are known")
    with Writer(target, first.shape[1], first.dtype, sample_rate, **options) as writer:
        done = 0
        block: Samples | None = first
        while block is not None:
            writer.append(block)
            done += len(block)
            if progress:
                progress(done, None)
            block = next(blocks, None)
    return writer.index


class ChunkJob:
    """Makes any chunk of a source; the same in whatever process it runs."""

    def __init__(self, source: SampleSource, chunk_length: int, coder: Coder) -> None:
        self.source, self.chunk_length, self.coder = source, chunk_length, coder

    def _read(self, number: int) -> Samples:
        start = number * self.chunk_length
        return self.source.read(start, min(start + self.chunk_length, self.source.shape[0]))

    def lead(self, number: int) -> fit.Model:
        """Return the model for the run of chunks that starts with `number`."""
        return fit.fit(self._read(number), self.coder.level)

    def __call__(self, number: int, model: fit.Model) -> Sealed:
        """Return chunk `number`, ready to be written."""
        return self.coder.make(self._read(number), number, number * self.chunk_length, model)
