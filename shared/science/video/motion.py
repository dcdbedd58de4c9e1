"""The motion in a film, and whether its wheel moves when the encoder's does.

Motion energy is the mean absolute change of brightness from the frame before, in a rectangle, as
in the IBL pipeline (``ROIMotionEnergy``). The wheel is compared, as in ibllib's
``MotionAlignment``, by the cross-correlation of its speed with the energy around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.science.clocks.pulses import Floats

WITH_WHEEL = ("left", "right")
"""Cameras that see the wheel."""

SECONDS = 1.0
"""Largest shift between wheel and film, to both sides (s)."""

ALIKE = 0.15
"""Least correlation with which wheel and film show the same movement."""


@dataclass(frozen=True)
class Rectangle:
    """A part of a frame, px: width, height, and its upper left corner."""

    width: int
    height: int
    x: int
    y: int

    def of(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
        """Return this part of a frame."""
        part = frame[self.y : self.y + self.height, self.x : self.x + self.width]
        return part.astype(np.int16)

    def array(self) -> npt.NDArray[np.int64]:
        """Return it in the form of ``ROIMotionEnergy.position``."""
        return np.array([self.width, self.height, self.x, self.y], np.int64)


def mouse_part(camera: str, width: int, height: int) -> Rectangle:
    """Return the part with the mouse: two thirds of the upper half; of the body, one half."""
    if camera == "body":
        return Rectangle(width - width // 2, height, width // 2, 0)
    wide = int(width * 0.66)
    return Rectangle(wide, height // 2, 0 if camera == "left" else width - wide, 0)


def wheel_part(width: int, height: int) -> Rectangle:
    """Return the part with the wheel: below the middle, without the lowest tenth."""
    top = height // 2
    return Rectangle(width, int(height * 0.9) - top, 0, top)


def motion_energy(
    frames: Iterable[npt.NDArray[np.uint8]], parts: list[Rectangle]
) -> npt.NDArray[np.float64]:
    """Return the motion energy in some parts of a film.

    Parameters
    ----------
    frames : iterable of array
        Grey, in order.
    parts : list of Rectangle

    Returns
    -------
    array
        Shape (frames, parts), brightness of 0 to 255; 0 in the first frame.
    """
    before: list[npt.NDArray[np.int16]] | None = None
    energies: list[list[float]] = []
    for frame in frames:
        now = [part.of(frame) for part in parts]
        pairs = zip(now, before or now, strict=True)
        energies.append([float(np.abs(a - b).mean()) for a, b in pairs])
        before = now
    return np.array(energies).reshape(-1, len(parts))


def wheel_offset(
    energy: Floats, times: Floats, wheel_times: Floats, wheel_position: Floats
) -> int | None:
    """Return the number of frames by which a film's wheel is behind its encoder.

    Parameters
    ----------
    energy : array
        Shape (frames,): motion energy around the wheel.
    times : array
        Shape (frames,): times of the frames, s.
    wheel_times, wheel_position : array
        Shape (samples,): of the encoder, s and rad.

    Returns
    -------
    int or None
        None if the two do not correlate: the wheel stood still, or cannot be seen.
    """
    n = min(energy.size, times.size)
    if n < 3 or wheel_times.size < 2:
        return None
    seen = (times[:n] >= wheel_times[0]) & (times[:n] <= wheel_times[-1])
    position = np.interp(times[:n], wheel_times, wheel_position)
    speed = np.where(seen, np.abs(np.diff(position, prepend=position[:1])), 0.0)
    a, b = _standard(np.where(seen, energy[:n], np.median(energy[:n]))), _standard(speed)
    if a is None or b is None:
        return None
    reach = min(int(SECONDS / float(np.median(np.diff(times[:n])))), n // 2)
    size = 2 * n
    together = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size).conj(), size) / n
    lags = np.arange(-reach, reach + 1)
    near = together[lags]
    best = int(np.argmax(near))
    return int(lags[best]) if near[best] > ALIKE else None


def _standard(values: Floats) -> Floats | None:
    spread = float(np.std(values))
    return (values - values.mean()) / spread if spread > 1e-12 else None
