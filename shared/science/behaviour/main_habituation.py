"""Habituation on the main clock of a session.

The rules are those of the IBL behaviour pipeline (ibllib 4.1.0, ``FpgaTrialsHabituation``): the
state machine does not signal trials here, so the openings of the valve convert its times to the
main clock; screen and sounds that the board recorded itself take precedence. Trials whose opening
the board lost are kept; the reference leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shared.science.behaviour.main_clock import (
    SOUNDS,
    OnMainClock,
    by_length,
    first_within,
    refuse_impossible,
    steady,
    wheel_of_lines,
)
from shared.science.behaviour.raw_task import Floats
from shared.science.clocks.events import match_events
from shared.science.clocks.pulses import Pulses
from shared.science.errors import SyncFailed

PULSES = {"valve_open": (0, 0.4)}
"""Lengths of the state machine's pulses: longer than the one, at most the other (s)."""


def habituation_on_main_clock(
    trials: Mapping[str, np.ndarray],
    pulses: Pulses,
    wiring: Mapping[str, int],
) -> OnMainClock:
    """Bring the trials of habituation to the main clock.

    Parameters
    ----------
    trials : mapping of array
        As `shared.science.behaviour.habituation.compute_habituation` returns them.
    pulses : Pulses
        Pulses of the main clock, while the protocol ran.
    wiring : mapping
        Line of each device.

    Raises
    ------
    SyncFailed
        The state machine's pulses are missing, or belong to other trials; or a clock jumps, or
        drifts as none does.
    """
    valve = by_length(pulses.of(wiring["bpod"]), PULSES, "bpod")["valve_open"][:, 0]
    water_times = trials["feedback_times"]
    matched = match_events(water_times[np.isfinite(water_times)], valve)
    n = 0 if matched is None else matched.ours.size
    if matched is None or n < water_times.size / 2:
        raise SyncFailed(
            "the pulses of the valve",
            f"{valve.size} on the main clock, {water_times.size} trials, {n} that match",
            "check that behaviour and recording are of one session, and the wiring",
        )
    refuse_impossible(matched, water_times[np.isfinite(water_times)], valve)
    out = {
        name: matched.convert(values) if name.endswith("_times") or name == "intervals" else values
        for name, values in trials.items()
    }
    screen, sound = steady(pulses.of(wiring["frame2ttl"])), pulses.of(wiring["audio"])
    tones = by_length(sound, SOUNDS, "audio")["ready_tone"][:, 0]

    def until(times: np.ndarray) -> np.ndarray:
        return np.append(times[1:], np.inf)

    cue, centre, off = (out[f"{name}Trigger_times"] for name in ("goCue", "stimCenter", "stimOff"))
    out["goCue_times"] = first_within(tones, cue, until(cue))
    seen = np.flatnonzero(np.isfinite(water_times))[matched.ours]
    out["feedback_times"][seen] = matched.their_times
    out["stimOn_times"] = first_within(screen.times, out["stimOnTrigger_times"], centre)
    out["stimCenter_times"] = first_within(screen.times, centre, off)
    out["stimOff_times"] = first_within(screen.times, off, until(out["intervals"][:, 0]))
    out["intervals"] = _with_stimulus(out["intervals"], out["stimOn_times"], out["stimOff_times"])
    wheel = wheel_of_lines(pulses, wiring)
    return OnMainClock(out, {}, screen, sound, wheel, matched, water_times.size - n)


def _with_stimulus(intervals: Floats, on: Floats, off: Floats) -> Floats:
    """Return trials that begin and end no later and no earlier than their stimulus was seen."""
    start, end = intervals.T
    return np.column_stack([np.where(on < start, on, start), np.where(off > end, off, end)])
