"""Films of cameras: read all frames or some of them, and write films.

PyAV brings the libraries of ffmpeg with it: a worker needs no program beside Python.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from shared.science.errors import RawFileInvalid, RawFileMissing

log = logging.getLogger(__name__)

Frame = npt.NDArray[np.uint8]
"""A frame in grey: (height, width)."""

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov")
"""Formats of a film; the first one that exists is read."""

KEY_EVERY = 60
"""Frames between key frames: a page that jumps decodes so many at most."""

CRF = {"bpod": "29", "nidq": "17"}
"""Quality (lower is better) by the session's clock, as the IBL pipeline compresses its films."""


@dataclass(frozen=True)
class FilmHeader:
    """Header of a film.

    Attributes
    ----------
    n_frames
        The counted frames, not the header's number.
    fps
        Frames a second of the container, which need not be the camera's.
    """

    n_frames: int
    fps: float
    width: int
    height: int


def find_film(folder: Path, camera: str) -> Path:
    """Return a camera's film.

    Raises
    ------
    RawFileMissing
        There is no film of the camera.
    """
    name = f"_iblrig_{camera}Camera.raw"
    for suffix in SUFFIXES:
        for path in sorted(folder.glob(f"{name}*{suffix}")):
            return path
    raise RawFileMissing(
        f"{name}.mp4", f"not in {folder.name}", "copy it from the camera's computer"
    )


class Film:
    """An open film.

    Attributes
    ----------
    header : FilmHeader
    """

    def __init__(self, path: Path, container: Any) -> None:
        self.path, self._container = path, container
        if not container.streams.video:
            raise _unreadable(path, "it has no pictures")
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._at = sorted(
            packet.pts for packet in container.demux(self._stream) if packet.pts is not None
        )
        if len(self._at) < max(self._stream.frames, 1):
            why = f"of {self._stream.frames} frames {len(self._at)} are there: it was cut short"
            raise _unreadable(path, why if self._at else "it has no frames")
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.header = FilmHeader(
            len(self._at),
            float(rate) if rate else 0.0,
            self._stream.codec_context.width,
            self._stream.codec_context.height,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        for frame in self._from(self._at[0]):
            yield frame.to_ndarray(format="gray")

    def _from(self, at: int) -> Iterator[Any]:
        """Read from the last key frame before a moment on; frames read before are dropped."""
        self._container.seek(at, stream=self._stream)
        return self._container.decode(self._stream)

    def samples(self, numbers: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return some frames, by their number from 0, rising; shape (frames, height, width)."""
        selected: list[Frame] = []
        reading: Iterator[Any] = iter(())
        last = -KEY_EVERY - 1
        for number in numbers:
            wanted = self._at[number]
            if not last < number <= last + KEY_EVERY:
                reading = self._from(wanted)
            frame = next(
                (raw for raw in reading if raw.pts is not None and raw.pts >= wanted),
                None,
            )
            if frame is None:
                raise _unreadable(self.path, f"frame {number} cannot be decoded")
            selected.append(frame.to_ndarray(format="gray"))
            last = number
        return np.stack(selected)


@contextmanager
def open_film(path: Path) -> Iterator[Film]:
    """Open a film.

    Raises
    ------
    RawFileInvalid
        It is not a film, or it is damaged.
    """
    try:
        with av.open(str(path)) as container:
            yield Film(path, container)
    except av.FFmpegError as error:
        if isinstance(error, OSError) and not isinstance(error, av.InvalidDataError):
            raise
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> RawFileInvalid:
    return RawFileInvalid(
        path.name, f"no film that can be read: {why}", "copy it from the rig again"
    )


def write_film(
    path: Path, frames: Iterable[Frame], fps: float, crf: str = CRF["nidq"], codec: str = "libx264"
) -> int:
    """Write frames as a film; return their number.

    Pages can play it at once: H.264 with its index first and every `KEY_EVERY` th frame a key
    frame. The same frames give the same bytes.

    Parameters
    ----------
    path : path
        Its suffix decides the container.
    frames : iterable of array
        Grey; height and width are even.
    fps : float
        Frames a second.
    crf, codec : str
        Settings of the encoder.
    """
    number = 0
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = (
            {"crf": crf, "preset": "slow", "g": str(KEY_EVERY)} if codec == "libx264" else {}
        )
        stream.codec_context.thread_count = 1 if codec != "libx264" else _threads()
        for number, grey in enumerate(frames, start=1):
            if number == 1:
                stream.height, stream.width = grey.shape
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="gray")
            frame.pts = number - 1
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return number


def _threads() -> int:
    return min(os.cpu_count() or 1, 4)


def compress_film(source: Path, target: Path, crf: str) -> FilmHeader:
    """Compress a film, and prove that no frame is missing.

    Raises
    ------
    RawFileInvalid
        The film cannot be read, or frames are missing afterwards.
    """
    with open_film(source) as film:
        header = film.header
        write_film(target, film.frames(), header.fps or 30.0, crf)
    with open_film(target) as made:
        if made.header.n_frames != header.n_frames:
            raise RawFileInvalid(
                source.name,
                f"of {header.n_frames} frames only {made.header.n_frames} can be decoded",
                "copy it from the rig again, or cut it where it is damaged",
            )
    return header
