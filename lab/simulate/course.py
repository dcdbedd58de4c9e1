"""Times of events in a simulated session: states, events, and the turning of the wheel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass
from lab.simulate.mouse import EASY, POSITION, TRAINING, Decisions, Floats, Progress
from lab.simulate.truth import Truth

RESPONSE_WINDOW = 60.0
ITI = {True: 1.0, False: 2.0}
"""Time from feedback to the end of the stimulus in s, after correct and other trials."""
EXIT = 0.5
TICKS_PER_TURN, WHEEL_RADIUS = 1024, 31.0
"""Steps of the rotary encoder, and the wheel's radius in mm."""
TICK = 2 * np.pi / TICKS_PER_TURN

_STEPS = np.linspace(0, 1, 2001)
_REACH = 10 * _STEPS**3 - 15 * _STEPS**4 + 6 * _STEPS**5  # minimum-jerk displacement


def _round(times: Floats) -> Floats:
    """Round to the state machine's clock of 0.1 ms."""
    return np.round(times, 4)


@dataclass(frozen=True)
class Course:
    """Times of a session. Relative ones count from the trial's start, as in the raw data.

    All have shape (n,) in s and are NaN for events that did not happen.
    """

    bpod_start: float
    start: Floats  # of each trial, in the raw clock
    end: Floats
    quiescent: Floats
    states: dict[str, tuple[Floats, Floats]]
    events: dict[str, list[Floats]]  # one array for each event of that name
    first_step: Floats  # of the reporting movement, from the start of the state machine
    wheel_times: Floats  # steps and resets of the encoder, from the start of the state machine
    wheel_steps: np.ndarray  # +1, -1, or 0 for a reset

    @property
    def offset(self) -> Floats:
        """Offset added to relative times."""
        return self.start - self.bpod_start

    @classmethod
    def run(
        cls,
        rng: np.random.Generator,
        decisions: Decisions,
        performance: float,
        progress: Progress,
        rig: int,
    ) -> Course:
        """Draw all times of a session."""
        n = decisions.choice.size
        responded, correct = decisions.choice != 0, decisions.correct
        never = np.full(n, np.nan)
        started = np.full(n, 1e-4)
        started[0] = {5: 1.0, 8: 2.7767}[rig]  # the first trial waits for the camera
        quiescent = _truncated_exponential(rng, n, 0.35, 0.2, 0.5) + 0.2
        still = _round(started + 1e-4 + quiescent)
        stimulus_on = _round(still + (rng.uniform(0.07, 0.09, n) if rig == 5 else 0.1))
        tone = _round(stimulus_on + 1e-4)
        played = _round(tone + (7e-4 if rig == 5 else rng.uniform(0.01, 0.06, n)))
        loop = _round(played + 1e-4)

        # Steps of the wheel that bring the stimulus to the centre, and those of the movement.
        threshold = round(POSITION / progress.gain / WHEEL_RADIUS / TICK)
        latency = np.minimum(_latency(rng, decisions.contrast, performance), 55.0)
        onset = np.maximum(tone + latency, loop + 0.02)
        duration = rng.uniform(0.12, 0.4, n)
        hesitation = np.where(
            responded & (latency > 1.0) & (rng.random(n) < 0.3), rng.integers(-11, 12, n), 0
        )
        hesitation[-1] = 0
        direction = -decisions.choice
        steps = direction * (threshold + rng.integers(15, 60, n)) - hesitation
        # The step that reaches the threshold ends the closed loop.
        reaching = threshold - hesitation * direction
        crossed = onset + duration * _when(reaching, np.abs(steps))
        response = np.where(responded, np.ceil(crossed * 1e4) / 1e4, loop + RESPONSE_WINDOW)
        response = _round(response)

        states, feedback_end = _states(
            rig,
            started,
            still,
            stimulus_on,
            tone,
            played,
            loop,
            response,
            correct,
            responded,
            progress,
        )
        end = _round(feedback_end + EXIT)
        gap = rng.uniform(0.35, 0.6, n) if rig == 5 else rng.uniform(0.08, 0.2, n)
        bpod_start = round(float(rng.uniform(1, 25)), 6)
        start = bpod_start + np.concatenate([[0], np.cumsum(end + gap)[:-1]])
        start = np.round(start, 6)
        offset = start - bpod_start

        idle = rng.random(n) < 0.5  # some trials have a movement after the response
        idle[-1] = False
        fidget = (rng.random(n) < 0.5) & ~responded
        late = np.where(responded, response + rng.uniform(0.75, 0.9, n), loop + 20)
        moves = [
            (onset, duration, np.where(responded, steps, 0)),
            (loop + 0.05, np.full(n, 0.15), hesitation),
            (late, np.full(n, 0.25), np.where(idle & responded, rng.integers(-40, 41, n), 0)),
            (late, np.full(n, 0.25), np.where(fidget, rng.integers(-15, 16, n), 0)),
        ]
        times, turned = _wheel(moves, offset)
        resets = np.concatenate([offset + started, offset + played]) + 3e-5
        times = np.concatenate([[-0.5], times, resets])
        turned = np.concatenate([[0], turned, np.zeros(resets.size, int)])
        order = np.argsort(times, kind="stable")
        first = np.where(responded, offset + onset + duration * _when(1, np.abs(steps)), never)
        events = _events(rng, rig, states, tone, stimulus_on, response, correct, responded)
        return cls(
            bpod_start,
            start,
            np.round(start + end + 2e-6, 6),
            quiescent,
            states,
            events,
            first,
            times[order],
            turned[order],
        )

    def truth(
        self, session: Path, decisions: Decisions, progress: Progress, protocol: str
    ) -> Truth:
        """Return the results of an exact extraction."""
        import pandas as pd

        correct, left = decisions.correct, decisions.position < 0
        easy = decisions.contrast >= EASY

        def at(state: str) -> Floats:
            return self.states[state][0] + self.offset

        no_go = ~np.isnan(self.states["no_go"][0])
        off_state = "hide_stim" if "hide_stim" in self.states else "exit_state"
        noise = np.where(no_go | ~correct, self.events["BNC2High"][1] + self.offset, np.nan)
        seen = self.events["BNC1High"][0] + self.offset
        table = {
            "intervals_0": self.offset,
            "intervals_1": self.end - self.bpod_start,
            "goCue_times": self.events["BNC2High"][0] + self.offset,
            "response_times": self.states["closed_loop"][1] + self.offset,
            "choice": decisions.choice.astype(np.int64),
            # From rig 6.2.5 on a trial without freeze has no defined onset.
            "stimOn_times": np.where(no_go & ("hide_stim" in self.states), np.nan, seen),
            "contrastLeft": np.where(left, decisions.contrast, np.nan),
            "contrastRight": np.where(left, np.nan, decisions.contrast),
            "feedback_times": np.where(correct, at("reward"), noise),
            "feedbackType": np.where(correct, 1, -1).astype(np.int64),
            "rewardVolume": np.where(correct, progress.reward, 0.0),
            "probabilityLeft": decisions.probability_left.astype(float),
            "firstMovement_times": self.first_step,
        }
        triggers = {
            "goCueTrigger_times": at("play_tone"),
            "stimOnTrigger_times": at("stim_on"),
            "stimOffTrigger_times": np.where(no_go, at("no_go"), at(off_state)),
            "stimOff_times": self.events["BNC1Low"][0] + self.offset,
            "quiescencePeriod": self.quiescent,
        }
        if protocol == TRAINING:
            repeats = decisions.repeat.astype(int)
            total = np.cumsum(repeats)
            triggers["repNum"] = total - np.maximum.accumulate(np.where(repeats, 0, total))
        else:
            triggers["included"] = np.ones(correct.size, dtype=bool)
        turned = self.wheel_steps != 0
        return Truth(
            session,
            pd.DataFrame(table),
            triggers,
            self.wheel_times[turned],
            np.cumsum(self.wheel_steps)[turned] * TICK,
            float(correct[easy].mean()) if easy.any() else math.nan,
            progress,
        )


def _truncated_exponential(
    rng: np.random.Generator, n: int, scale: float, low: float, high: float
) -> Floats:
    """Draw from an exponential between two bounds."""
    a, b = np.exp(-low / scale), np.exp(-high / scale)
    return -scale * np.log(rng.uniform(b, a, n))


def _latency(rng: np.random.Generator, contrast: Floats, performance: float) -> Floats:
    """Draw the time from go cue to movement: long and variable before learning."""
    naive = max(0.0, 1 - performance)
    median = 0.15 + 5 * naive**2 + 0.25 * (1 - contrast) * (1 - naive)
    return rng.lognormal(np.log(median), 0.35 + 1.2 * naive)


def _when(step: Any, steps: np.ndarray) -> Floats:
    """Return the fraction of a movement of so many steps at which a step is made.

    The wheel rests in the middle between two steps and moves with minimum jerk.
    """
    return np.interp((step - 0.5) / np.maximum(steps, 1), _REACH, _STEPS)


def _wheel(
    moves: list[tuple[Floats, Floats, np.ndarray]], offset: Floats
) -> tuple[Floats, np.ndarray]:
    """Return time and direction of each step of the encoder."""
    onset = np.concatenate([m[0] + offset for m in moves])
    duration = np.concatenate([m[1] for m in moves])
    steps = np.concatenate([m[2] for m in moves])
    count = np.abs(steps)
    which = np.repeat(np.arange(steps.size), count)
    step = np.arange(which.size) - np.repeat(np.cumsum(count) - count, count) + 1
    return onset[which] + duration[which] * _when(step, count[which]), np.sign(steps)[which]


def _states(
    rig: int,
    started: Floats,
    still: Floats,
    shown: Floats,
    tone: Floats,
    played: Floats,
    loop: Floats,
    response: Floats,
    correct: np.ndarray,
    responded: np.ndarray,
    progress: Progress,
) -> tuple[dict[str, tuple[Floats, Floats]], Floats]:
    """Return the states' times, in the order of the rig, and the end of the last but one."""
    zero, error = np.zeros_like(started), responded & ~correct

    def only(where: np.ndarray, on: Floats, off: Floats) -> tuple[Floats, Floats]:
        return np.where(where, _round(on), np.nan), np.where(where, _round(off), np.nan)

    states = {
        "trial_start": (zero, started),
        "reset_rotary_encoder": (started, _round(started + 1e-4)),
        "quiescent_period": (_round(started + 1e-4), still),
        "stim_on": (still, shown),
        "interactive_delay": (shown, tone),
        "play_tone": (tone, played),
        "reset2_rotary_encoder": (played, loop),
        "closed_loop": (loop, response),
        "no_go": only(~responded, response, response + ITI[False]),
    }
    frozen = response if rig == 5 else response + 1e-4
    valve = frozen + 0.045 * progress.reward
    feedback_end = _round(np.where(correct, response + ITI[True], response + ITI[False]))
    if rig == 8:
        states["freeze_error"] = only(error, response, frozen)
        states["freeze_reward"] = only(correct, response, frozen)
    states["error"] = only(error, frozen, feedback_end)
    states["reward"] = only(correct, frozen, valve)
    states["correct"] = only(correct, valve, feedback_end)
    if rig == 8:
        states["hide_stim"] = only(responded, feedback_end, feedback_end + 0.1)
        feedback_end = _round(np.where(responded, feedback_end + 0.1, feedback_end))
    states["exit_state"] = (feedback_end, _round(feedback_end + EXIT))
    return states, feedback_end


def _events(
    rng: np.random.Generator,
    rig: int,
    states: dict[str, tuple[Floats, Floats]],
    tone: Floats,
    shown: Floats,
    response: Floats,
    correct: np.ndarray,
    responded: np.ndarray,
) -> dict[str, list[Floats]]:
    """Return the flips of the sync square (BNC1), the sounds (BNC2) and licks (Port1)."""
    n = correct.size
    hide = states["hide_stim" if rig == 8 else "exit_state"][0]
    hide = np.where(responded, hide, states["no_go"][0])
    seen = _round(states["stim_on"][0] + rng.uniform(0.03, 0.068, n))
    gone = _round(hide + rng.uniform(0.02, 0.08, n))
    noise_state = np.where(responded, states["error"][0], states["no_go"][0])
    heard, noise = _round(tone + 6e-4), _round(noise_state + 7e-4)
    lick = np.where(correct, _round(response + rng.uniform(0.06, 0.2, n)), np.nan)
    events = {
        "BNC1High": [seen],
        "BNC1Low": [gone],
        "BNC2High": [heard, noise],
        "BNC2Low": [_round(heard + 0.1), _round(noise + 0.5)],
        "Port1In": [lick],
        "Port1Out": [_round(lick + 0.02)],
    }
    if rig == 8:  # the square flips as the stimulus freezes
        frozen = np.where(responded, _round(response + rng.uniform(0.02, 0.06, n)), np.nan)
        events["BNC1High"].append(frozen)
    return events
