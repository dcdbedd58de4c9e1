"""Compression of whole recordings, and of streams of samples, to `.ebin` files."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from shared.codec import fit
from shared.codec.chunk import Samples, Sealed, as_samples
from shared.codec.errors import CodecError, CorruptionError
from shared.codec.files import SUFFIX, Progress
from shared.codec.index import RecordingIndex
from shared.codec.writer import Coder, Writer
from shared.recordings.opening import open_source
from shared.recordings.parallel import OrderedJob, run_jobs
from shared.recordings.source import SampleSource, rate_of


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
        or raw. Raw files need `n_channels` and `dtype`, or the SpikeGLX `.meta` beside them,
        against which the file is then checked.
        Blocks of an iterator (for example `tail` of a growing file) are written as they come.
    target : path, optional
        By default the source's name with `.ebin`.
    sample_rate : float, optional
        In Hz; needed unless the source has it.
    n_channels, dtype
        Channels and type of a raw file.
    workers : int
        Processes. The result does not depend on their number.
    trim : bool
        Whether to accept the whole samples of a torn raw file, whatever its `.meta` says.
    progress : callable, optional
        Called with the samples done, and all samples if known.
    **options
        Options of `Writer`: `chunk_length`, `level`, `check`, `sha1`, `overwrite`, `published`,
        `overview`.

    Returns
    -------
    RecordingIndex
        The index in the sidecar.

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
    rate = sample_rate or rate_of(opened)
    total, channels = opened.shape
    options = options | {"sha1": options.get("sha1", False) or opened.sha1 is not None}
    options |= {"n_samples": total, "precious": False}
    with Writer(target, channels, opened.dtype, rate, **options) as writer:
        writer.index.facts.update(opened.facts)
        job = ChunkJob(opened, writer.chunk_length, writer.coder)
        place = writer.file, writer.index.offsets[-1]
        results = run_jobs(job, -(-total // job.chunk_length), workers, opened.shareable, place)
        with closing(results):
            for sealed in results:
                start = writer.index.bounds[-1]
                summed = opened.read(start, start + sealed.length) if options["sha1"] else None
                writer.note(sealed, summed)
                if progress:
                    progress(writer.index.bounds[-1], total)
        if opened.sha1 not in (None, writer.hexdigest):
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
    done = 0
    with Writer(target, first.shape[1], first.dtype, sample_rate, **options) as writer:
        for block in chain([first], blocks):
            writer.append(block)
            done += len(block)
            if progress:
                progress(done, None)
    return writer.index


class ChunkJob(OrderedJob):
    """Makes the chunks of a source; the result is the same in any process."""

    def __init__(self, source: SampleSource, chunk_length: int, coder: Coder) -> None:
        self.source, self.chunk_length, self.coder = source, chunk_length, coder

    def _read(self, number: int) -> Samples:
        start = number * self.chunk_length
        return self.source.read(start, min(start + self.chunk_length, self.source.shape[0]))

    def lead(self, number: int) -> fit.Model:
        """Return the model for the run of chunks that starts with `number`."""
        last = (number + 1) * self.chunk_length >= self.source.shape[0]
        return fit.fit(self._read(number), self.coder.level, alone=last)

    def __call__(self, number: int, model: fit.Model) -> Sealed:
        """Return chunk `number`, ready to be written."""
        return self.coder.make(self._read(number), number, number * self.chunk_length, model)
