"""The checks of the quality of a session's trials: for each trial, whether it passes.

The checks, their names and their limits are those of the IBL behaviour pipeline (ibllib 4.1.0,
``task_metrics``). A check returns an array of shape (trials,): 1 passed, 0 failed, NaN where it
does not apply. A time that is missing fails a check that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from shared.science.behaviour.raw_task import Floats
from shared.science.behaviour.wheel_position import WheelTrace

HARP = "harp"
"""Sound card that plays at once; others have a delay (99.5th percentile of 500 sessions)."""

WHEEL_DIAMETER = 6.2
"""cm"""

TICKS = 1024
"""Steps of the encoder in a turn, as the state machine reads it."""

ITI = 0.5
"""Seconds of grey screen before a trial."""

NO_GO = 2.0
"""Seconds of noise after which a trial without a response ends."""

FLICKER = 0.01
"""Pairs of flips of the sync square within so many seconds are left out as flicker."""


@dataclass(frozen=True)
class Checked:
    """The data that the checks use.

    Attributes
    ----------
    at
        Events, by name without ``_times``; shape (trials,), s.
    intervals
        Shape (trials, 2), s.
    choice, correct, reward, position, quiescence
        Shape (trials,): -1, 0, 1; bool; ul; deg; s.
    screen, screen_polarity, sound
        All fronts of the sync square, and whether each is a rise; of the sounds. s, in order.
    sound_card, gain, quiescent_period
        The sound card's name; degrees per mm; shortest quiescent period in s, from the settings.
    wheel
        None if it cannot be extracted.
    bpod_wheel
        The state machine's coarser record, if ``wheel`` is another one.
    """

    at: Mapping[str, Floats]
    intervals: Floats
    choice: np.ndarray
    correct: np.ndarray
    reward: Floats
    position: Floats
    quiescence: Floats
    screen: Floats
    screen_polarity: np.ndarray
    sound: Floats
    sound_card: str
    gain: float | None
    quiescent_period: Floats | float
    wheel: WheelTrace | None = field(repr=False)
    bpod_wheel: WheelTrace | None = field(default=None, repr=False)

    @property
    def harp(self) -> bool:
        """Whether the sound card plays at once."""
        return self.sound_card.lower() == HARP

    def after(self, event: str, cause: str) -> Floats:
        """Return the seconds from one event to another; infinite if one is unknown."""
        return known(self.at[event] - self.at[cause])


def known(values: Floats) -> Floats:
    """Return values with infinity for NaN, so that missing ones fail."""
    return np.where(np.isnan(values), np.inf, values)


def only(passed: np.ndarray, where: np.ndarray) -> Floats:
    """Return the passed trials as numbers; NaN where a check does not apply."""
    return np.where(where, passed.astype(float), np.nan)


def delays(trials: Checked) -> Iterator[tuple[str, np.ndarray]]:
    """Check the times from a command, or an event, to its effect."""
    responded, correct = trials.choice != 0, trials.correct
    slow = 0.01 if trials.harp else 0.053
    sound = trials.after("goCue", "stimOn")
    yield "stimOn_goCue_delays", (sound < slow) & (sound > 0)
    feedback = trials.after("feedback", "response")
    yield "response_feedback_delays", (feedback < slow) & (feedback > 0)
    frozen = trials.after("stimFreeze", "response")
    yield "response_stimFreeze_delays", only((frozen < 0.1) & (frozen > 0), responded)
    grey = trials.after("itiIn", "stimOff")
    yield "stimOff_itiIn_delays", only((grey < 0.01) & (grey >= 0), responded)
    wait = known(trials.intervals[1:, 0] - trials.at["stimOff"][:-1] - ITI)
    wait = wait - np.where(responded[:-1], 0, NO_GO)
    yield "iti_delays", np.append((np.abs(wait) < ITI / 10).astype(float), np.nan)
    rewarded = known(trials.at["stimOff"] - trials.at["feedback"] - 1)
    yield "positive_feedback_stimOff_delays", only(np.abs(rewarded) < 0.15, correct)
    noise = known(trials.at["stimOff"] - trials.at["errorCue"] - 2)
    noise = noise + np.where(responded, 0, NO_GO)
    yield "negative_feedback_stimOff_delays", only(np.abs(noise) < 0.15, ~correct)
    length = trials.after("feedback", "goCue")
    yield "trial_length", (length < 60.1) & (length > 0)
    yield from triggered(trials)
    error = trials.after("errorCue", "errorCueTrigger")
    # A mouse that responds during the go tone hears the noise after it.
    early = trials.at["response"] - trials.at["goCue"] < 0.105
    most = 0.0015 if trials.harp else 0.062
    yield "errorCue_delays", only((error <= most) & (error > 0), ~correct & ~early)
    freeze = trials.after("stimFreeze", "stimFreezeTrigger")
    yield "stimFreeze_delays", only((freeze <= 0.15) & (freeze > 0), responded)


def triggered(trials: Checked) -> Iterator[tuple[str, np.ndarray]]:
    """Check the delays that habituation has, too."""
    cue = trials.after("goCue", "goCueTrigger")
    yield "goCue_delays", (cue <= (0.0015 if trials.harp else 0.053)) & (cue > 0)
    for name in ("stimOn", "stimOff"):
        delay = trials.after(name, f"{name}Trigger")
        yield f"{name}_delays", (delay <= 0.15) & (delay > 0)


def order(trials: Checked) -> Iterator[tuple[str, np.ndarray]]:
    """Check that the events of a trial came in their order, each within it."""
    start, end = trials.intervals.T
    at = trials.at

    def rising(*times: Floats) -> np.ndarray:
        return np.all([a < b for a, b in pairwise(times)], axis=0)

    wrong = rising(start, at["goCue"], at["errorCue"], at["itiIn"], end)
    yield "error_trial_event_sequence", only(wrong, ~trials.correct)
    right = rising(start, at["goCue"], at["valveOpen"], at["itiIn"], end)
    yield "correct_trial_event_sequence", only(right, trials.correct)
    yield "n_trial_events", _each_once(trials)


EVENTS = (
    *("goCueTrigger", "stimOnTrigger", "itiIn", "stimOffTrigger", "stimOff", "goCue", "response"),
    *("stimOn", "feedback"),
)
"""Events that every trial has."""

EVENTS_OF_RESPONSES = ("stimFreezeTrigger", "firstMovement")
"""Events that only a trial with a response has."""


def _each_once(trials: Checked) -> np.ndarray:
    start, end = trials.intervals.T

    def within(*names: str) -> np.ndarray:
        return np.all([(start < trials.at[n]) & (trials.at[n] < end) for n in names], axis=0)

    responded = trials.choice != 0
    answered = within(*EVENTS, *EVENTS_OF_RESPONSES)
    never = within(*EVENTS) & np.isnan(trials.at["stimFreezeTrigger"])
    noise = np.where(
        trials.correct, np.isnan(trials.at["errorCueTrigger"]), within("errorCueTrigger")
    )
    return np.where(trials.correct | responded, answered, never) & noise


def movements(trials: Checked) -> Iterator[tuple[str, np.ndarray | None]]:
    """Check the movements of the wheel; None for each check if they are unknown."""
    responded = trials.choice != 0
    first = trials.at["firstMovement"]
    earliest = trials.at["goCueTrigger"] - trials.quiescent_period
    detected = (earliest < first) & (first < trials.at["response"])
    wheel = trials.wheel
    yield "detected_wheel_moves", None if wheel is None else only(detected, responded)
    moved = None if wheel is None else only(_moved(wheel, trials), responded)
    yield "wheel_move_before_feedback", moved
    other = wheel if trials.bpod_wheel is None else trials.bpod_wheel
    for name, degrees, trace in (("closed_loop", 3, wheel), ("closed_loop_bpod", 1, other)):
        passed = None
        if trace is not None and trials.gain is not None:
            missed, degree = _off_threshold(trace, trials, trials.gain)
            passed = only(missed < degree * degrees, responded)
        yield f"wheel_move_during_{name}", passed
    still = None if wheel is None else _still(wheel, trials)
    yield "wheel_freeze_during_quiescence", still


def _moved(wheel: WheelTrace, trials: Checked) -> np.ndarray:
    """Tell where the wheel moved within 50 ms of the feedback."""
    moved = np.zeros(trials.choice.size, bool)
    for i, at in enumerate(trials.at["feedback"]):
        position = wheel.position[wheel.between(at - 0.05, at + 0.05)]
        moved[i] = position.size > 1 and position[-1] != position[0]
    return moved


def _off_threshold(wheel: WheelTrace, trials: Checked, gain: float) -> tuple[Floats, float]:
    """Return the wheel's distance from the threshold (trials,), and a visual degree; rad."""
    turned = np.zeros(trials.choice.size)
    spans = zip(trials.at["goCueTrigger"], trials.at["response"], strict=True)
    for i, (start, end) in enumerate(spans):
        moved = _from_before(wheel, wheel.between(start, end), first=-1)
        if moved.size:
            turned[i] = moved[np.argmax(np.abs(moved))]
    # A response to the other side turns the wheel as far, the other way.
    wanted = trials.position / gain * 0.1 * (2 / WHEEL_DIAMETER) * (trials.correct * 2 - 1)
    return np.abs(turned - wanted), 1 / gain * 0.1 * (2 / WHEEL_DIAMETER)


def _still(wheel: WheelTrace, trials: Checked) -> np.ndarray:
    """Tell where the wheel moved less than 2 degrees either way before the stimulus."""
    most = np.zeros(trials.choice.size)
    onsets = trials.at["stimOnTrigger"]
    for i, (start, end) in enumerate(zip(onsets - trials.quiescence, onsets, strict=True)):
        moved = _from_before(wheel, wheel.between(start, end), first=0)
        if moved.size:
            most[i] = max(abs(moved.min()), abs(moved.max()))
    return 180 * most / np.pi < 2


def _from_before(wheel: WheelTrace, span: slice, *, first: int) -> Floats:
    """Return positions relative to the sample before; for the first sample, to another one."""
    if span.start == span.stop:
        return np.empty(0)
    # The reference takes the first of several samples at one time.
    at = int(np.searchsorted(wheel.times, wheel.times[span.start], side="left")) - 1
    return wheel.position[span] - wheel.position[at if at >= 0 else first]


def integrity(wheel: WheelTrace, coding: int = 1) -> np.ndarray:
    """Check each step of the wheel: at most one tick, and later than the one before.

    ``coding`` is the steps per tick: 1 as the state machine reads it, 4 by its lines.
    """
    step = 2 * np.pi / TICKS / coding
    skipped = np.abs(np.diff(wheel.position)) + (np.diff(wheel.times) <= 0)
    return skipped < 1.5 * step


def rewards(trials: Checked) -> Iterator[tuple[str, np.ndarray]]:
    """Check the volumes of water."""
    reward = trials.reward
    fair = (reward >= 1.5) & (reward <= 3.0)
    yield "reward_volumes", np.where(trials.correct, fair, reward == 0)


def one_reward(trials: Checked) -> bool:
    """Check that all rewards of the session were of one volume."""
    volumes = set(trials.reward.tolist())
    return 0 < len(volumes) <= 2 and 0.0 in volumes


def before_cue(trials: Checked) -> Iterator[tuple[str, np.ndarray]]:
    """Check flips and sounds from the start of a trial to its go cue."""
    flips, cue = _steady(trials.screen, trials.screen_polarity), trials.at["goCue"]
    start = trials.intervals[:, 0]
    one_flip = _between(flips, start, cue) == 1
    yield "stimulus_move_before_goCue", only(one_flip, ~np.isnan(cue))
    yield "audio_pre_trial", _between(trials.sound, start, cue - 0.02) == 0


def _steady(times: Floats, rises: np.ndarray) -> Floats:
    """Return fronts without the pairs that flicker: a fall that a rise follows at once."""
    at = np.flatnonzero((np.diff(times) < FLICKER) & ~rises[:-1])
    return np.delete(times, np.unique(np.concatenate([at, at + 1])))


def _between(times: Floats, after: Floats, before: Floats) -> np.ndarray:
    """Return how many times lie strictly between two others; 0 if one is unknown."""
    low = np.searchsorted(times, after, side="right")
    high = np.searchsorted(times, np.where(np.isnan(before), -np.inf, before), side="left")
    return np.maximum(high - low, 0)
