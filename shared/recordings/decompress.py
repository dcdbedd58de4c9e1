"""Decompression of whole recordings to plain samples, and their verification."""

import hashlib
import io
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from shared.codec import salvage as damaged
from shared.codec.chunk import raw_bytes
from shared.codec.errors import CodecError, CorruptionError
from shared.codec.files import LocalFile, Progress, refuse_existing, replacing, write_at
from shared.codec.reader import Reader
from shared.codec.workspace import WORKSPACE
from shared.recordings import mtscomp, opening
from shared.recordings.parallel import OrderedJob, run_jobs


class Decoding(OrderedJob):
    """Decodes the chunks of a recording directly into their places in a file."""

    def __init__(
        self,
        path: Path,
        sidecar: Path | None,
        target: Path,
        offset: int,
        reader: Reader | None = None,
    ) -> None:
        self.arguments = (path, sidecar, target, offset)
        self.reader = reader or opening.open(path, sidecar=sidecar, threads=1)
        self.target, self.offset = target, offset
        self.handle = os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Worker processes open the files themselves."""
        return type(self), self.arguments

    def __call__(self, number: int, shared: None) -> int:
        """Write one chunk; return its number of samples."""
        reader = self.reader
        _, first, length, *_ = reader.index.entry(number)
        samples = WORKSPACE.array("whole", (length, reader.n_channels), reader.dtype)
        reader.decode(number, out=samples)
        position = self.offset + first * reader.n_channels * reader.dtype.itemsize
        write_at(self.handle, position, [raw_bytes(samples)])
        return length


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
        Whether to write the undamaged chunks, with zeros in place of the others.
    progress : callable, optional
        Called with the samples done and all samples.

    Returns
    -------
    list of str
        The damage, when salvaging; empty otherwise.

    Raises
    ------
    CodecError
        Nothing is left at the target then.
    """
    source = Path(source)
    target = Path(target) if target is not None else source.with_suffix(".bin")
    refuse_existing(target, overwrite=overwrite)
    sidecar_path = Path(sidecar) if sidecar is not None else None
    if salvage:
        return _salvage(source, sidecar_path, target, overwrite, progress)
    with (
        opening.open(source, sidecar=sidecar_path, threads=1) as reader,
        replacing(target, overwrite) as file,
    ):
        header = _npy_header(reader) if target.suffix == ".npy" else b""
        file.write(header)
        file.truncate(len(header) + reader.nbytes)
        file.flush()
        job = Decoding(source, sidecar_path, Path(file.name), len(header), reader)
        done = 0
        with closing(run_jobs(job, reader.n_chunks, workers, shareable=True)) as lengths:
            for length in lengths:
                done += length
                if progress:
                    progress(done, reader.shape[0])
        os.close(job.handle)
    return []


def _npy_header(reader: Reader) -> bytes:
    buffer = io.BytesIO()
    descr = reader.dtype.newbyteorder("<").str
    header = {"descr": descr, "fortran_order": False, "shape": reader.shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def open_salvaged(
    source: str | Path, sidecar: str | Path | None = None
) -> tuple[Reader, list[str]]:
    """Open a damaged recording, to read its undamaged chunks.

    Returns
    -------
    Reader
        Raises `CorruptionError` for damaged chunks, and reads all others.
    list of str
        Faults of the file as a whole.
    """
    file = LocalFile(Path(source))
    if file.path.suffix != ".cbin":
        return damaged.open_salvaged(file)
    reader = mtscomp.open_pair(file, sidecar, {"cache_bytes": 0}, torn=True)
    size, said = file.size(), reader.index.offsets[-1]
    return reader, [] if size == said else [f"{file.name} has {size} bytes, not {said}"]


def _salvage(
    source: Path, sidecar: Path | None, target: Path, overwrite: bool, progress: Progress | None
) -> list[str]:
    """Write all chunks that can be decoded, and zeros for the others."""
    reader, problems = open_salvaged(source, sidecar)
    with reader, replacing(target, overwrite) as file:
        if target.suffix == ".npy":
            file.write(_npy_header(reader))
        for number in range(reader.n_chunks):
            start, stop = reader.index.bounds[number : number + 2]
            try:
                samples = reader.decode(number)
            except CorruptionError as error:
                problems.append(f"{error}: samples {start} to {stop} are zeros")
                samples = np.zeros((stop - start, reader.shape[1]), reader.dtype)
            file.write(raw_bytes(samples))
            if progress:
                progress(stop, reader.shape[0])
    return problems


def verify(
    source: str | Path,
    against: object = None,
    *,
    progress: Progress | None = None,
) -> list[str]:
    """Check every byte of a recording, and every sample if the original is given.

    Parameters
    ----------
    source : path
    against : array or path, optional
        The original.
    progress : callable, optional

    Returns
    -------
    list of str
        Faults, chunk by chunk; empty if there are none.
    """
    problems: list[str] = []
    try:
        reader = opening.open(source, threads=1)
    except CodecError as error:
        problems.append(str(error))
        if str(source).endswith(".cbin"):
            return problems
        reader, more = open_salvaged(source)
        problems += more
    with reader:
        original = None
        if against is not None:
            original = opening.open_source(against, reader.shape[1], reader.dtype)
            if original.shape != reader.shape:
                return [*problems, f"the original is {original.shape}, not {reader.shape}"]
        total = hashlib.sha1(usedforsecurity=False)
        for number in range(reader.n_chunks):
            start, stop = reader.index.bounds[number : number + 2]
            try:
                samples = reader.decode(number)
                if reader.sha1:
                    total.update(raw_bytes(samples))
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
