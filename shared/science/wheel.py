"""Wheel position and movements from raw rotary encoder data.

The rules are those of the IBL behaviour pipeline; results equal it to the last digit (times to
1e-9 s). Positions are radians of the wheel, anticlockwise positive; times are seconds from the
start of the state machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.science.raw_behaviour import (
    EncoderLog,
    Floats,
    RawFileInvalid,
    RawTask,
    WheelUnsynchronised,
    find_collection,
    read_encoder_events,
    read_encoder_positions,
    read_task,
)

log = logging.getLogger(__name__)

TICKS_PER_TURN = 1024
"""Resolution of the rig's rotary encoder as the state machine reads it (X1)."""
TICK = 2 * np.pi / TICKS_PER_TURN
"""One tick in radians."""
CLOSED_LOOP = 3
"""Encoder event at the start of the closed-loop state."""

MATCHED_INTERVAL = 0.005
"""Intervals between events in two clocks match if they differ by less (s)."""
MAX_RESIDUAL = 0.002
"""Largest accepted distance of an event from a linear relation of the two clocks (s)."""
LONGEST = 86_400.0
"""A recording of the wheel is shorter than this (s)."""
RESET_SPEED = 10.0
"""Passing zero slower than this (rad/s) without changing direction is not a reset."""

RATE = 1000
"""Movements are found at this sampling rate (Hz)."""
WINDOW = 0.2
"""Movement is judged over this time (s)."""
MOVING, ONSET = 8, 1.5
"""Displacement in encoder steps that makes a movement, and that marks its onset."""
MIN_GAP, MIN_DURATION = 0.1, 0.05
"""Movements closer than the one (s) are joined, shorter than the other (s) dropped."""
FIRST_MOVEMENT = 0.1
"""Peak amplitude (rad) from which a movement counts as a report; a third of the threshold."""
QUIESCENT_PERIOD = 0.2
"""Shortest time (s) for which the wheel is still before the stimulus, where settings lack it."""

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


def extract_wheel(session: Path | str, collection: str | None = None) -> dict[str, np.ndarray]:
    """Extract wheel position and movements of a session folder.

    Parameters
    ----------
    session : path
        Folder with ``raw_behavior_data`` or ``raw_task_data_NN``.
    collection : str, optional
        Which of them, where there are several.

    Returns
    -------
    dict of array
        ``_ibl_wheel.position.npy`` (samples,) rad, ``_ibl_wheel.timestamps.npy`` (samples,) s,
        ``_ibl_wheelMoves.intervals.npy`` (moves, 2) s, ``_ibl_wheelMoves.peakAmplitude.npy``
        (moves,) rad.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        A raw file is absent, empty or broken.
    WheelUnsynchronised
        The encoder's events do not match those of the state machine, for example because the
        encoder files are truncated or of another session.
    """
    times, position = _wheel(session, read_task(session, collection), collection)
    moves = find_movements(times, position)
    return {
        "_ibl_wheel.timestamps.npy": times,
        "_ibl_wheel.position.npy": position,
        "_ibl_wheelMoves.intervals.npy": moves.intervals,
        "_ibl_wheelMoves.peakAmplitude.npy": moves.peak_amplitude,
    }


def first_movements_of(
    session: Path | str,
    task: RawTask,
    trials: Mapping[str, np.ndarray],
    collection: str | None = None,
) -> Floats:
    """Return ``trials.firstMovement_times`` of a session folder; raises as `extract_wheel`."""
    times, position = _wheel(session, task, collection)
    quiescent = task.settings.get("QUIESCENT_PERIOD")
    return first_movement_times(
        find_movements(times, position),
        trials["goCue_times"],
        trials["feedback_times"],
        QUIESCENT_PERIOD if quiescent is None else quiescent,
    )


def _wheel(session: Path | str, task: RawTask, collection: str | None) -> tuple[Floats, Floats]:
    folder = find_collection(session, collection)
    return wheel_position(read_encoder_positions(folder), read_encoder_events(folder), task)


def wheel_position(
    positions: EncoderLog, events: EncoderLog, task: RawTask
) -> tuple[Floats, Floats]:
    """Compute the wheel's position in the state machine's clock.

    Parameters
    ----------
    positions, events : EncoderLog
        The rotary encoder's files.
    task : RawTask
        The trials.

    Returns
    -------
    times, position : array
        Shape (samples,): s, strictly increasing; rad, without the encoder's resets.

    Raises
    ------
    WheelUnsynchronised
        The clocks can not be matched.
    RawFileInvalid
        Fewer than two positions, or none during the trials.
    """
    if positions.times.size < 2:
        raise RawFileInvalid(
            "_iblrig_encoderPositions.raw.ssv",
            "fewer than two positions",
            "check the rotary encoder: the session has no wheel data",
        )
    # The last event comes from the trial that was not finished.
    closed_loop = events.times[events.values == CLOSED_LOOP][:-1] / 1e6
    encoder, bpod = match_clocks(closed_loop, task.state("closed_loop")[:, 0])
    times = _interpolate(positions.times / 1e6, encoder, bpod)
    _check_overlap(times, task)
    angle = -positions.values / TICKS_PER_TURN * 2 * np.pi
    in_milliseconds = bool(np.all(positions.times % 1e3 == 0))
    resets = task.visits("reset_rotary_encoder", "reset2_rotary_encoder")
    jumps = None if in_milliseconds else _jumps_at_resets(times, angle, resets)
    if jumps is None:
        jumps = _jumps_at_zeros(angle)
    else:
        outside = (times <= task.starts[0]) | (times >= task.starts[-1])
        _add_jumps_outside(jumps, times, angle, outside)
    return _strictly_increasing(times, np.unwrap(angle) + np.cumsum(jumps))


def _check_overlap(times: Floats, task: RawTask) -> None:
    """Refuse positions that lie outside all trials, or that last for more than a day."""
    outside = times[-1] <= task.starts[0] or times[0] >= task.ends[-1]
    if outside or not np.ptp(times) < LONGEST:
        raise RawFileInvalid(
            "_iblrig_encoderPositions.raw.ssv",
            f"its {times.size} positions cover {times[0]:.1f} to {times[-1]:.1f} s, but the "
            f"trials {task.starts[0]:.1f} to {task.ends[-1]:.1f} s: truncated, corrupt or not "
            "of this session",
            "copy the file again from the rig",
        )


def match_clocks(encoder: Floats, bpod: Floats) -> tuple[Floats, Floats]:
    """Pair the events that two clocks have in common.

    Parameters
    ----------
    encoder, bpod : array
        Times of the same kind of event in each clock, s. Either may lack some.

    Returns
    -------
    encoder, bpod : array
        Shape (pairs,), s, at least two pairs.

    Raises
    ------
    WheelUnsynchronised
        Too few events, no match, or clocks that are not linear to within 2 ms.
    """
    bpod = bpod[~np.isnan(bpod)]
    if min(encoder.size, bpod.size) < 2:
        raise _unsynchronised(f"only {encoder.size} closed-loop events in whole trials")
    if (bpod[0] - bpod[-1]) / (encoder[0] - encoder[-1] or np.nan) > 900:
        log.warning("rotary encoder events are in ms: wheel times are inaccurate")
        encoder = encoder * 1e3
    n = min(encoder.size, bpod.size)
    for part in (slice(None, n), slice(-n, None)):
        off = np.abs(np.diff(encoder[part]) - np.diff(bpod[part])) >= MATCHED_INTERVAL
        if np.mean(~off) > 0.99:
            bad = np.flatnonzero(off)
            drop = np.unique(np.concatenate([bad, bad + 1]))
            encoder, bpod = np.delete(encoder[part], drop), np.delete(bpod[part], drop)
            break
    else:
        encoder, bpod = _match_irregular(encoder, bpod)
    if bpod.size < max(2, n / 2):
        raise _unsynchronised("the intervals between its events are not those of the trials")
    residual = np.abs(np.polyval(np.polyfit(bpod, encoder, 1), bpod) - encoder).max()
    if residual >= MAX_RESIDUAL:
        raise _unsynchronised(f"its clock departs by {residual * 1e3:.1f} ms from a linear drift")
    return encoder, bpod


def _unsynchronised(reason: str) -> WheelUnsynchronised:
    return WheelUnsynchronised(
        "_iblrig_encoderEvents.raw.ssv",
        f"can not be synchronised with the state machine: {reason}",
        "check that the encoder files are whole and of this session",
    )


def _match_irregular(
    encoder: Floats, bpod: Floats, max_shift: int = 5, max_drift: float = 200e-6
) -> tuple[Floats, Floats]:
    """Pair events of two clocks where some are missing in either.

    Neighbours are paired if their interval is the same in both clocks and the clocks have not
    drifted apart by more than 200 ppm since the last pair.
    """
    gaps_e, gaps_b = np.diff(encoder), np.diff(bpod)
    pairs: set[tuple[int, int]] = set()
    e, last = 0, -1
    for b in range(gaps_b.size):
        near = np.arange(e, min(e + max_shift, gaps_e.size))
        same = np.abs(gaps_b[b] - gaps_e[near]) < MATCHED_INTERVAL
        if last >= 0:
            slip = (bpod[b] - encoder[near]) - (bpod[last] - encoder[e])
            same &= np.abs(slip) <= max_drift * np.maximum(bpod[b] - bpod[last], gaps_e[near])
        if same.any():
            found = int(near[np.argmax(same)])
            pairs |= {(b, found), (b + 1, found + 1)}
            e, last = found + 1, b + 1
    indices = np.array(sorted(pairs), dtype=int).reshape(-1, 2)
    return encoder[indices[:, 1]], bpod[indices[:, 0]]


def _interpolate(x: Floats, known_x: Floats, known_y: Floats) -> Floats:
    """Interpolate piecewise linearly; beyond the ends the outer pieces go on."""
    right = np.clip(np.searchsorted(known_x, x), 1, known_x.size - 1)
    left = right - 1
    slope = (known_y[right] - known_y[left]) / (known_x[right] - known_x[left])
    return slope * (x - known_x[left]) + known_y[left]


def _jumps_at_resets(times: Floats, angle: Floats, resets: Sequence[Floats]) -> Floats | None:
    """Return what each reset of the encoder took away, at the sample where it shows.

    The encoder is set to zero by the state machine; it may show one sample later, and not
    exactly at zero. None where the resets can not be told.
    """
    jumps, last = np.zeros_like(angle), angle.size - 1
    certain = True
    for trial, reset_times in enumerate(resets):
        # A reset before the first sample gives -1: the last sample, as in the reference.
        at = np.unique(np.searchsorted(times, reset_times, side="left") - 1)
        for k in np.flatnonzero(angle[at] != 0):
            i = at[k]
            if i >= last:
                continue
            if angle[i + 1] == 0 or angle[i] <= TICK or abs(angle[i + 1]) <= TICK:
                at[k] = i + 1
            elif 0 < trial < len(resets) - 1:
                certain = False
        jumps[at] = angle[at - 1]
    return jumps if certain else None


def _jumps_at_zeros(angle: Floats) -> Floats:
    """Return what resets took away, if every zero is a reset."""
    log.warning("encoder resets do not match the trials: every zero position is taken as one")
    jumps, zeros = np.zeros_like(angle), np.flatnonzero(angle == 0)
    jumps[zeros] = angle[zeros - 1]
    return jumps


def _add_jumps_outside(jumps: Floats, times: Floats, angle: Floats, outside: np.ndarray) -> None:
    """Add the resets before the first and after the last trial's start: sudden zeros."""
    zeros = np.flatnonzero(outside & (angle == 0))
    zeros = zeros[(zeros > 0) & (zeros < angle.size - 1)]
    before, after = angle[zeros] - angle[zeros - 1], angle[zeros + 1] - angle[zeros]
    # As the reference has it: signs that differ by two are opposite directions.
    opposite = np.abs(np.sign(after) - np.sign(before)) == 2
    slow = np.abs(before / (np.finfo(float).eps + times[zeros] - times[zeros - 1])) < RESET_SPEED
    zeros = zeros[~(opposite & slow)]
    jumps[zeros] = angle[zeros - 1]


def _strictly_increasing(times: Floats, position: Floats) -> tuple[Floats, Floats]:
    """Replace samples of equal time by their mean."""
    same = np.flatnonzero(np.diff(times) <= 0)
    position[same] = (position[same] + position[same + 1]) / 2
    times[same] = (times[same] + times[same + 1]) / 2
    return np.delete(times, same + 1), np.delete(position, same + 1)


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
        Time (s) before the go cue from which on a movement counts; one or one for each trial.

    Returns
    -------
    array
        Shape (trials,), s; NaN where there is none or a time is not known.
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
