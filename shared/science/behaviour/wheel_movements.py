"""Movements of the wheel: onsets, offsets, amplitudes, and the first of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.science.behaviour.raw_task import Floats

RATE = 1000
"""Movements are found at this sampling rate (Hz)."""
WINDOW = 0.2
"""Movement is judged over this time (s)."""
MOVING, ONSET = 8, 1.5
"""Displacement in encoder steps that makes a movement, and that marks its onset."""
MIN_GAP, MIN_DURATION = 0.1, 0.05
"""Movements closer than the first (s) are joined; those shorter than the second are dropped."""
FIRST_MOVEMENT = 0.1
"""Peak amplitude (rad) from which a movement counts as a report; a third of the threshold."""
QUIESCENT_PERIOD = 0.2
"""Shortest time (s) without movement before the stimulus, if the settings do not give it."""

# The threshold arithmetic of the reference goes through cm of a wheel of 6.2 cm; positions are
# multiples of one tick, so that a threshold of whole ticks is decided by the last bit.
_WHEEL_CM = 3.1 * 2


@dataclass(frozen=True)
class Movements:
    """Movements of the wheel.

    Attributes
    ----------
    intervals : array
        Shape (moves, 2), s: onset and offset.
    peak_amplitude : array
        Shape (moves,), in the position's unit: signed extreme from the position at onset.
    """

    intervals: Floats
    peak_amplitude: Floats


def encoder_step(position: Floats) -> float:
    """Return the step of the encoder that recorded a position in radians.

    Encoders of 1024 steps are read at one, two or four steps (X1, X2, X4); the nearest to the
    median step of the trace is taken.

    Returns
    -------
    float
        rad
    """
    steps = 2 * np.pi / np.array([4096, 2048, 1024])
    return float(steps[np.argmin(np.abs(steps - np.median(np.abs(np.diff(position)))))])


def find_movements(times: Floats, position: Floats) -> Movements:
    """Find the movements of a wheel recorded in radians.

    Parameters
    ----------
    times, position : array
        Shape (samples,): s, increasing; rad.

    Returns
    -------
    Movements
        Their onsets, offsets and amplitudes (rad).
    """
    t = np.arange(times[0], times[-1], 1 / RATE)
    if t.size and t[-1] > times[-1]:
        t = t[:-1]
    resolution = round(2 * np.pi / encoder_step(position))
    moving, onset = (n / resolution * np.pi * _WHEEL_CM * (2 / _WHEEL_CM) for n in (MOVING, ONSET))
    return movements(t, np.interp(t, times, position), moving=moving, onset=onset)


def movements(
    t: Floats, position: Floats, *, moving: float = MOVING, onset: float = ONSET
) -> Movements:
    """Find movements in an evenly sampled trace.

    A sample moves if the trace spans more than ``moving`` within the next 0.2 s. The onset is the
    last sample of that window before the trace stays further than ``onset`` from the window's
    start. Source: IBL behaviour paper, "wheel movements".

    Parameters
    ----------
    t, position : array
        Shape (samples,) at 1 kHz: s; any unit.
    moving, onset : float
        Thresholds in the unit of the position; by default encoder steps.

    Returns
    -------
    Movements
        Amplitudes in the unit of the position.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    window = round(WINDOW * RATE)
    if t.size < 2:
        return Movements(np.empty((0, 2)), np.empty(0))
    # An origin of -window/2 makes the window start at its sample; the ends are repeated.
    ahead = {"size": window, "origin": -(window // 2), "mode": "nearest"}
    span = maximum_filter1d(position, **ahead) - minimum_filter1d(position, **ahead)
    state = np.concatenate([[False], span[:-1] > moving, [False]])
    starts = np.flatnonzero(~state[:-1] & state[1:])
    stops = np.flatnonzero(state[:-1] & ~state[1:])
    starts, stops = _join(starts, stops, (starts[1:] - stops[:-1]) / RATE < MIN_GAP)
    ahead_of = np.minimum(starts[:, None] + np.arange(window), t.size - 1)
    far = np.abs(position[ahead_of] - position[starts, None]) > onset
    still = ~far[:, ::-1]
    # Length of the run of far samples at the window's end.
    run = np.where(still.any(axis=1), np.argmax(still, axis=1), 0)
    starts = np.minimum(starts + window - run - 1, t.size - 1)
    long = t[stops] - t[starts] >= MIN_DURATION
    starts, stops = starts[long], stops[long]
    starts, stops = _join(starts, stops, t[starts[1:]] - t[stops[:-1]] < MIN_GAP)
    amplitude = np.empty(starts.size)
    for i, (a, b) in enumerate(zip(starts, stops, strict=True)):
        displacement = position[a:b] - position[a]
        amplitude[i] = displacement[np.argmax(np.abs(displacement))]
    return Movements(np.stack([t[starts], t[stops]], axis=1), amplitude)


def _join(
    starts: np.ndarray, stops: np.ndarray, joined: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Join each interval to the next where ``joined`` (one shorter) says so."""
    if not starts.size:
        return starts, stops
    return starts[np.concatenate([[True], ~joined])], stops[np.concatenate([~joined, [True]])]


def first_movement_times(
    moves: Movements,
    go_cue_times: Floats,
    feedback_times: Floats,
    quiescent_period: float | Sequence[float] = QUIESCENT_PERIOD,
) -> Floats:
    """Return the onset of the first movement of each trial that is large enough for a report.

    Parameters
    ----------
    moves : Movements
        Amplitudes in rad.
    go_cue_times, feedback_times : array
        Shape (trials,), s.
    quiescent_period : float or sequence of float
        Time (s) before the go cue from which a movement counts; one for all or one per trial.

    Returns
    -------
    array
        Shape (trials,), s; NaN if there is none or a time is unknown.
    """
    large = np.abs(moves.peak_amplitude) >= FIRST_MOVEMENT
    onsets = moves.intervals[large, 0]
    quiescent = np.asarray(quiescent_period, dtype=float)
    if quiescent.ndim:
        quiescent = quiescent[: go_cue_times.size]
    earliest = go_cue_times - quiescent
    padded = np.append(onsets, np.nan)
    first = padded[np.searchsorted(onsets, earliest, side="right")]
    return np.where(first < feedback_times, first, np.nan)
