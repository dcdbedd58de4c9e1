"""Writing recordings as their samples come."""

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from shared.codec import decoder, encoder, fit, index
from shared.codec.chunk import MAX_CHUNK_BYTES, Samples, Sealed, as_samples, raw_bytes, seal
from shared.codec.errors import CodecError, VerificationError
from shared.codec.files import refuse_existing, replacing, sidecar_path
from shared.codec.header import RecordingHeader, default_chunk_length, published_chunk_length
from shared.codec.index import RecordingIndex
from shared.codec.levels import DEFAULT_LEVEL, LEVELS, Level
from shared.codec.overview import Overview, overview_path, seconds_of
from shared.codec.workspace import WORKSPACE

#: Chunks in a run; the model of the run is fitted on its first chunk.
RUN = 32


class Coder:
    """Makes chunks, and decodes each again as a check."""

    def __init__(self, level: Level, check: bool, overview_rate: float | None) -> None:
        self.level, self.check, self.overview_rate = level, check, overview_rate

    def make(self, samples: Samples, number: int, first: int, model: fit.Model) -> Sealed:
        """Return one chunk, ready to be written, with its part of the overview.

        Raises
        ------
        VerificationError
            If it does not decode to the given samples.
        """
        coded = encoder.encode(samples, self.level, model, fresh=number % RUN == 0)
        if self.check:
            again = WORKSPACE.array("again", samples.shape, samples.dtype)
            decoder.decode(coded, samples.shape, samples.dtype, out=again)
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
        The `.ebin` file; its index is written beside it as `.eh`. Until `close`, the data are in
        a file of that name with `.part` added; `salvage` reads it after a crash.
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
        Number of samples, if known; chunks of several seconds then have about equal lengths.
    published : bool
        Whether the recording is for the web; its chunks then have about 3,000 samples.
    overview : bool, optional
        Whether to write the loudness of each channel and second, as `.rms.npy`; by default only
        if the recording is published.
    precious : bool
        Whether to refuse if a dead writer left an unfinished file.

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
        self._n_samples = n_samples
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
        if self._model is None or number % RUN == 0:
            stop = self.index.bounds[-1] + len(samples)
            last = len(samples) < self.chunk_length or stop == self._n_samples
            self._model = fit.fit(samples, self.coder.level, alone=last)
        sealed = self.coder.make(samples, number, self.index.bounds[-1], self._model)
        self.file.writelines(sealed.pieces)
        self.note(sealed, samples)

    def note(self, sealed: Sealed, samples: Samples | None) -> None:
        """Add a written chunk to the index, and its samples, if given, to the SHA-1."""
        self.index.add(sealed)
        if self.overview is not None:
            self.overview.add(sealed.extra)
        if self._sha1 is not None and samples is not None:
            self._sha1.update(raw_bytes(samples))

    @property
    def hexdigest(self) -> str | None:
        """The SHA-1 of the raw bytes so far; None if it is not computed."""
        return None if self._sha1 is None else self._sha1.hexdigest()

    def flush(self) -> None:
        """Flush the complete chunks to disk; an open chunk stays in memory."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Finish: write the last chunk, footer, header and sidecar; then rename the files."""
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
