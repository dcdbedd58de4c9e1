"""The time of each frame of a film, on the clock of the session.

A camera signals every frame to the main clock, but films lack frames: those before the recording
was started, those lost on the way, those after its end. The camera's own count tells which frames
a film has. The first sound, which both the main clock and a pin of the camera record, tells where
the count begins among the signals. The rules are those of the IBL pipeline (ibllib 4.1.0,
``CameraTimestampsFPGA``, ``CameraTimestampsBpod``), with three exceptions. Frames without a signal
continue from the first and last signal at the camera's own rate; the reference begins one period
too early, and without pins leaves frames untimed, or takes the period for the rate. Where the film
begins after the first sound, sounds are found by the pauses between them; the reference takes the
film's first sound for the session's first, and its times are wrong by seconds. Signals that the
main clock lost are filled in; in the reference all later frames are one too early.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shared.science.behaviour.raw_task import RawTask
from shared.science.clocks.events import match_events
from shared.science.clocks.pulses import Floats, Fronts
from shared.science.errors import SyncFailed
from shared.science.video.frame_data import FrameData, Integers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundRules:
    """Rules for finding a camera's sounds among those of the main clock.

    Attributes
    ----------
    tolerance
        Largest distance in seconds, both counted from the first sound.
    nearest
        Whether the nearest sound is taken, or the first within the tolerance.
    shortest
        Length (s) below which a camera cannot see a sound or a pause.
    """

    tolerance: float
    nearest: bool
    shortest: float


MANY = 100
"""Frames over which the time between two is measured."""

SEEN, NEAR = 1 / 2, 2
"""Share of the camera's sounds that lie within so many frames of one of the main clock, at least.

By chance a twentieth do: sounds are seconds apart.
"""

BY_BOARD = SoundRules(2.0, False, 0.0)
BY_STATE_MACHINE = SoundRules(0.5, True, 5e-3)


@dataclass(frozen=True)
class FrameTimes:
    """The times of a film's frames.

    Attributes
    ----------
    times : array
        Shape (frames,): s on the session's clock.
    method
        ``pins``: by count and sounds; ``counts``: by count alone, with most possible signals.
    n_before, n_lost
        Signals before the film's first frame; frames lost within it.
    n_extrapolated
        Frames without a signal: their times continue at the camera's rate.
    reason
        Why the pins were not used; empty if they were.
    """

    times: Floats
    method: str
    n_before: int
    n_lost: int
    n_extrapolated: int
    reason: str = ""


class _NoPins(Exception):
    """The pins cannot be used, for the reason given."""


def frame_times(
    signs: Floats, n_frames: int, data: FrameData, sounds: Fronts | None, rules: SoundRules
) -> FrameTimes:
    """Find the times of a film's frames.

    Parameters
    ----------
    signs : array
        Times of the camera's frame signals on the session's clock, rising, s.
    n_frames : int
        Frames of the film.
    data : FrameData
        The rig's data of the frames.
    sounds : Fronts, optional
        Sounds on the session's clock.
    rules : SoundRules

    Raises
    ------
    SyncFailed
        The camera has no signals, or they are not in order.
    """
    if signs.size < 2 or not np.all(np.diff(signs) > 0):
        fault = "in no order" if signs.size > 1 else f"{signs.size} of them"
        raise SyncFailed(
            "the pulses of the camera's frames",
            f"there are {fault}",
            "check the camera's cable to the main clock, and the wiring file of the recording",
        )
    try:
        return _by_pins(signs, n_frames, data, sounds, rules)
    except _NoPins as why:
        log.warning("frames are aligned by their number alone: %s", why)
        return _by_counts(signs, n_frames, str(why))


def _by_pins(
    signs: Floats, n_frames: int, data: FrameData, sounds: Fronts | None, rules: SoundRules
) -> FrameTimes:
    count = data.count
    if data.pin is None or data.rises.size + data.falls.size < 2:
        raise _NoPins("the camera's pin saw no sounds")
    if count is None:
        raise _NoPins("the rig wrote no numbers of frames")
    if data.times is None:
        raise _NoPins("the rig wrote no times of frames")
    if sounds is None or sounds.times.size < 2:
        raise _NoPins("the main clock saw no sounds")
    if count.size < n_frames:
        raise _NoPins(f"the film has {n_frames} frames, the rig counted {count.size}")
    count = count[:n_frames]
    if not np.all(np.diff(count) > 0):
        raise _NoPins("the numbers of the frames do not rise")
    first = _first_in_common(data, sounds, rules)
    signs = _regular(signs, data.times, count)
    timed = _placed(signs, count, *first)
    seen = _seen_sounds(timed.times, first[0], data.rises, sounds.rises, signs)
    if seen >= SEEN:
        return timed
    # The film began after the first sound, or the clock did not hear the first ones.
    again = _by_pattern(data, sounds.rises)
    if again is None:
        return timed
    try:
        other = _placed(signs, count, *again)
    except _NoPins:
        return timed
    if _seen_sounds(other.times, again[0], data.rises, sounds.rises, signs) <= seen:
        return timed
    log.warning("the first sound of the film is not the first that the main clock heard")
    return other


def _placed(signs: Floats, count: Integers, pin: int, first_sound: float) -> FrameTimes:
    """Return the times of frames if one of them saw a sound that began at a moment."""
    if pin >= count.size:
        raise _NoPins("the film ends before the first sound")
    start = int(np.searchsorted(signs, first_sound)) - int(count[pin])
    period = period_of(signs)
    n_before = max(start, 0)
    extrapolated = 0
    if start < 0:
        extrapolated -= start
        ahead = signs[0] - np.arange(-start, 0, -1) * period
        signs, start = np.concatenate([ahead, signs]), 0
    times = signs[start : start + int(count[-1]) + 1]
    lacking = int(count[-1]) + 1 - times.size
    if lacking > 0:
        if not times.size:
            raise _NoPins("the camera's signs end before its film begins")
        extrapolated += lacking
        beyond = times[-1] + (np.arange(lacking) + 1) * period
        times = np.concatenate([times, beyond])
    times = times[count]
    if int(np.searchsorted(times, first_sound)) != pin:
        raise _NoPins("the first sound does not fall on the frame that saw it")
    lost = int(count[-1]) + 1 - count.size
    return FrameTimes(times, "pins", n_before, lost, extrapolated)


def _regular(signs: Floats, times: Floats, count: Integers) -> Floats:
    """Return the signals with lost ones filled in and extra ones left out.

    Only where the camera's own clock and count say that it took its frames regularly.
    """
    period = period_of(signs)
    n = min(times.size, count.size)
    late = np.abs(np.diff(times[:n]) - np.diff(count[:n]) * period)
    if np.any(late > period / 2):
        return signs
    signs = signs[np.diff(signs, prepend=-np.inf) >= period / 2]
    gaps = np.diff(signs)
    lost = np.maximum(np.rint(gaps / period).astype(int) - 1, 0)
    if not lost.any():
        return signs
    log.warning("the main clock lost %d of the camera's signals", lost.sum())
    at = np.repeat(np.arange(gaps.size), lost)
    number = np.arange(at.size) - np.repeat(np.cumsum(lost) - lost, lost) + 1
    return np.sort(np.concatenate([signs, signs[at] + gaps[at] * number / (lost[at] + 1)]))


def period_of(signs: Floats) -> float:
    """Return the time between two frames, s.

    The state machine writes times to 0.1 ms, which is too coarse for one step: at 30 Hz frames
    without a signal would drift by a millisecond a second.
    """
    apart = min(MANY, signs.size - 1)
    return float(np.median(signs[apart:] - signs[:-apart])) / apart


def _seen_sounds(
    times: Floats, anchor: int, rises: Integers, begins: Floats, signs: Floats
) -> float:
    """Return the share of the pin's rises, but for the anchor, that lie where a sound began."""
    at = times[rises[(rises < times.size) & (rises != anchor)]]
    at = at[(at >= max(signs[0], begins[0])) & (at <= min(signs[-1], begins[-1]))]
    if not at.size:
        return 1.0
    near = np.searchsorted(begins, at)
    away = np.minimum(
        np.abs(at - begins[np.maximum(near - 1, 0)]),
        np.abs(begins[np.minimum(near, begins.size - 1)] - at),
    )
    return float(np.mean(away <= NEAR * period_of(signs)))


def _by_pattern(data: FrameData, begins: Floats) -> tuple[int, float] | None:
    """Return a frame and the sound that it saw, by the pauses between sounds; None if unclear."""
    assert data.times is not None  # noqa: S101 - for the types: checked before
    rises = data.rises[data.rises < data.times.size]
    matched = match_events(data.times[rises], begins) if rises.size > 1 else None
    if matched is None:
        return None
    shifts = matched.their_times - matched.our_times
    usual = int(np.argmin(np.abs(shifts - np.median(shifts))))
    return int(rises[matched.ours[usual]]), float(matched.their_times[usual])


def _long_enough(sounds: Fronts, rules: SoundRules) -> Floats:
    """Return the changes of the sounds without those that a camera cannot see."""
    times = sounds.times
    if rules.shortest:
        short = np.flatnonzero(np.diff(times) < rules.shortest)
        times = np.delete(times, np.concatenate([short, short + 1]))
    if times.size < 2:
        raise _NoPins("all sounds are too short for a camera")
    return times


def _first_in_common(data: FrameData, sounds: Fronts, rules: SoundRules) -> tuple[int, float]:
    """Return the frame of the first sound that both recorded, and when that sound began."""
    assert data.times is not None  # noqa: S101 - for the types: checked before
    rises = data.rises[data.rises < data.times.size]
    falls = data.falls[data.falls < data.times.size]
    if not sounds.alternate or sounds.polarities[0] != 1:
        raise _NoPins("the sounds do not begin and end in turn")
    if not rises.size:
        raise _NoPins("the camera's pin never rose")
    if not np.all(np.diff(data.times) > 0):
        raise _NoPins("the camera's clock does not rise")
    if rises.size + falls.size == sounds.times.size:
        return int(rises[0]), float(sounds.times[0])
    times = _long_enough(sounds, rules)
    begins, ends = times[::2], times[1::2]
    of_rise = assign(begins - times[0], data.times[rises] - data.times[rises[0]], rules)
    of_fall = assign(ends - times[1], data.times[falls] - data.times[falls[:1]], rules)
    both = min(rises.size, falls.size)
    # A sound with only one known end is left out.
    seen = of_rise >= 0
    seen[:both] &= of_fall[:both] >= 0
    if not seen.any():
        raise _NoPins("no sound of the main clock is where the camera's pin rose")
    first = int(np.argmax(seen))
    return int(rises[first]), float(begins[of_rise[first]])


def assign(times: Floats, events: Floats, rules: SoundRules) -> Integers:
    """Return the index of each event's time; -1 if it has none. No time is used twice."""
    free = np.ones(times.size, bool)
    indices = np.full(events.size, -1)
    for i, event in enumerate(events):
        away = np.where(free, np.abs(times - event), np.inf)
        near = np.flatnonzero(away < rules.tolerance)
        if near.size:
            indices[i] = int(np.argmin(away)) if rules.nearest else near[0]
            free[indices[i]] = False
    return indices


def _by_counts(signs: Floats, n_frames: int, reason: str) -> FrameTimes:
    """Return the last signals, one per frame; if there are too few they continue at their rate."""
    before = max(signs.size - n_frames, 0)
    lacking = max(n_frames - signs.size, 0)
    period = period_of(signs)
    beyond = signs[-1] + (np.arange(lacking) + 1) * period
    times = np.concatenate([signs[before:], beyond])
    return FrameTimes(times, "counts", before, 0, lacking, reason)


def signs_on_board(fronts: Fronts) -> Floats:
    """Return a camera's frame signals on a line: every second change from the first."""
    return fronts.times[::2]


def signs_of_state_machine(task: RawTask) -> Floats:
    """Return a camera's frame signals to the state machine, with those between trials filled in.

    The state machine records the camera (``Port1In``, ``Port1Out``) only within trials; between
    them as many frames are filled in as fit.

    Raises
    ------
    SyncFailed
        There are no signals, or they do not rise.
    """
    trials: list[Floats] = []
    for rises, falls in zip(task.events("Port1In"), task.events("Port1Out"), strict=True):
        if not rises.size:
            continue
        # A pulse from before the trial has no rise in it; the last one may have no fall.
        whole = falls[1:] if falls.size and falls[0] < rises[0] else falls
        starts = rises[: whole.size] if falls.size else rises[:1]
        if starts.size:
            trials.append(starts)
    if sum(pulses.size for pulses in trials) < 2:
        raise SyncFailed(
            "the camera's pulses to the state machine",
            "no trial has any on port 1",
            "check the camera's cable to port 1 of the Bpod",
        )
    within = [float(np.median(np.diff(pulses))) for pulses in trials if pulses.size > 1]
    rate = 1 / float(np.median(within))
    pieces: list[Floats] = [trials[0]]
    for before, after in pairwise(trials):
        gap = after[0] - before[-1]
        n = max(int(np.round(gap * rate)) - 1, 0)
        pieces += [before[-1] + gap / (n + 1) * (np.arange(n) + 1), after]
    return np.concatenate(pieces)


def sounds_of_state_machine(task: RawTask) -> Fronts:
    """Return all starts and ends of sounds that the state machine recorded (``BNC2``)."""
    on, off = (
        np.concatenate([np.empty(0), *task.events(f"BNC2{edge}")]) for edge in ("High", "Low")
    )
    times = np.concatenate([on, off])
    polarities = np.concatenate([np.ones(on.size), -np.ones(off.size)])
    has_time = np.isfinite(times)
    order = np.argsort(times[has_time], kind="stable")
    return Fronts(times[has_time][order], polarities[has_time][order])
