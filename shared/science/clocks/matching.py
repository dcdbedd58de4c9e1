"""Match the clocks of two devices by the events that both recorded."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from shared.science.errors import WheelUnsynchronised

Floats = npt.NDArray[np.float64]

log = logging.getLogger(__name__)

MATCHED_INTERVAL = 0.005
"""Intervals between events match if they differ by less in the two clocks (s)."""
MAX_RESIDUAL = 0.002
"""Largest accepted distance of an event from a linear relation of the two clocks (s)."""


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
    """Pair events of two clocks when either lacks some.

    Neighbours are paired if their interval is the same in both clocks and the clocks have not
    drifted apart by more than 200 ppm since the last pair.
    """
    gaps_e, gaps_b = np.diff(encoder), np.diff(bpod)
    pairs: set[tuple[int, int]] = set()
    e, last = 0, -1
    for b in range(gaps_b.size):
        # As many of the other's may have passed since the last pair as of these.
        near = np.arange(e, min(e + max_shift + b - max(last, 0), gaps_e.size))
        same = np.abs(gaps_b[b] - gaps_e[near]) < MATCHED_INTERVAL
        if last >= 0:
            slip = (bpod[b] - encoder[near]) - (bpod[last] - encoder[e])
            same &= np.abs(slip) <= max_drift * np.maximum(bpod[b] - bpod[last], gaps_e[near])
        if same.any():
            match = int(near[np.argmax(same)])
            pairs |= {(b, match), (b + 1, match + 1)}
            e, last = match + 1, b + 1
    indices = np.array(sorted(pairs), dtype=int).reshape(-1, 2)
    return encoder[indices[:, 1]], bpod[indices[:, 0]]
