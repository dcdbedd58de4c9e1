"""The periods of a session's protocols in a recording.

A rig (iblrig 8) begins every protocol with a spacer: fifteen pulses of the state machine whose
intervals grow and shrink again, with the longest twice (iblutil 1.20.0, ``Spacer``).
"""

from __future__ import annotations

import numpy as np

from shared.science.clocks.pulses import Floats, Fronts

WIDTH = 0.05
"""Length of each pulse (s)."""

_GAPS = np.linspace(0.02, 0.4, 8)
RISES = np.cumsum(np.concatenate([_GAPS, _GAPS[:0:-1]]) + WIDTH)
"""Rise times of a spacer's pulses, from its beginning (s)."""

LENGTH = float(RISES[-1]) + 10 * WIDTH
"""Length of a spacer with its silence (s)."""

EXACT = 0.003
"""Tolerance of the time of a spacer's pulse (s)."""


def find_spacers(fronts: Fronts) -> Floats:
    """Return the start times of spacers, by the pulses of the state machine; s."""
    rises = fronts.rises
    if rises.size < RISES.size:
        return np.empty(0)
    groups = np.lib.stride_tricks.sliding_window_view(rises, RISES.size)
    away = np.abs((groups - groups[:, :1]) - (RISES - RISES[0])).max(axis=1)
    return groups[away < EXACT, 0] - RISES[0]


def protocol_period(
    fronts: Fronts, number: int, *, also_silent: bool = False
) -> tuple[float, float] | None:
    """Return the start and end of a protocol.

    Parameters
    ----------
    fronts : Fronts
        Pulses of the state machine.
    number : int
        Number of the protocol in the session, from 0. A spacer without later pulses does not
        count: the protocol was started and stopped at once.
    also_silent : bool
        Whether it counts all the same: a protocol without rewards gives no later pulses.

    Returns
    -------
    tuple of float or None
        From the spacer's end to the next spacer, s; None if there is no such spacer.
    """
    begins = find_spacers(fronts)
    ends = np.append(begins, np.inf)[1:]
    used = [
        (float(begin) + LENGTH, float(end))
        for begin, end in zip(begins, ends, strict=True)
        if also_silent or np.any((fronts.times > begin + LENGTH) & (fronts.times < end))
    ]
    return used[number] if number < len(used) else None
