"""The stimuli and sounds of a passive protocol, on the main clock.

Three periods follow each other, each after a spacer of sixteen flips of the screen's square:
spontaneous activity, noise that maps receptive fields, and a replay of the task's stimuli, sounds
and valve. The rules are those of the IBL pipeline (ibllib 4.1.0, ``PassiveChoiceWorld``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.science.clocks.events import match_events
from shared.science.clocks.pulses import Floats, Fronts
from shared.science.errors import SyncFailed

SCREEN = 60.0
"""Frames a second of the screen."""

SPACER = np.array([1, 2, 4, 8, 16, 32, 64, 128, 192, 224, 240, 248, 252, 254, 255, 256]) / SCREEN
"""Times of the square's flips in a spacer (s)."""

QUIET, JITTER, N_SPACERS = 4.0, 3 / SCREEN, 3
"""Quiet time around a spacer (s), tolerance of flips (s), number of spacers."""

SURE = slice(2, -2)
"""Intervals of a spacer that are long enough for a photodiode."""

MIDDLE = 5
"""Index among these of the interval that begins in a spacer's middle."""

FIELD = 15 * 15
"""Squares of a frame of the noise; the photodiode sees the first."""

ADJACENT = 1.0
"""Longest time between flips while the noise is shown (s)."""

GABOR = (0.1, 0.05, 0.3, 0.15)
"""Shortest grating; distance from the shortest pause; usual length, and its tolerance (s)."""

TONE, NOISE, SOUND_OFF, LONG = 0.1, 0.5, 0.02, 0.3
"""Lengths of the sounds, their tolerance, and the boundary between them (s)."""


@dataclass(frozen=True)
class Periods:
    """The periods of a passive protocol; (start, stop), s."""

    protocol: tuple[float, float]
    spontaneous: tuple[float, float]
    mapping: tuple[float, float]
    replay: tuple[float, float]


def periods(screen: Fronts, end: float) -> Periods:
    """Find the periods by the spacers between them.

    Parameters
    ----------
    screen : Fronts
        Flips of the square, without flicker.
    end : float
        End of the protocol, s.

    Raises
    ------
    SyncFailed
        The number of spacers is not three.
    """
    gaps, model = np.diff(screen.times), np.diff(SPACER)[SURE]
    spacers: list[float] = []
    if gaps.size >= model.size:
        windows = np.lib.stride_tricks.sliding_window_view(gaps, model.size)
        at = np.flatnonzero((np.abs(windows - model) <= JITTER).all(axis=1))
        for middle in screen.times[at + MIDDLE]:
            if not spacers or middle - spacers[-1] > SPACER[-1]:
                spacers.append(float(middle))
    if len(spacers) != N_SPACERS:
        raise SyncFailed(
            "the spacers of the passive protocol",
            f"{len(spacers)} were seen on the screen, and there are {N_SPACERS}",
            "look at the photodiode's line: it missed flips, or the protocol was stopped",
        )
    half = float(SPACER[-1]) / 2 + QUIET
    starts, ends = [each - half for each in spacers], [each + half for each in spacers]
    return Periods((starts[0], end), (ends[0], starts[1]), (ends[1], starts[2]), (ends[2], end))


def mapping_times(frames: npt.NDArray[np.uint8], screen: Fronts) -> Floats:
    """Return when each frame of the noise was shown; shape (frames,), s.

    Parameters
    ----------
    frames : array of uint8
        ``_iblrig_RFMapStim.raw.bin``, unchanged.
    screen : Fronts
        Flips of the period.

    Raises
    ------
    SyncFailed
        Flips and file do not match.
    """
    name = "_iblrig_RFMapStim.raw.bin"
    if frames.size % FIELD or not frames.size:
        text = f"{frames.size} bytes are no frames of 15 × 15 squares"
        raise SyncFailed(name, text, "copy it from the rig again")
    square = frames[::FIELD].astype(int)
    flips = np.flatnonzero(np.diff(square)) / SCREEN
    near = np.flatnonzero(np.diff(screen.times) <= ADJACENT)
    rises = screen.polarities[near] == 1
    # If a rig flips mostly one way, the other way is the flicker of the photodiode.
    both = abs(int(rises.sum()) - int((~rises).sum())) <= 1
    seen = screen.times[near if both else near[rises == (rises.mean() > 0.5)]]
    matched = match_events(flips, seen)
    if matched is None:
        text = f"its {flips.size} flips are not the {seen.size} that were seen on the screen"
        raise SyncFailed(name, text, "check that the file is of this session")
    return matched.convert(np.arange(square.size) / SCREEN)


def gabors(screen: Fronts) -> Floats:
    """Return when gratings came and went; shape (gratings, 2), s."""
    times = screen.times
    gaps = np.diff(times)
    groups = [each for each in (gaps[2:-2:2], gaps[3:-2:2]) if each.size]
    if not groups:
        return np.empty((0, 2))
    pauses = max(groups, key=lambda each: float(each.max()))
    shortest, apart, length, off = GABOR
    at = np.flatnonzero((gaps < pauses.min() - apart) & (gaps > shortest))
    intervals = np.column_stack([times[at], times[at + 1]])
    return intervals[np.abs(intervals[:, 1] - intervals[:, 0] - length) <= off]


def sounds(sound: Fronts) -> tuple[Floats, Floats]:
    """Return tones and bursts of noise; shape (sounds, 2) each, s.

    Raises
    ------
    SyncFailed
        A sound has neither length.
    """
    heard = sound.intervals()
    length = heard[:, 1] - heard[:, 0]
    tones, bursts = heard[length <= LONG], heard[length > LONG]
    for name, found, usual in (("tones", tones, TONE), ("bursts of noise", bursts, NOISE)):
        if np.any(np.abs(found[:, 1] - found[:, 0] - usual) > SOUND_OFF):
            raise SyncFailed(
                f"the {name} of the passive protocol",
                f"some do not last {usual} s",
                "look at the line of the sounds in the recording",
            )
    return tones, bursts


def stimuli(valve: Floats, tones: Floats, bursts: Floats) -> dict[str, Floats]:
    """Return the columns of ``passiveStims.table``, filled up with NaN."""
    n = max(len(valve), len(tones), len(bursts))
    columns: dict[str, Floats] = {}
    for name, found in (("valve", valve), ("tone", tones), ("noise", bursts)):
        for edge, values in zip(("On", "Off"), found.T, strict=True):
            columns[f"{name}{edge}"] = np.append(values, np.full(n - len(found), np.nan))
    return columns


def replayed_gabors(found: Floats, sequence: Mapping[str, Floats] | None) -> dict[str, Floats]:
    """Return the columns of ``passiveGabor.table``.

    Parameters
    ----------
    found : array
        Shape (n, 2): when gratings came and went, s.
    sequence : mapping, optional
        ``position``, ``contrast``, ``phase`` of the replay's gratings. On rigs the first was
        blank, and each later one looked as the one before it should have: n, or n + 1. Without it
        the gratings' looks are unknown.
    """
    columns = {"start": found[:, 0], "stop": found[:, 1]}
    n = len(found)
    for name in ("position", "contrast", "phase"):
        said = np.empty(0) if sequence is None else np.asarray(sequence[name], float)
        columns[name] = said[:n] if said.size in (n, n + 1) else np.full(n, np.nan)
    return columns
