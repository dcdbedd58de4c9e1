"""The recordings of SpikeGLX in a session's folder, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import recordings
from shared.codec.reader import Reader
from shared.recordings.source import FileSource
from shared.recordings.spikeglx import Meta, read_meta
from shared.science.ephys.raw_quality import RawBand, volts_of
from shared.science.errors import RawFileInvalid, RawFileMissing

KINDS = (".ebin", ".cbin", ".bin")
"""Formats of a recording; the first one that exists is read."""


class RawRecording:
    """An open recording: its ``.meta``, and pieces of its samples.

    Attributes
    ----------
    path : path
        Path of the samples.
    meta : Meta
    rate : float
        Samples a second.
    n_samples, n_channels : int
    """

    def __init__(self, path: Path, meta: Meta, samples: Reader | FileSource) -> None:
        if meta.sample_rate is None:
            raise RawFileInvalid(meta.name, "it tells no sample rate", "copy it from the rig")
        self.path, self.meta, self._samples = path, meta, samples
        self.rate = meta.sample_rate
        self.n_samples, self.n_channels = samples.shape

    def read(self, start: int, stop: int, channels: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return samples of some channels; shape (samples, channels), counts."""
        if isinstance(self._samples, FileSource):
            return np.asarray(self._samples.array[start:stop][:, channels])
        return self._samples.read(start, stop, channels=channels)

    def band(self) -> RawBand:
        """Return the recording for its quality checks: without lines of other devices.

        Raises
        ------
        RawFileInvalid
            Its ``.meta`` has no gains.
        """
        facts = self.meta.facts(self.n_channels)
        if "microvolts" not in facts:
            fix = "copy the .meta from the computer that recorded"
            raise RawFileInvalid(self.meta.name, "it does not tell the gains", fix)
        gains: Any = facts["microvolts"]
        n = self.meta.sync_columns().word
        most = int(self.meta.number("imMaxInt") or 512)
        return RawBand(
            self.read, self.n_samples, self.rate, volts_of(gains, self.n_channels)[:n], most
        )


@contextmanager
def open_recording(folder: Path, stream: str, band: str = "") -> Iterator[RawRecording]:
    """Open the one recording of a device in a folder.

    Parameters
    ----------
    folder : path
    stream : {'nidq', 'imec'}
        Device in its ``.meta``.
    band : {'ap', 'lf'}, optional
        Band of a probe.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        There is no recording, or there are several.
    CodecError
        Its bytes are damaged.
    """
    matches = [
        (data, meta)
        for path in sorted(folder.glob("*.meta"))
        if (meta := read_meta(path)) is not None
        and meta.stream == stream
        and (not band or f".{band}." in path.name)
        and (data := _data(path)) is not None
    ]
    what = f"{stream} {band}".strip()
    if not matches:
        raise RawFileMissing(
            f"the recording of {what}",
            f"no .meta with its samples beside it in {folder.name}",
            "upload both from the computer that recorded",
        )
    if len(matches) > 1:
        names = ", ".join(data.name for data, _ in matches)
        raise RawFileInvalid(
            names,
            f"{len(matches)} recordings of {what}, where a session has one: it was started again",
            "make a session of each, or keep the one that goes with the behaviour",
        )
    path, meta = matches[0]
    if path.suffix == ".bin":
        yield RawRecording(path, meta, FileSource(path))
        return
    with recordings.open(path) as samples:
        yield RawRecording(path, meta, samples)


def _data(meta: Path) -> Path | None:
    """Return the samples of a ``.meta`` file."""
    return next((path for kind in KINDS if (path := meta.with_suffix(kind)).is_file()), None)
