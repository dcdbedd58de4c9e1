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

from shared.science.behaviour.replayed import GRATING, Replay
from shared.science.clocks.events import Matched, match_events
from shared.science.clocks.pulses import Floats, Fronts
from shared.science.errors import SyncFailed

SCREEN = 60.0
"""Frames a second of the screen."""

SPACER = np.array([1, 2, 4, 8, 16, 32, 64, 128, 192, 224, 240, 248, 252, 254, 255, 256]) / SCREEN
"""Times of the square's flips in a spacer (s)."""

QUIET, JITTER, N_SPACERS = 4.0, 3 / SCREEN, 3
"""Quiet time around a spacer (s), tolerance of flips (s), number of spacers."""

ALIKE = 3.2
"""Likeness above which flips are a spacer (s²)."""

SURE = slice(2, -2)
"""Intervals of a spacer that are long enough for a photodiode."""

MIDDLE = 5
"""Index among these of the interval that begins in a spacer's middle."""

FIELD = 15 * 15
"""Squares of a frame of the noise; the photodiode sees the first."""

ADJACENT = 1.0
"""Longest time between flips while the noise is shown (s)."""

APART, LATE = 1.5 / SCREEN, 0.1
"""Distance within which a flip of the file and one of the screen are the same, if some were lost;
spread of the delays of the screen, if none were (s)."""

OURS = 0.8
"""Share of the flips on the screen that must be in the file."""

GABOR = (0.1, 0.05, 0.3, 0.15)
"""Shortest grating; distance from the shortest pause; usual length, and its tolerance (s)."""

TONE, NOISE, SOUND_OFF, LONG = 0.1, 0.5, 0.02, 0.3
"""Lengths of the sounds, their tolerance, and the boundary between them (s)."""

WITH_LONG, MOST = ((6, 2, 5), (6, 5, 3)), 1.0
"""Rigs from one version to the other recorded longer pulses, too, which are no sounds (s)."""


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
    spacers = _spacers(screen.times)
    if len(spacers) != N_SPACERS:
        spacers = _similar_spacers(screen.times)
    if len(spacers) != N_SPACERS:
        raise SyncFailed(
            "the spacers of the passive protocol",
            f"{len(spacers)} were seen on the screen, and there are {N_SPACERS}",
            "look at the photodiode's line: it missed flips, or the protocol was stopped",
        )
    half = float(SPACER[-1]) / 2 + QUIET
    starts, ends = [each - half for each in spacers], [each + half for each in spacers]
    return Periods((starts[0], end), (ends[0], starts[1]), (ends[1], starts[2]), (ends[2], end))


def _spacers(times: Floats) -> list[float]:
    """Return the middles of spacers of which no flip was lost."""
    gaps, model = np.diff(times), np.diff(SPACER)[SURE]
    spacers: list[float] = []
    if gaps.size >= model.size:
        windows = np.lib.stride_tricks.sliding_window_view(gaps, model.size)
        at = np.flatnonzero((np.abs(windows - model) <= JITTER).all(axis=1))
        for middle in times[at + MIDDLE]:
            if not spacers or middle - spacers[-1] > SPACER[-1]:
                spacers.append(float(middle))
    return spacers


def _similar_spacers(times: Floats) -> list[float]:
    """Return the middles of what is much like a spacer, as the reference finds it."""
    from scipy.signal import find_peaks

    gaps, model = np.diff(times), np.diff(SPACER)[SURE] + JITTER
    if gaps.size < model.size:
        return []
    gaps[(gaps > model.max()) | (gaps < model.min())] = 0
    alike = np.correlate(gaps, model, mode="same")
    middles, _ = find_peaks(alike, height=ALIKE)
    half = model.size // 2
    return [
        float(times[at])
        for at in middles
        if np.all(np.diff(gaps[at - half : at]) >= 0)
        and np.all(np.diff(gaps[at : at + half]) <= 0)
    ]


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
    matched = _one_by_one(flips, seen) or match_events(flips, seen, APART)
    if matched is None or matched.theirs.size < OURS * seen.size:
        text = f"its {flips.size} flips are not the {seen.size} that were seen on the screen"
        raise SyncFailed(name, text, "check that the file is of this session")
    return matched.convert(np.arange(square.size) / SCREEN)


def _one_by_one(flips: Floats, seen: Floats) -> Matched | None:
    """Pair flips in their order, if all were seen; the last one has no time between flips."""
    flips = flips[:-1]
    if flips.size < 2 or flips.size != seen.size:
        return None
    shifts = seen - flips
    number = np.arange(flips.size)
    fits = np.ptp(shifts) < LATE
    return Matched(number, number, flips, seen) if fits else None


def gabors(screen: Fronts, replay: Replay | None) -> tuple[Floats, Floats]:
    """Return when gratings came and went, and what they looked like.

    Parameters
    ----------
    screen : Fronts
        Flips of the replay.
    replay : Replay, optional
        What was replayed. On rigs the first grating was blank, and each later one looked as the
        one before it should have; a few rigs showed it.

    Returns
    -------
    times : array
        Shape (gratings, 2), s.
    looks : array
        Shape (gratings, 3): position, contrast, phase; NaN if they are not those of the replay.
    """
    times = screen.times
    gaps = np.diff(times)
    groups = [each for each in (gaps[2:-2:2], gaps[3:-2:2]) if each.size]
    if not groups:
        return np.empty((0, 2)), np.empty((0, 3))
    pauses = max(groups, key=lambda each: float(each.max()))
    shortest, apart, *_ = GABOR
    at = np.flatnonzero((gaps < pauses.min() - apart) & (gaps > shortest))
    for asked in (replay.shifted(), replay) if replay else ():
        n = asked.count(GRATING)
        # the first may be the square as it was before
        chosen = at[1:] if at.size == n + 1 and at[0] == 0 else at
        seen = np.column_stack([times[chosen], times[chosen + 1]])
        if len(seen) == n and _usual(seen).all():
            return seen, asked.looks
    seen = np.column_stack([times[at], times[at + 1]])
    seen = seen[_usual(seen)]
    return seen, np.full((len(seen), 3), np.nan)


def _usual(seen: Floats) -> npt.NDArray[np.bool_]:
    """Tell which gratings lasted as long as usual."""
    *_, length, off = GABOR
    return np.abs(seen[:, 1] - seen[:, 0] - length) <= off


def sounds(sound: Fronts, version: tuple[int, int, int]) -> tuple[Floats, Floats]:
    """Return tones and bursts of noise; shape (sounds, 2) each, s.

    Parameters
    ----------
    sound : Fronts
        Changes of the line of the sounds.
    version : tuple of int
        The rig's.

    Raises
    ------
    SyncFailed
        A sound has neither length.
    """
    heard = sound.intervals()
    length = heard[:, 1] - heard[:, 0]
    if WITH_LONG[0] <= version <= WITH_LONG[1]:
        heard, length = heard[length < MOST], length[length < MOST]
    tones, bursts = heard[length <= LONG], heard[length > LONG]
    for name, found, usual in (("tones", tones, TONE), ("bursts of noise", bursts, NOISE)):
        if np.any(np.abs(found[:, 1] - found[:, 0] - usual) > SOUND_OFF):
            raise SyncFailed(
                f"the {name} of the passive protocol",
                f"some do not last {usual} s",
                "look at the line of the sounds in the recording",
            )
    return tones, bursts


def in_order(replay: Replay, found: Mapping[str, Floats]) -> bool:
    """Tell whether stimuli came in the order of a replay, with its first grating or without.

    Parameters
    ----------
    replay : Replay
    found : mapping of array
        When the stimuli of each kind came, s.
    """
    kinds = np.concatenate([np.full(times.size, kind) for kind, times in found.items()])
    order = np.argsort(np.concatenate(list(found.values())), kind="stable")
    return any(np.array_equal(kinds[order], each.kinds) for each in (replay.shifted(), replay))


def stimuli(valve: Floats, tones: Floats, bursts: Floats) -> dict[str, Floats]:
    """Return the columns of ``passiveStims.table``, filled up with NaN."""
    n = max(len(valve), len(tones), len(bursts))
    columns: dict[str, Floats] = {}
    for name, found in (("valve", valve), ("tone", tones), ("noise", bursts)):
        for edge, values in zip(("On", "Off"), found.T, strict=True):
            columns[f"{name}{edge}"] = np.append(values, np.full(n - len(found), np.nan))
    return columns
