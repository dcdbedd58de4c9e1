"""Wheel position from raw rotary encoder data.

The rules are those of the IBL behaviour pipeline; results equal it to the last digit (times to
1e-9 s). Positions are radians of the wheel, anticlockwise positive; times are seconds from the
start of the state machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.science.behaviour.raw_encoder import (
    EncoderLog,
)
from shared.science.behaviour.raw_task import Floats, RawTask
from shared.science.clocks.matching import log, match_clocks
from shared.science.errors import RawFileInvalid

TICKS_PER_TURN = 1024
"""Resolution of the rig's rotary encoder as the state machine reads it (X1)."""
TICK = 2 * np.pi / TICKS_PER_TURN
"""One tick in radians."""
CLOSED_LOOP = 3
"""Encoder event at the start of the closed-loop state."""
LONGEST = 86_400.0
"""Upper limit for the duration of a wheel recording (s)."""
RESET_SPEED = 10.0
"""Passing zero slower than this (rad/s) without changing direction is not a reset."""


@dataclass(frozen=True)
class WheelTrace:
    """The wheel's position: ``times`` in s, ``position`` in rad; shape (samples,)."""

    times: Floats
    position: Floats

    def between(self, start: float, end: float) -> slice:
        """Return the samples strictly between two times; none if one is unknown."""
        if np.isnan(start) or np.isnan(end):
            return slice(0, 0)
        first = int(np.searchsorted(self.times, start, side="right"))
        return slice(first, max(first, int(np.searchsorted(self.times, end, side="left"))))


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
    # The last event belongs to the unfinished trial.
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


def _interpolate(x: Floats, known_x: Floats, known_y: Floats) -> Floats:
    """Interpolate piecewise linearly; the outer pieces continue beyond the ends."""
    right = np.clip(np.searchsorted(known_x, x), 1, known_x.size - 1)
    left = right - 1
    slope = (known_y[right] - known_y[left]) / (known_x[right] - known_x[left])
    return slope * (x - known_x[left]) + known_y[left]


def _jumps_at_resets(times: Floats, angle: Floats, resets: Sequence[Floats]) -> Floats | None:
    """Return the jump at each reset of the encoder, at the sample where it shows.

    The state machine sets the encoder to zero; that may show one sample later, and not exactly
    at zero. None if the resets cannot be identified.
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
    """Return the jumps at resets, if every zero is a reset."""
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
    # Two samples at one time count as infinitely fast.
    elapsed = np.maximum(times[zeros] - times[zeros - 1], np.finfo(float).eps)
    slow = np.abs(before / elapsed) < RESET_SPEED
    zeros = zeros[~(opposite & slow)]
    jumps[zeros] = angle[zeros - 1]


def _strictly_increasing(times: Floats, position: Floats) -> tuple[Floats, Floats]:
    """Replace samples of equal time by their mean."""
    same = np.flatnonzero(np.diff(times) <= 0)
    position[same] = (position[same] + position[same + 1]) / 2
    times[same] = (times[same] + times[same + 1]) / 2
    return np.delete(times, same + 1), np.delete(position, same + 1)
