"""The quality of a film, by the checks of the IBL pipeline and under their names.

The rules are those of ibllib 4.1.0 (``CameraQC``), which stores them as ``_videoLeft_framerate``
and similar, the outcome first. Two need pictures of IBL's own rigs: ``position`` does not apply
here, and ``focus``, which looks at the face there, looks at the whole frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from shared.model.quality import QC, QC_NAMES
from shared.science.clocks.pulses import Floats, Fronts
from shared.science.video.frame_data import FrameData

Told = list[float | str | None]
"""A stored check: the name of its outcome, and the numbers behind it."""

Frames = npt.NDArray[np.uint8]
"""Frames in grey; shape (frames, height, width)."""

N_SAMPLES, MARGIN = 100, 100
"""Frames to check, evenly spread, and frames left out at both ends."""

BRIGHT, STEADY, MOST = (40, 200), 20, 0.75
"""Bounds of a frame's brightness, of its spread, and the share of frames that must keep them."""

RATE_OFF = 1.0
"""Largest difference of a camera's rate from its setting (frames a second)."""

LOST = 0.1
"""Percent of the frames that may be lost."""

FEW = 5
"""Frames, or sounds, that may be missing or extra with a warning only."""

SHARP, FINE, COARSE = 100, 6, 60
"""Variance of the Laplacian, brightness of the fine structure, and its coarsest cycles a frame."""

N_FOCUS = 20
"""Frames for the check of focus."""

ALIGNED = (1, 2)
"""Largest shift in frames between wheel and film: passed, with a warning."""


class CameraSettings(msgspec.Struct, frozen=True):
    """The settings of a camera: frames a second, pixels."""

    fps: float
    width: int
    height: int


TRAINING = {"left": CameraSettings(30, 1280, 1024)}
EPHYS = {
    "left": CameraSettings(60, 1280, 1024),
    "right": CameraSettings(150, 640, 512),
    "body": CameraSettings(30, 640, 512),
}
"""Cameras of IBL's rigs, if the description does not say otherwise."""


@dataclass(frozen=True)
class FilmFacts:
    """Header of a film, and some of its frames.

    Attributes
    ----------
    n_frames, fps, width, height
        From the header.
    samples : array of uint8
        Shape (`N_SAMPLES` or fewer, height, width).
    """

    n_frames: int
    fps: float
    width: int
    height: int
    samples: Frames


def expected_of(
    camera: str, on_board: bool, description: Mapping[str, Any] | None
) -> CameraSettings | None:
    """Return the settings of a camera; None if they are unknown.

    Parameters
    ----------
    camera : str
    on_board : bool
        Whether the main clock is a board, as on ephys rigs.
    description : mapping, optional
        The experiment description.
    """
    usual = (EPHYS if on_board else TRAINING).get(camera)
    devices = (description or {}).get("devices")
    cameras = devices.get("cameras") if isinstance(devices, Mapping) else None
    settings = cameras.get(camera) if isinstance(cameras, Mapping) else None
    said = {
        name: settings[name]
        for name in ("fps", "width", "height")
        if isinstance(settings, Mapping) and isinstance(settings.get(name), (int, float))
    }
    if usual is None:
        return CameraSettings(**said) if len(said) == 3 else None
    return msgspec.structs.replace(usual, **said)


def samples_of(n_frames: int) -> list[int]:
    """Return the numbers of the frames to check."""
    first, last = (MARGIN, n_frames - MARGIN) if n_frames > 2 * MARGIN else (0, n_frames - 1)
    return sorted(set(np.linspace(first, max(last, first), N_SAMPLES).astype(int).tolist()))


def checks_of(
    camera: str,
    film: FilmFacts,
    times: Floats,
    data: FrameData,
    sounds: Fronts | None,
    expected: CameraSettings | None,
) -> dict[str, Told]:
    """Judge a film and the times of its frames; ``wheel_alignment`` is judged by its motion.

    Parameters
    ----------
    camera : str
        ``left``, ``right``, ``body``, …
    film : FilmFacts
    times : array
        Times of its frames, s.
    data : FrameData
        The rig's data of the frames.
    sounds : Fronts, optional
        Sounds on the session's clock.
    expected : CameraSettings, optional
        The settings of the camera.
    """
    return {
        "brightness": [_brightness(camera, film.samples)],
        "camera_times": _camera_times(film, data),
        "dropped_frames": _dropped(film, data),
        "file_headers": [_agree([expected.fps] if expected else None, [int(film.fps)])],
        "focus": [focus(film.samples)],
        "framerate": _rate(times, expected),
        "pin_state": _pins(film, data, sounds),
        "position": ["NOT_SET"],
        "resolution": [
            _agree(
                [expected.width, expected.height] if expected else None, [film.width, film.height]
            )
        ],
        "timestamps": [_rising(times, film.n_frames)],
    }


def told(name: str, checks: Mapping[str, Told]) -> dict[str, Any]:
    """Return checks in Alyx's form: ``{"videoLeft": "PASS", "_videoLeft_focus": …}``.

    Parameters
    ----------
    name : str
        What is judged, as ``videoLeft``.
    checks : mapping
        Its checks by their names.
    """
    stored: dict[str, Any] = {
        f"_{name}_{check}": values if len(values) > 1 else values[0]
        for check, values in checks.items()
    }
    return {**stored, name: _worst(*(str(values[0]) for values in checks.values()))}


def _worst(*outcomes: str) -> str:
    return QC_NAMES[max(QC[each] for each in outcomes)]


def _agree(expected: list[Any] | None, found: list[Any]) -> str:
    if not expected:
        return "NOT_SET"
    return "PASS" if expected == found else "FAIL"


def _brightness(camera: str, samples: Frames) -> str:
    """Judge the part of the frame with the mouse."""
    if not samples.size:
        return "NOT_SET"
    _, height, width = samples.shape
    if camera == "body":
        part = samples[:, :, width // 2 :]
    elif camera == "left":
        part = samples[:, : height // 2, : int(width * 0.66)]
    else:
        part = samples[:, : height // 2, int(width * 0.66) :]
    mean = part.mean(axis=(1, 2))
    low, high = BRIGHT
    if np.mean((mean > low / 2) & (mean < high * 2)) <= MOST or np.std(mean) >= STEADY:
        return "FAIL"
    return "PASS" if np.mean((mean > low) & (mean < high)) > MOST else "WARNING"


def _camera_times(film: FilmFacts, data: FrameData) -> Told:
    if data.times is None:
        return ["NOT_SET"]
    off = data.times.size - film.n_frames
    return ["PASS" if not off else "WARNING", off]


def _dropped(film: FilmFacts, data: FrameData) -> Told:
    count = data.count
    if count is None or count.size < 2:
        return ["NOT_SET"]
    steps = np.diff(count)
    if not np.all(steps > 0):
        return ["CRITICAL"]
    lost, off = int(np.sum(steps - 1)), int(count.size - film.n_frames)
    few = "PASS" if 100 * lost / steps.size < LOST else "FAIL"
    return [_worst(_few(off), few), lost, off]


def _few(off: int) -> str:
    return "PASS" if not off else "WARNING" if abs(off) < FEW else "FAIL"


def _rate(times: Floats, expected: CameraSettings | None) -> Told:
    if expected is None or times.size < 2:
        return ["NOT_SET"]
    rate = 1 / float(np.median(np.diff(times)))
    return ["PASS" if abs(rate - expected.fps) < RATE_OFF else "FAIL", round(rate, 3)]


def _pins(film: FilmFacts, data: FrameData, sounds: Fronts | None) -> Told:
    if data.pin is None or sounds is None:
        return ["NOT_SET"]
    off = int(data.pin.size - film.n_frames)
    rises = int(np.sum(np.diff(data.pin.astype(np.int8)) == 1))
    lacking = int(sounds.times[::2].size - rises)
    outcome = _worst(_few(off), "PASS" if abs(lacking) < FEW else "WARNING")
    return [outcome, lacking, off]


def _rising(times: Floats, n_frames: int) -> str:
    whole = times.size == n_frames and np.isfinite(times).all()
    return "PASS" if whole and np.all(np.diff(times) > 0) else "FAIL"


def focus(samples: Frames) -> str:
    """Judge whether frames are sharp: by their second derivative, or by their fine structure."""
    if not samples.size:
        return "NOT_SET"
    chosen = np.unique(np.linspace(0, len(samples) - 1, N_FOCUS, dtype=int))
    frames = [equalised(frame) for frame in samples[chosen]]
    if all(_laplacian(frame).var() > SHARP for frame in frames):
        return "PASS"
    return "PASS" if all(_fine(frame) > FINE for frame in frames) else "FAIL"


def equalised(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a frame whose brightnesses are equally frequent."""
    seen = np.bincount(frame.ravel(), minlength=256)
    first = int(np.argmax(seen > 0))
    if seen[first] == frame.size:
        return frame
    above = np.cumsum(seen) - seen[first]
    table = np.rint(above * (255 / (frame.size - seen[first])))
    return np.clip(table, 0, 255).astype(np.uint8)[frame]


def _laplacian(frame: npt.NDArray[np.uint8]) -> Floats:
    padded = np.pad(frame.astype(float), 1, mode="reflect")
    across = padded[1:-1, :-2] + padded[1:-1, 2:]
    along = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return across + along - 4 * padded[1:-1, 1:-1]


def _fine(frame: npt.NDArray[np.uint8]) -> float:
    """Return the mean brightness (0 to 255) of the fine structure."""
    spectrum = np.fft.fftshift(np.fft.fft2(frame.astype(float)))
    y, x = (size // 2 for size in frame.shape)
    spectrum[max(y - COARSE, 0) : y + COARSE, max(x - COARSE, 0) : x + COARSE] = 0
    left = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    spread = float(left.max() - left.min())
    return float(np.mean((left - left.min()) * (256 / spread))) if spread > 1e-9 else 0.0


def wheel_alignment(offset: int | None) -> Told:
    """Judge the shift in frames between the wheel in the film and its encoder."""
    if offset is None:
        return ["NOT_SET"]
    # Not more than a warning, as in the reference since 2022.
    return ["PASS" if abs(offset) <= ALIGNED[0] else "WARNING", offset]
