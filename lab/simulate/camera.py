"""The film of a simulated session's camera: a wheel that turns, a paw, the number of each frame.

A frame shows the events at its time, so that the times found for frames can be compared with the
truth. Frames before the recording, lost ones and late ones occur as on real rigs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.simulate.board import CAMERAS, BoardClock, stopped_at
from lab.simulate.mouse import Floats

if TYPE_CHECKING:
    from lab.simulate.course import Course

COLLECTION = "raw_video_data"

FIRST = -2.0
"""Time of the first frame signal to the board, on the state machine's clock (s)."""

BITS = 16
"""Bits of the number in a frame: squares on its lower edge, bright for 1, highest bit first."""

PAW = 240
"""Brightness of the paw: nothing else is so bright."""

STAMP_ZERO, NUMBER_ZERO = 37.5, 389_918_212
"""Readings of the camera's clock (s) and counter at its first frame."""

TICKS = 6.375e17
"""Reading of the computer's clock at that frame, in units of 100 ns."""


@dataclass(frozen=True)
class SimulatedCamera:
    """A camera.

    Attributes
    ----------
    label : str
        ``left``, ``right`` or ``body``.
    width, height : int
        Pixels, even.
    before : int
        Frames signalled before the film began.
    lost : tuple of int
        Numbers of frames, from the film's first, that the computer lost.
    unsigned : int
        Last frames of the film, which the board missed because it was stopped before.
    drift : float
        Excess speed of the camera's own clock in parts per million.
    suffix : str
        ``mp4``, or ``avi`` for pictures without compression over time.
    fps : float, optional
        Frames a second without a board; with one its pulses give the frames.
    """

    label: str = "left"
    width: int = 64
    height: int = 48
    before: int = 7
    lost: tuple[int, ...] = (100, 101, 350)
    unsigned: int = 0
    drift: float = 35.0
    suffix: str = "mp4"
    fps: float | None = None

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.fps or CAMERAS[self.label]


@dataclass(frozen=True)
class FilmTruth:
    """The truth about a simulated film.

    Attributes
    ----------
    times : array
        Shape (frames,): on the main clock, s.
    paw : array
        Shape (frames, 2): x and y of the paw's centre, px.
    """

    times: Floats
    paw: Floats
    path: Path


@dataclass(frozen=True)
class Scene:
    """The scene in front of a camera: times on the main clock, s.

    Attributes
    ----------
    wheel_times, wheel_position : array
        Shape (steps,): s, rad.
    sounds : array
        Shape (changes,): when sounds begin and end in turn.
    end : float
        When the board was stopped, on the state machine's clock.
    """

    wheel_times: Floats
    wheel_position: Floats
    sounds: Floats
    end: float

    def angle(self, times: Floats) -> Floats:
        """Return the wheel's angle (rad)."""
        return np.interp(times, self.wheel_times, self.wheel_position)

    def sounding(self, times: Floats) -> NDArray[np.bool_]:
        """Return whether a sound is on."""
        return np.searchsorted(self.sounds, times, side="right") % 2 == 1


def add_film(session: Path, scene: Scene, clock: BoardClock, camera: SimulatedCamera) -> FilmTruth:
    """Write the film of a camera and the rig's data of its frames.

    Needs PyAV, as the extra ``video`` brings it.

    Parameters
    ----------
    session : path
    scene : Scene
    clock : BoardClock
        The main clock.
    camera : SimulatedCamera
    """
    from lab.tasks.films import write_film

    signed = np.arange(FIRST, scene.end, 1 / camera.rate)
    late = signed[-1] + (np.arange(camera.unsigned) + 1) / camera.rate
    numbers = np.arange(signed.size + camera.unsigned - camera.before)
    at = np.concatenate([signed, late])[camera.before :]
    recorded = ~np.isin(numbers, camera.lost)
    numbers, at = numbers[recorded], clock.read(at[recorded])
    folder = session / COLLECTION
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"_iblrig_{camera.label}Camera.raw.{camera.suffix}"
    angle = scene.angle(at)
    paw = paw_at(angle, camera)
    codec = "libx264" if camera.suffix == "mp4" else "mjpeg"
    write_film(path, _frames(camera, numbers, angle, paw), camera.rate, codec=codec)
    _write_frame_data(folder, camera, numbers, at, scene.sounding(at))
    return FilmTruth(at, paw, path)


def heard_by_state_machine(course: Course, camera: SimulatedCamera) -> dict[str, list[Floats]]:
    """Return a camera's pulses within each trial, as the state machine writes them.

    Each entry is one pulse of all trials; NaN where a trial has fewer.
    """
    times = np.arange(FIRST, stopped_at(course), 1 / camera.rate)
    rises, falls = times, times + 0.5 / camera.rate
    starts, ends = course.offset, course.end - course.bpod_start
    pulses: dict[str, list[Floats]] = {}
    for name, changes in (("Port1In", rises), ("Port1Out", falls)):
        within = [changes[(changes >= a) & (changes < b)] - a
                  for a, b in zip(starts, ends, strict=True)]  # fmt: skip
        table = np.full((max(each.size for each in within), len(within)), np.nan)
        for trial, each in enumerate(within):
            table[: each.size, trial] = np.round(each, 4)
        pulses[name] = list(table)
    return pulses


def paw_at(angle: Floats, camera: SimulatedCamera) -> Floats:
    """Return the paw's place for an angle of the wheel: it moves to and fro above it."""
    x = camera.width * (0.3 + 0.14 * np.sin(3 * angle))
    y = camera.height * (0.35 + 0.06 * np.cos(3 * angle))
    return np.column_stack([x, y])


def number_in(frame: NDArray[np.uint8]) -> int:
    """Return the number drawn along the lower edge of a simulated frame."""
    size = frame.shape[1] // BITS
    squares = frame[-size + 1 : -1, : size * BITS].reshape(size - 2, BITS, size)
    return int("".join("1" if bright > 128 else "0" for bright in squares.mean(axis=(0, 2))), 2)


def _frames(
    camera: SimulatedCamera, numbers: NDArray[np.int64], angle: Floats, paw: Floats
) -> Iterator[NDArray[np.uint8]]:
    """Yield the camera's frames."""
    w, h = camera.width, camera.height
    y, x = np.mgrid[:h, :w].astype(float)
    still = 95 + 30 * np.random.default_rng(1).random((h, w))
    hub, radius = (0.62 * w, 0.62 * h), 0.27 * h
    around, away = np.arctan2(y - hub[1], x - hub[0]), np.hypot(x - hub[0], y - hub[1])
    on_wheel = away < radius
    size = w // BITS
    for number, turned, (px, py) in zip(numbers, angle, paw, strict=True):
        frame = still.copy()
        spokes = np.sin(5 * (around + turned)) > 0
        frame[on_wheel] = np.where(spokes[on_wheel], 60, 150)
        near = np.clip(3.2 - np.hypot(x - px, y - py), 0, 1)
        frame += near * (PAW - frame)
        squares = np.frombuffer(f"{int(number) % (1 << BITS):0{BITS}b}".encode(), np.uint8) == 49
        frame[-size:, : size * BITS] = np.repeat(np.where(squares, 255, 0), size)
        yield np.rint(frame).astype(np.uint8)


def _write_frame_data(
    folder: Path,
    camera: SimulatedCamera,
    numbers: NDArray[np.int64],
    at: Floats,
    sounding: NDArray[np.bool_],
) -> None:
    """Write clocks, number and pins of each frame, as rigs do since 2021."""
    from shared.science.video.frame_data import SYNC_PIN, stamps_of

    since = at - at[0]
    stamps = stamps_of(STAMP_ZERO + since * (1 + camera.drift * 1e-6))
    pins = np.where(sounding, 1 << SYNC_PIN, 0)
    rows = np.column_stack([TICKS + since * 1e7, stamps, NUMBER_ZERO + numbers, pins])
    rows.astype(np.float64).tofile(folder / f"_iblrig_{camera.label}Camera.frameData.bin")
