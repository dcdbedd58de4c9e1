"""Trials and wheel on the main clock of a session, to which all its devices are synchronised.

The state machine signals its trials to the board that is the main clock: a short pulse as a trial
starts, a longer one as long as the valve is open, the longest one at the end. The board also
records the screen, the sounds and the wheel. The rules are those of the IBL behaviour pipeline
(ibllib 4.1.0, ``FpgaTrials``): the pulses of the trials convert the state machine's times to the
main clock; events that the board recorded itself take precedence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.science.behaviour.raw_settings import NEWEST
from shared.science.behaviour.raw_task import Floats, RawTask
from shared.science.behaviour.wheel_position import WheelTrace
from shared.science.clocks.events import Matched, match_events
from shared.science.clocks.pulses import Fronts, Pulses
from shared.science.clocks.spacers import protocol_period
from shared.science.errors import SyncFailed

log = logging.getLogger(__name__)

TRIAL_PULSES = {"trial_start": (0, 2.33e-4), "valve_open": (2.33e-4, 0.4), "trial_end": (0.4, 1e9)}
"""Lengths of the state machine's pulses: longer than the one, at most the other (s)."""

SOUNDS = {"ready_tone": (0, 0.1101), "error_tone": (0.4, 1.2)}
"""Lengths of the sounds (s)."""

AROUND = 2.5
"""Seconds before the first trial and after the last that still belong to a protocol."""

FLICKER = 0.01
"""A fall of the screen's square does not count if a rise follows sooner (s)."""

CAMERA_RATE, CAMERA_SHARE, MANY_SOUNDS, BETWEEN_FRAMES = 140.0, 0.7, 100, 0.01
"""A camera wired onto the sound card: rate from which on, share of pulses, number, gap (s)."""

SUSPICIOUS_DRIFT, IMPOSSIBLE_DRIFT = 150, 200
"""Parts per million above which a drift is logged, or refused if pulses are missing, too."""

JUMPED, SAME_SHIFT = 3, 0.01
"""Left-over pulses that tell of a jump of a clock, at least; spread of their shifts (s), at most.

Three pulses that were lost lie as three that are extra do, to a hundredth of a second: no chance.
"""

LAST_WITH_LONG_FIRST = (8, 28, 0)
"""Rigs before this one signal the first trial by a pulse of any length."""

TICKS_PER_TURN = 1024
"""Cycles of the encoder's two lines in a turn; each has four steps (X4)."""


@dataclass(frozen=True)
class OnMainClock:
    """A session's protocol on the main clock.

    Attributes
    ----------
    trials : dict of array
        As `shared.science.behaviour.trials.compute_trials` returns them, on the main clock.
    seen : dict of array
        Shape (trials,), s: errorCue, valveOpen, itiIn, stimFreeze as the board recorded them.
    screen, sound : Fronts
        All changes of the screen's square and of the sound, cleaned.
    wheel : WheelTrace or None
        From the encoder's lines; None if they are silent.
    matched : Matched
        The pulses of the trials: state machine, main clock.
    n_missing : int
        Trials whose pulse the board has missed.
    """

    trials: dict[str, np.ndarray]
    seen: dict[str, Floats]
    screen: Fronts
    sound: Fronts
    wheel: WheelTrace | None
    matched: Matched
    n_missing: int


def on_main_clock(
    task: RawTask,
    trials: Mapping[str, np.ndarray],
    pulses: Pulses,
    wiring: Mapping[str, int],
    number: int | None = None,
) -> OnMainClock:
    """Bring the trials of a protocol to the main clock.

    Parameters
    ----------
    task : RawTask
        n trials.
    trials : mapping of array
        As `shared.science.behaviour.trials.compute_trials` returns them.
    pulses : Pulses
        Pulses of the main clock.
    wiring : mapping
        Line of each device.
    number : int, optional
        Number of the protocol in the session, from 0, if there are several.

    Raises
    ------
    SyncFailed
        The state machine's pulses are missing, or belong to other trials.
    """
    starts = trials["intervals"][:, 0]
    pulses = _of_protocol(task, trials["intervals"], pulses, wiring, number)
    signs = TrialPulses.of(task, pulses, wiring)
    matched = _checked(match_events(starts, signs.starts), starts, signs.starts)
    signs = signs.without_false_start(matched)
    began = matched.convert(starts)
    began[matched.ours] = matched.their_times
    extra = np.setdiff1d(signs.starts, matched.their_times)
    out = _converted(trials, matched)
    screen = steady(pulses.of(wiring["frame2ttl"]))
    sound = _without_camera(pulses.of(wiring["audio"]))
    tones = by_length(sound, SOUNDS, "audio")
    until = next_start(began, np.sort(np.concatenate([began, extra])))
    error = last_within(tones["error_tone"][:, 0], began, until)
    valve = last_within(signs.valve_opens, began, until)
    out["goCue_times"] = first_within(tones["ready_tone"][:, 0], began, until)
    out["feedback_times"] = np.where(np.isnan(valve), error, valve)
    # The board has no record of events before its first sample.
    on, off = (_recorded(out[f"{name}Trigger_times"]) for name in ("stimOn", "stimOff"))
    out["stimOn_times"] = first_within(screen.times, on, off)
    out["stimOff_times"] = first_within(screen.times, off, out["intervals"][:, 1])
    seen = {
        "errorCue": error,
        "valveOpen": valve,
        "itiIn": last_within(signs.iti_begins, began, until),
        "stimFreeze": _frozen(out, screen.times),
    }
    n_missing = starts.size - matched.ours.size
    return OnMainClock(
        out, seen, screen, sound, wheel_of_lines(pulses, wiring), matched, n_missing
    )


@dataclass(frozen=True)
class TrialPulses:
    """The state machine's pulses by their meaning; times in s.

    ``taken`` is the kind of the pulse that was taken for the start of the first trial.
    """

    starts: Floats
    valve_opens: Floats
    iti_begins: Floats
    taken: str | None = None

    @classmethod
    def of(cls, task: RawTask, pulses: Pulses, wiring: Mapping[str, int]) -> TrialPulses:
        """Classify pulses by their length.

        On rigs before 8.28 the first trial's pulse lasts until the cameras run: the earliest
        pulse is that of the first trial, whatever its length.
        """
        fronts = pulses.of(wiring["bpod"])
        if not fronts.times.size:
            raise SyncFailed(
                "the state machine's pulses",
                f"there is none on line {wiring['bpod']} of the main clock",
                "check the BNC cable, and the wiring file of the recording",
            )
        kinds = by_length(fronts, TRIAL_PULSES, "bpod")
        starts, taken = kinds["trial_start"], None
        if starts.size and _long_first_pulse(task):
            before = {
                name: found[0, 0]
                for name, found in kinds.items()
                if found.size and found[0, 0] < starts[0, 0]
            }
            if before:
                taken = min(before, key=lambda name: before[name])
                starts = np.concatenate([kinds[taken][:1], starts])
                kinds[taken] = kinds[taken][1:]
        return cls(starts[:, 0], kinds["valve_open"][:, 0], kinds["trial_end"][:, 0], taken)

    def without_false_start(self, matched: Matched) -> TrialPulses:
        """Return the pulses with a wrong first start put back among its kind."""
        if self.taken is None or (matched.theirs.size and matched.theirs[0] == 0):
            return self
        first = self.starts[:1]
        opens = np.concatenate([first, self.valve_opens])
        iti = np.concatenate([first, self.iti_begins])
        return TrialPulses(
            self.starts[1:],
            opens if self.taken == "valve_open" else self.valve_opens,
            iti if self.taken == "trial_end" else self.iti_begins,
        )


def wheel_of_lines(pulses: Pulses, wiring: Mapping[str, int]) -> WheelTrace | None:
    """Return the wheel's position from the two lines of its encoder; None if they are silent.

    Radians, anticlockwise positive, from the wheel's first position. A change of one line is a
    quarter of a cycle, and the level of the other line gives its sense. Before its first change a
    line is taken to be as after its last, as the reference does.
    """
    a, b = pulses.of(wiring["rotary_encoder_0"]), pulses.of(wiring["rotary_encoder_1"])
    if a.times.size < 2 or b.times.size < 2:
        return None
    of_a = b.polarities[np.searchsorted(b.times, a.times) - 1] * a.polarities
    of_b = -a.polarities[np.searchsorted(a.times, b.times) - 1] * b.polarities
    times = np.concatenate([a.times, b.times])
    order = np.argsort(times)
    steps = np.concatenate([of_a, of_b])[order]
    return WheelTrace(times[order], -np.cumsum(steps) / TICKS_PER_TURN * np.pi * 2 / 4)


def first_within(events: Floats, after: Floats, before: Floats) -> Floats:
    """Return the first event strictly between two times of each trial, NaN if there is none."""
    low, high = _between(events, after, before)
    return np.where(low < high, np.append(events, np.nan)[np.minimum(low, events.size)], np.nan)


def last_within(events: Floats, after: Floats, before: Floats) -> Floats:
    """Return the last event strictly between two times of each trial, NaN if there is none."""
    low, high = _between(events, after, before)
    return np.where(low < high, np.append(events, np.nan)[np.maximum(high - 1, 0)], np.nan)


def _recorded(times: Floats) -> Floats:
    return np.where(times < 0, np.nan, times)


def _between(events: Floats, after: Floats, before: Floats) -> tuple[np.ndarray, np.ndarray]:
    low = np.searchsorted(events, after, side="right")
    high = np.searchsorted(events, np.where(np.isnan(before), -np.inf, before), side="left")
    return low, high


def _of_protocol(
    task: RawTask,
    intervals: np.ndarray,
    pulses: Pulses,
    wiring: Mapping[str, int],
    number: int | None,
) -> Pulses:
    """Return the pulses while a protocol ran, without replayed ones after it."""
    period = None if number is None else protocol_period(pulses.of(wiring["bpod"]), number)
    if period is None:
        starts = TrialPulses.of(task, pulses, wiring).starts
        matched = match_events(intervals[:, 0], starts)
        if starts.size <= len(intervals) / 2 or matched is None:
            return pulses
        first, last = matched.convert(intervals.flat[[0, -1]])
        period = first - AROUND, last + AROUND
    return pulses.between(*period)


def _checked(matched: Matched | None, ours: Floats, theirs: Floats) -> Matched:
    """Return the pairs; refuse pulses that do not belong to the trials."""
    n = 0 if matched is None else matched.ours.size
    counted = (
        f"{theirs.size} pulses of trials on the main clock, {ours.size} trials, {n} that match"
    )
    if matched is None or n < ours.size / 2:
        raise SyncFailed(
            "the state machine's pulses",
            f"they are not those of the trials: {counted}",
            "check that behaviour and recording are of one session, and the wiring",
        )
    drift = matched.drift
    log.info("clocks: %s; drift %.2f ppm", counted, drift)
    refuse_impossible(matched, ours, theirs)
    if abs(drift) > SUSPICIOUS_DRIFT:
        log.warning("the state machine's clock drifts by %.1f ppm", drift)
    return matched


def refuse_impossible(matched: Matched, ours: Floats, theirs: Floats) -> None:
    """Refuse clocks that cannot belong together.

    Raises
    ------
    SyncFailed
        One drifts as none does, or jumps: the pulses that are left over on both sides match by
        another shift.
    """
    counted = (
        f"{theirs.size} pulses of trials on the main clock, {ours.size} trials, "
        f"{matched.ours.size} that match"
    )
    if abs(matched.drift) > IMPOSSIBLE_DRIFT and ours.size != theirs.size:
        raise SyncFailed(
            "the state machine's pulses",
            f"its clock drifts by {matched.drift:.0f} ppm, which none does: {counted}",
            "check that behaviour and recording are of one session",
        )
    if jump := _jump(matched, ours, theirs):
        raise SyncFailed(
            "the state machine's pulses",
            f"one of the two clocks jumps by {abs(jump):.3f} s within the session: {counted}",
            "the recording or the task was interrupted: make a session of each part",
        )


def _jump(matched: Matched, ours: Floats, theirs: Floats) -> float:
    """Return the shift by which the pulses that are left over on both sides match; 0 if none."""
    left, found = np.delete(ours, matched.ours), np.delete(theirs, matched.theirs)
    if min(left.size, found.size) < JUMPED:
        return 0.0
    again = match_events(left, found)
    if again is None or again.ours.size < max(JUMPED, left.size / 2):
        return 0.0
    shifts = again.their_times - matched.convert(again.our_times)
    return float(np.median(shifts)) if np.ptp(shifts) < SAME_SHIFT else 0.0


def _converted(trials: Mapping[str, np.ndarray], matched: Matched) -> dict[str, np.ndarray]:
    """Return the trials with all their times on the main clock."""
    return {
        name: matched.convert(values) if name.endswith("_times") or name == "intervals" else values
        for name, values in trials.items()
    }


def _long_first_pulse(task: RawTask) -> bool:
    states = task.trials[0]["behavior_data"]["States timestamps"]
    return (
        task.version < LAST_WITH_LONG_FIRST
        or task.version == NEWEST
        or "delay_initiation" in states
    )


def by_length(
    fronts: Fronts, kinds: Mapping[str, tuple[float, float]], line: str
) -> dict[str, np.ndarray]:
    """Return the pulses of each kind; shape (pulses, 2), s."""
    if not fronts.alternate:
        raise SyncFailed(
            f"the pulses of {line}",
            "two rises or two falls follow each other: the line was read wrongly",
            "look at the line in the recording: it is noisy, or not connected",
        )
    pulses = fronts.intervals()
    length = pulses[:, 1] - pulses[:, 0]
    return {name: pulses[(length > low) & (length <= high)] for name, (low, high) in kinds.items()}


def next_start(began: Floats, starts: Floats) -> Floats:
    """Return the start of the next trial for each; infinity after the last."""
    after = np.searchsorted(starts, began, side="right")
    return np.append(starts, np.inf)[after]


def steady(screen: Fronts) -> Fronts:
    """Return a screen's changes without flicker."""
    quick = np.flatnonzero((np.diff(screen.times) < FLICKER) & (screen.polarities[:-1] == -1))
    drop = np.unique(np.concatenate([quick, quick + 1]))
    if drop.size > 0.1 * screen.times.size:
        share = drop.size / screen.times.size
        log.warning("%.0f %% of the screen's changes flicker and are left out", 100 * share)
    return Fronts(np.delete(screen.times, drop), np.delete(screen.polarities, drop))


def _without_camera(sound: Fronts) -> Fronts:
    """Return the sounds without the frames of a camera wired onto their line."""
    rises = sound.rises
    if rises.size < 2 or sound.times.size <= MANY_SOUNDS:
        return sound
    if np.mean(1 / np.diff(rises) > CAMERA_RATE) <= CAMERA_SHARE:
        return sound
    log.warning("the sounds are mixed with the pulses of a camera of 150 Hz")
    slow = np.append(np.diff(sound.times) > BETWEEN_FRAMES, False) & (sound.polarities == -1)
    at = np.flatnonzero(slow)
    keep = np.sort(np.concatenate([[0], at, at + 1, [sound.times.size - 1]]))
    return Fronts(sound.times[keep], sound.polarities[keep])


def _frozen(trials: Mapping[str, np.ndarray], screen: Floats) -> Floats:
    """Return when the stimulus froze: the last change of the screen before the off command."""
    after, frozen = trials["stimOnTrigger_times"], trials["stimFreezeTrigger_times"]
    responded = trials["choice"] != 0
    if not np.isnan(frozen).all():
        after = np.where(responded, frozen, after)
    last = last_within(screen, after, trials["stimOffTrigger_times"])
    return np.where(responded, last, np.nan)
