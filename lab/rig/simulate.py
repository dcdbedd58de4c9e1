"""Simulate a mouse on a rig: raw sessions in the formats of rig 5 and rig 8.

The files are those that a rig writes, so everything behind them can be tried with sessions of real
length. They say in their settings that they are synthetic (``"SYNTHETIC": true``). The task's
rules are those of the IBL task (behaviour paper, 2021, eLife 10:e63711): training phases,
debiasing, adaptive reward and gain, biased blocks. What the mouse does follows a psychometric
function whose lapses give the performance asked for.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from shared.alf import ALFInvalid, SessionPath

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

TRAINING, BIASED = "training", "biased"
PROTOCOLS = {
    TRAINING: "_iblrig_tasks_trainingChoiceWorld",
    BIASED: "_iblrig_tasks_biasedChoiceWorld",
}
VERSIONS = {5: "5.0.0", 8: "8.27.0"}

PHASES: tuple[tuple[float, ...], ...] = (
    (1.0, 0.5),
    (1.0, 0.5, 0.25),
    (1.0, 0.5, 0.25, 0.125),
    (1.0, 0.5, 0.25, 0.125, 0.0625),
    (1.0, 0.5, 0.25, 0.125, 0.0625, 0.0),
    (1.0, 0.25, 0.125, 0.0625, 0.0),
)
"""Contrasts of each training phase; in the last and in the biased task 0 is half as frequent."""
LAST_PHASE = len(PHASES) - 1
PASS_RATE, PASS_TRIALS = 0.8, 50
"""A contrast is passed with more than this rate correct in its last so many trials."""
PHASE_TRIALS = 200
"""Phases 2 to 4 last so many trials."""
EASY = 0.5
"""Errors at this contrast and above are repeated in training."""
POSITION = 35
"""Stimulus eccentricity in degrees; the response brings it to the centre."""
REWARD_MAX, REWARD_MIN, REWARD_STEP = 3.0, 1.5, 0.1
GAIN_FIRST, GAIN_LATER = 8.0, 4.0
"""Degrees of stimulus per mm of wheel, before and after a day with over 200 responses."""
MANY_RESPONSES = 200
FIRST_BLOCK, BLOCK_SCALE, BLOCK_MIN, BLOCK_MAX = 90, 60, 20, 100
RESPONSE_WINDOW = 60.0
ITI = {True: 1.0, False: 2.0}
"""Time from feedback to the end of the stimulus in s, after correct and other trials."""
EXIT = 0.5
TICKS_PER_TURN, WHEEL_RADIUS = 1024, 31.0
"""Steps of the rotary encoder, and the wheel's radius in mm."""
TICK = 2 * np.pi / TICKS_PER_TURN

_STEPS = np.linspace(0, 1, 2001)
_REACH = 10 * _STEPS**3 - 15 * _STEPS**4 + 6 * _STEPS**5  # minimum-jerk displacement


@dataclass(frozen=True)
class Progress:
    """What a mouse carries from one session to the next.

    Attributes
    ----------
    phase : int
        Training phase, 0 to 5.
    phase_trials : int
        Trials in this phase.
    outcomes : dict of float to tuple of bool
        The last 50 outcomes of each signed contrast, for passing phases 0 and 1.
    reward : float
        Reward in ul.
    gain : float
        Stimulus gain in degrees/mm.
    """

    phase: int = 0
    phase_trials: int = 0
    outcomes: dict[float, tuple[bool, ...]] = field(default_factory=dict)
    reward: float = REWARD_MAX
    gain: float = GAIN_FIRST


@dataclass(frozen=True)
class LearningCurve:
    """How a mouse learns: a logistic course of performance, and of trials per day.

    Attributes
    ----------
    start, end : float
        Fraction correct on easy contrasts before and after learning.
    midpoint, slope : float
        Day at the middle, and its time constant in days.
    first_trials, last_trials : int
        Trials per session before and after learning.
    """

    start: float = 0.5
    end: float = 0.93
    midpoint: float = 12.0
    slope: float = 2.5
    first_trials: int = 500
    last_trials: int = 900

    @classmethod
    def draw(cls, rng: np.random.Generator) -> LearningCurve:
        """Draw a mouse; the spread of training times is about that of the behaviour paper."""
        return cls(
            start=rng.uniform(0.42, 0.58),
            end=rng.uniform(0.88, 0.97),
            midpoint=rng.gamma(4.0, 3.0) + 2,
            slope=rng.uniform(1.0, 4.0),
            first_trials=int(rng.integers(500, 650)),
            last_trials=int(rng.integers(700, 1000)),
        )

    def _done(self, day: int) -> float:
        return 1 / (1 + math.exp(-(day - self.midpoint) / self.slope))

    def performance(self, day: int) -> float:
        """Return the fraction correct on easy contrasts on a day, counted from 0."""
        return self.start + (self.end - self.start) * self._done(day)

    def trials(self, day: int) -> int:
        """Return the number of trials on a day, counted from 0."""
        return round(self.first_trials + (self.last_trials - self.first_trials) * self._done(day))


@dataclass(frozen=True)
class Truth:
    """What really happened in a simulated session; times in s from the state machine's start.

    Attributes
    ----------
    session : Path
        Folder of the session.
    table : data frame
        n rows with the columns of ``trials.table``; ``firstMovement_times`` is the first encoder
        step of the reporting movement.
    triggers : dict of array
        Shape (n,): stimOnTrigger, goCueTrigger, stimOffTrigger, stimOff (``_times``),
        quiescencePeriod and repNum (training) or included.
    wheel_times, wheel_position : array
        Shape (steps,): s and rad, each step of the encoder.
    performance_easy : float
        Fraction correct at contrasts of 0.5 and above.
    progress : Progress
        What the mouse takes to its next session.
    """

    session: Path
    table: pd.DataFrame
    triggers: dict[str, np.ndarray]
    wheel_times: Floats
    wheel_position: Floats
    performance_easy: float
    progress: Progress


@dataclass
class _Decisions:
    """Trial by trial: what was shown and what the mouse reported."""

    position: np.ndarray
    contrast: Floats
    probability_left: Floats
    choice: np.ndarray
    repeat: np.ndarray
    phase: np.ndarray
    block: np.ndarray
    block_trial: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        return self.choice == -np.sign(self.position)


def simulate_session(
    folder: Path | str,
    *,
    seed: int,
    subject: str,
    date: datetime.date,
    number: int = 1,
    rig_version: int = 5,
    day: int = 0,
    performance: float = 0.5,
    n_trials: int = 700,
    protocol: str = TRAINING,
    progress: Progress | None = None,
    last_phase: int = LAST_PHASE,
    threshold: float | None = None,
    lab: str = "",
    weight: float = 24.0,
    collection: str = "raw_behavior_data",
    truth_folder: Path | str | None = None,
) -> Truth:
    """Simulate one session and write its raw files.

    The same arguments give the same files, byte for byte.

    Parameters
    ----------
    folder : path
        Where ``<subject>/<date>/<NNN>/<collection>`` is made, by convention ``<lab>/Subjects``.
    seed : int
        Seed; together with subject, date and number it fixes the session.
    subject, date, number
        Which session.
    rig_version : {5, 8}
        Format of the files.
    day : int
        Day of training, from 0; written in the settings.
    performance : float
        Fraction correct on easy contrasts, 0 to 1; the trials are drawn with it.
    n_trials : int
        Number of trials, at least 1.
    protocol : {'training', 'biased'}
        Task.
    progress : Progress, optional
        The mouse's state after the session before; by default a mouse new to the task.
    last_phase : int
        Training phase beyond which the experimenter does not let the mouse pass.
    threshold : float, optional
        Of the psychometric function, in percent contrast; by default it falls with performance.
    lab : str
        Laboratory, written in the settings.
    weight : float
        Weight of the mouse in g.
    collection : str
        Folder of the raw files.
    truth_folder : path, optional
        Where to write the truth too, as ALF files.

    Returns
    -------
    Truth
        What an exact extraction gives back, and the mouse's progress.

    Raises
    ------
    ValueError
        A number out of its range, an unknown rig version or protocol.
    ALFInvalid
        Subject or number can not be in a session path.
    """
    path = SessionPath(None, subject, date, number)
    if rig_version not in VERSIONS or protocol not in PROTOCOLS:
        raise ValueError(f"rig {rig_version}, {protocol!r}: choose rig 5 or 8, training or biased")
    if not 0 <= last_phase <= LAST_PHASE or (threshold is not None and threshold <= 0):
        raise ValueError(f"phase {last_phase}, threshold {threshold}: 0 to 5, above 0")
    if n_trials < 1 or not 0 <= performance <= 1:
        raise ValueError(f"{n_trials} trials, performance {performance}: at least 1, 0 to 1")
    identity = int.from_bytes(path.build().encode(), "little")
    rng = np.random.default_rng([seed, *_words(identity)])
    progress = progress or Progress()
    mouse = _Mouse(performance, threshold)
    if protocol == BIASED:
        decisions, after = _biased(rng, n_trials, mouse), progress
    else:
        decisions, after = _training(rng, n_trials, mouse, progress, last_phase)
    if protocol == BIASED:
        progress = replace(progress, reward=REWARD_MIN, gain=GAIN_LATER)
    course = _Course.run(rng, decisions, performance, progress, rig_version)
    session = Path(folder) / path.short
    raw = session / collection
    raw.mkdir(parents=True, exist_ok=True)
    files = _Files(raw, rng, course, decisions, progress, path, rig_version, protocol)
    files.write({"day": day, "seed": seed, "lab": lab, "weight": weight})
    truth = course.truth(session, decisions, progress, protocol)
    water = float(truth.table["rewardVolume"].sum()) / 1000
    responses = int(np.count_nonzero(decisions.choice))
    truth = replace(truth, progress=_next_day(after, responses, water, weight))
    if truth_folder is not None:
        _write_truth(truth, Path(truth_folder))
    return truth


def _words(number: int) -> list[int]:
    """Return an integer of any size as words that a seed sequence takes."""
    return [(number >> shift) & 0xFFFFFFFF for shift in range(0, max(number.bit_length(), 1), 32)]


def _next_day(progress: Progress, responses: int, water: float, weight: float) -> Progress:
    """Adapt reward and gain for the next day, by responses and water (ml) of this one."""
    reward = progress.reward
    if responses > MANY_RESPONSES:
        reward -= REWARD_STEP
    elif water < weight / 25:
        reward += REWARD_STEP
    reward = round(min(max(reward, REWARD_MIN), REWARD_MAX), 1)
    gain = GAIN_LATER if responses > MANY_RESPONSES else progress.gain
    return replace(progress, reward=reward, gain=gain)


# --- what the mouse decides ------------------------------------------------------------------


@dataclass(frozen=True)
class _Mouse:
    """How a mouse decides in one session."""

    performance: float
    threshold: float | None = None

    @property
    def silence(self) -> float:
        """Probability of no report, which counts as wrong."""
        return 0.004 + 0.03 * (1 - self.performance)

    def right(self, contrast: float, side: int, shift: float) -> float:
        """Return the probability of reporting right; the shift is a bias in percent contrast."""
        threshold = self.threshold or 15 + 60 * (1 - self.performance)
        easy = (math.erf(100 / threshold) + math.erf(50 / threshold)) / 2
        slope = (2 * min(self.performance / (1 - self.silence), 1) - 1) / easy
        right = 0.5 + 0.5 * slope * math.erf((100 * contrast * side + shift) / threshold)
        return min(max(right, 0.0), 1.0)

    def choose(
        self, rng: np.random.Generator, contrast: float, side: int, shift: float = 0.0
    ) -> int:
        """Draw a report: -1 right, 1 left, 0 none."""
        if rng.random() < self.silence:
            return 0
        return -1 if rng.random() < self.right(contrast, side, shift) else 1


def _draw_contrast(rng: np.random.Generator, contrasts: tuple[float, ...]) -> float:
    """Draw a contrast; 0 is half as frequent, since it has no sides."""
    weights = np.cumsum([0.5 if c == 0 else 1.0 for c in contrasts])
    drawn = np.searchsorted(weights, rng.random() * weights[-1], side="right")
    return contrasts[min(int(drawn), len(contrasts) - 1)]


def _training(
    rng: np.random.Generator, n: int, mouse: _Mouse, progress: Progress, last_phase: int
) -> tuple[_Decisions, Progress]:
    """Run the training task: phases of contrasts, repeats after easy errors."""
    phase, in_phase = progress.phase, progress.phase_trials
    outcomes = {c: list(o) for c, o in progress.outcomes.items()}
    sides = [0] * 10
    bias = rng.normal(0, 12 * (1 - mouse.performance))
    rows = []
    error_at = -1.0
    for _ in range(n):
        in_phase += 1
        if phase < last_phase and _phase_passed(phase, in_phase, outcomes):
            phase, in_phase = phase + 1, 0
        contrast, probability = _draw_contrast(rng, PHASES[phase]), 0.5
        side = -1 if rng.random() < 0.5 else 1
        repeat = phase < LAST_PHASE and error_at >= EASY
        if repeat:
            contrast = error_at
            average = sum(s > 0 for s in sides) / 10
            side = 1 if rng.normal(average, 0.5) >= 0.5 else -1
            probability = 1 - average
        choice = mouse.choose(rng, contrast, side, bias)
        correct = choice == -side
        error_at = -1.0 if correct else contrast
        sides = [*sides[1:], choice]
        if not repeat:
            last = outcomes.setdefault(side * contrast, [])
            last.append(correct)
            del last[:-PASS_TRIALS]
        rows.append((side * POSITION, contrast, probability, choice, repeat, phase, 0, 0))
    kept = {c: tuple(o) for c, o in outcomes.items()}
    after = replace(progress, phase=phase, phase_trials=in_phase, outcomes=kept)
    return _decisions(rows), after


def _phase_passed(phase: int, in_phase: int, outcomes: dict[float, list[bool]]) -> bool:
    """Say whether the mouse goes on to the next phase."""
    if phase >= 2:
        return in_phase >= PHASE_TRIALS
    last = [outcomes.get(side * c, []) for c in PHASES[phase] for side in (-1, 1)]
    return all(len(o) == PASS_TRIALS and sum(o) > PASS_RATE * PASS_TRIALS for o in last)


def _biased(rng: np.random.Generator, n: int, mouse: _Mouse) -> _Decisions:
    """Run the biased task: 90 unbiased trials, then blocks of 20 % and 80 % left."""
    rows = []
    left, block, of_block, length = 0.5, 0, 0, FIRST_BLOCK
    for _ in range(n):
        if of_block == length:
            block, of_block = block + 1, 0
            left = (0.2 if rng.random() < 0.5 else 0.8) if left == 0.5 else round(1 - left, 1)
            length = _block_length(rng)
        contrast = _draw_contrast(rng, PHASES[LAST_PHASE])
        side = -1 if rng.random() < left else 1
        shift = {0.5: 0.0, 0.2: 12.0, 0.8: -12.0}[left] * min(of_block / 10, 1)
        choice = mouse.choose(rng, contrast, side, shift)
        rows.append((side * POSITION, contrast, left, choice, False, LAST_PHASE, block, of_block))
        of_block += 1
    return _decisions(rows)


def _block_length(rng: np.random.Generator) -> int:
    """Draw the length of a block: an exponential between 20 and 100 trials."""
    while True:
        if BLOCK_MIN <= (length := rng.exponential(BLOCK_SCALE)) <= BLOCK_MAX:
            return int(length)


def _decisions(rows: list[tuple[Any, ...]]) -> _Decisions:
    return _Decisions(*(np.array(column) for column in zip(*rows, strict=True)))


# --- when it happens -------------------------------------------------------------------------


def _round(times: Floats) -> Floats:
    """Round to the state machine's clock of 0.1 ms."""
    return np.round(times, 4)


@dataclass(frozen=True)
class _Course:
    """Times of a session. Relative ones count from the trial's start, as in the raw data.

    All have shape (n,) in s and are NaN where a thing did not happen.
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
        """What is added to a relative time."""
        return self.start - self.bpod_start

    @classmethod
    def run(
        cls,
        rng: np.random.Generator,
        decisions: _Decisions,
        performance: float,
        progress: Progress,
        rig: int,
    ) -> _Course:
        """Draw all times of a session."""
        n = decisions.choice.size
        responded, correct = decisions.choice != 0, decisions.correct
        never = np.full(n, np.nan)
        started = np.full(n, 1e-4)
        started[0] = {5: 1.0, 8: 2.7767}[rig]  # the first trial waits for the camera
        quiescent = _truncated_exponential(rng, n, 0.35, 0.2, 0.5) + 0.2
        still = _round(started + 1e-4 + quiescent)
        shown = _round(still + (rng.uniform(0.07, 0.09, n) if rig == 5 else 0.1))
        tone = _round(shown + 1e-4)
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
            rig, started, still, shown, tone, played, loop, response, correct, responded, progress
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
        events = _events(rng, rig, states, tone, shown, response, correct, responded)
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
        self, session: Path, decisions: _Decisions, progress: Progress, protocol: str
    ) -> Truth:
        """Return what an exact extraction gives."""
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
    """Return at which fraction of a movement of so many steps a step is made.

    The wheel rests in the middle between two steps, and moves with minimum jerk.
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


# --- what the rig writes ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Files:
    """Writer of the raw files of one session."""

    folder: Path
    rng: np.random.Generator
    course: _Course
    decisions: _Decisions
    progress: Progress
    path: SessionPath
    rig: int
    protocol: str

    def write(self, about: dict[str, Any]) -> None:
        """Write all files."""
        ambient = self._ambient()
        self._lines("_iblrig_ambientSensorData.raw.jsonable", map(json.dumps, ambient))
        trials = self._trials(ambient)
        self._lines("_iblrig_taskData.raw.jsonable", map(json.dumps, trials))
        self._encoder()
        self._trial_info()
        settings = json.dumps(self._settings(about), indent=1)
        (self.folder / "_iblrig_taskSettings.raw.json").write_text(settings, newline="\n")

    def _lines(self, name: str, lines: Iterator[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        (self.folder / name).write_text(text, newline="\n")

    def _ambient(self) -> list[dict[str, list[float]]]:
        """Return temperature, pressure and humidity of each trial: slow drifts and noise."""
        n, rng = self.decisions.choice.size, self.rng
        slow = np.cumsum(rng.normal(0, 1, (n, 3)), axis=0) / max(n, 1) ** 0.5
        level = rng.normal([24.0, 1012.0, 45.0], [1.0, 6.0, 6.0])
        values = level + slow * [0.3, 0.2, 0.8] + rng.normal(0, [0.01, 0.02, 0.05], (n, 3))
        names = ("Temperature_C", "AirPressure_mb", "RelativeHumidity")
        return [
            {k: [v] for k, v in zip(names, row, strict=True)}
            for row in np.round(values, 4).tolist()
        ]

    def _trials(self, ambient: list[dict[str, list[float]]]) -> Iterator[dict[str, Any]]:
        """Yield the object of each trial, in the layout of the rig."""
        course, d = self.course, self.decisions
        n = d.choice.size
        states = {name: np.stack(times, axis=1).tolist() for name, times in course.states.items()}
        events = {
            name: np.sort(np.stack(times, axis=1), axis=1).tolist()
            for name, times in course.events.items()
        }
        loop = course.states["closed_loop"]
        columns = {
            "position": d.position,
            "contrast": d.contrast,
            "left": d.probability_left,
            "choice": d.choice,
            "correct": d.correct,
            "repeat": d.repeat,
            "phase": d.phase,
            "block": d.block,
            "block_trial": d.block_trial,
            "quiescent": course.quiescent,
            "stim_phase": self.rng.uniform(0, 2 * np.pi, n),
            "response_time": np.round(loop[1] - loop[0], 4),
            "n_correct": np.cumsum(d.correct),
            "start": course.start,
            "end": course.end,
        }
        layout: Callable[..., dict[str, Any]] = self._rig5 if self.rig == 5 else self._rig8
        lists = {name: column.tolist() for name, column in columns.items()}
        for i in range(n):
            row = {name: values[i] for name, values in lists.items()}
            trial = layout(i, row, ambient[i])
            trial["behavior_data"] = {
                "Bpod start timestamp": course.bpod_start,
                "Trial start timestamp": row["start"],
                "Trial end timestamp": row["end"],
                "States timestamps": {name: [times[i]] for name, times in states.items()},
                "Events timestamps": {
                    name: happened
                    for name, times in events.items()
                    if (happened := [t for t in times[i] if t == t])
                },
            }
            yield trial

    def _rig5(self, i: int, row: dict[str, Any], ambient: dict[str, Any]) -> dict[str, Any]:
        contrast: Any = row["contrast"]
        if self.protocol == TRAINING:
            kind = "RepeatContrast" if row["repeat"] else "AdaptiveContrast"
            contrast = {"type": kind, "value": contrast, "trial_correct": row["correct"]}
        block = {"block_num": row["block"] + 1, "block_trial_num": row["block_trial"] + 1}
        return {
            "task_protocol": PROTOCOLS[self.protocol],
            "position_set": [-POSITION, POSITION],
            "repeat_on_error": self.protocol == TRAINING,
            "quiescent_period_base": 0.2,
            "quiescent_period": row["quiescent"],
            "response_window": 60,
            "interactive_delay": 0.0,
            "iti_error": 2,
            "iti_correct_target": 1,
            "stim_freq": 0.1,
            "stim_angle": 0.0,
            "stim_gain": self.progress.gain,
            "stim_sigma": 7.0,
            "stim_phase": row["stim_phase"],
            "as_data": {name: values[0] for name, values in ambient.items()},
            "reward_amount": self.progress.reward,
            "reward_valve_time": round(0.045 * self.progress.reward, 4),
            "trial_num": i + 1,
            "position": row["position"],
            "stim_probability_left": row["left"],
            "contrast": contrast,
            "signed_contrast": row["contrast"] * math.copysign(1, row["position"]),
            "response_time": row["response_time"],
            "trial_correct": row["correct"],
            "ntrials_correct": row["n_correct"],
            "water_delivered": round(row["n_correct"] * self.progress.reward, 3),
            **(block if self.protocol == BIASED else {}),
        }

    def _rig8(self, i: int, row: dict[str, Any], ambient: dict[str, Any]) -> dict[str, Any]:
        training = {
            "training_phase": row["phase"],
            "debias_trial": row["repeat"],
            "signed_contrast": row["contrast"] * math.copysign(1, row["position"]),
        }
        block = {"block_num": row["block"], "block_trial_num": row["block_trial"]}
        return {
            **(training if self.protocol == TRAINING else block),
            "contrast": row["contrast"],
            "position": float(row["position"]),
            "quiescent_period": row["quiescent"],
            "response_side": row["choice"],
            "response_time": row["response_time"],
            "reward_amount": self.progress.reward if row["correct"] else 0.0,
            "reward_valve_time": round(0.045 * self.progress.reward, 4),
            "stim_angle": 0.0,
            "stim_freq": 0.1,
            "stim_gain": self.progress.gain,
            "stim_phase": row["stim_phase"],
            "stim_probability_left": row["left"],
            "stim_reverse": False,
            "stim_sigma": 7.0,
            "trial_correct": row["correct"],
            "trial_num": i,
            "pause_duration": 0.0,
        }

    def _encoder(self) -> None:
        """Write positions and events in the encoder's own clock: offset, drift, 32 bits of us."""
        course, rng = self.course, self.rng
        offset, drift = rng.uniform(2, 30), rng.normal(0, 40e-6)

        def stamp(times: Floats) -> np.ndarray:
            return np.round((offset + times * (1 + drift)) * 1e6).astype(np.int64) % 2**32

        turned = np.cumsum(course.wheel_steps)
        reset = course.wheel_steps == 0
        last_reset = np.maximum.accumulate(np.where(reset, np.arange(reset.size), 0))
        # The encoder counts clockwise, and from zero again after each reset.
        ticks = turned[last_reset] - turned
        rows = zip(stamp(course.wheel_times).tolist(), ticks.tolist(), strict=True)
        self._lines("_iblrig_encoderPositions.raw.ssv", (f"{t} {k} " for t, k in rows))

        hide = "hide_stim" if self.rig == 8 else "exit_state"
        kinds = [(2, course.states["stim_on"][0]), (3, course.states["closed_loop"][0])]
        kinds.append((1, course.states[hide][0]))
        if self.rig == 8:
            kinds.append((4, course.states["freeze_reward"][0]))
            kinds.append((4, course.states["freeze_error"][0]))
        # The trial in which the task was stopped has events but no line in the task data.
        unfinished = course.end[-1] - course.bpod_start + 0.5
        times = np.concatenate(
            [when + course.offset for _, when in kinds] + [unfinished + np.array([0.6, 0.7])]
        )
        codes = np.concatenate([np.full(when.size, code) for code, when in kinds] + [[2, 3]])
        times = times + rng.uniform(0, 1e-4, times.size)
        order = np.argsort(times)
        order = order[~np.isnan(times[order])]
        rows = zip(stamp(times[order]).tolist(), codes[order].tolist(), strict=True)
        self._lines("_iblrig_encoderEvents.raw.ssv", (f"{t} {code} " for t, code in rows))

    def _trial_info(self) -> None:
        """Write the stimulus of each trial with the wall clock of the display computer."""
        d, shown = self.decisions, self.course.states["stim_on"][0] + self.course.offset
        begin = self._begin()
        rows = zip(d.position.tolist(), d.contrast.tolist(), shown.tolist(), strict=True)
        self._lines(
            "_iblrig_encoderTrialInfo.raw.ssv",
            (
                f"{i} {position} {contrast:g} 0.1 0 {self.progress.gain:g} 49 0 "
                f"{(begin + datetime.timedelta(seconds=t)).isoformat()} "
                for i, (position, contrast, t) in enumerate(rows)
            ),
        )

    def _begin(self) -> datetime.datetime:
        """Return the local start of the session: the first at ten, each later one after it."""
        hour = 10 + min(max(self.path.number - 1, 0) * 2, 12)
        return datetime.datetime.combine(self.path.date, datetime.time(hour))

    def _settings(self, about: dict[str, Any]) -> dict[str, Any]:
        """Return the settings, the keys that all rigs share and those of this one."""
        begin = self._begin()
        end = begin + datetime.timedelta(seconds=float(self.course.end[-1]))
        rewarded = int(self.decisions.correct.sum())
        shared = {
            "SYNTHETIC": True,
            "COMMENT": "SYNTHETIC: made by the rig simulator of Fornix; no animal, no rig",
            "SIMULATION": {"seed": about["seed"], "day": about["day"], "lab": about["lab"]},
            "PYBPOD_PROTOCOL": PROTOCOLS[self.protocol],
            "SUBJECT_NAME": self.path.subject,
            "SUBJECT_WEIGHT": about["weight"],
            "SUBJECT_PROJECTS": ["synthetic"],
            "SESSION_NUMBER": f"{self.path.number:03d}",
            "SESSION_DATE": self.path.date.isoformat(),
            "CONTRAST_SET": list(PHASES[LAST_PHASE] if self.protocol == BIASED else PHASES[-2]),
            "STIM_POSITIONS": [-POSITION, POSITION],
            "STIM_GAIN": self.progress.gain,
            "STIM_FREQ": 0.1,
            "STIM_SIGMA": 7.0,
            "QUIESCENT_PERIOD": 0.2,
            "QUIESCENCE_THRESHOLDS": [-2, 2],
            "INTERACTIVE_DELAY": 0.0,
            "RESPONSE_WINDOW": 60,
            "ITI_CORRECT": 1,
            "ITI_ERROR": 2,
            "REWARD_AMOUNT": self.progress.reward,
            "REWARD_TYPE": "Water 10% Sucrose",
            "CALIBRATION_VALUE": 0.067,
            "NTRIALS": 2000,
            "IS_MOCK": False,
        }
        if self.rig == 5:
            return shared | {
                "IBLRIG_VERSION_TAG": VERSIONS[5],
                "PYBPOD_BOARD": f"_iblrig_{about['lab'] or 'synthetic'}_behavior_0",
                "PYBPOD_CREATOR": ["synthetic", "00000000-0000-4000-8000-000000000000", "local"],
                "SESSION_DATETIME": begin.isoformat(),
                "SUBJECT_DISENGAGED_TRIGGERED": False,
                "SUBJECT_DISENGAGED_TRIALNUM": None,
                "SOUND_SAMPLE_FREQ": 192000,
                "SD": "None",
                "COM": {"BPOD": "COM5", "ROTARY_ENCODER": "COM6", "FRAME2TTL": "COM4"},
            }
        return shared | {
            "IBLRIG_VERSION": VERSIONS[8],
            "RIG_NAME": f"_iblrig_{about['lab'] or 'synthetic'}_behavior_0",
            "ALYX_USER": "synthetic",
            "SESSION_START_TIME": begin.isoformat(),
            "SESSION_END_TIME": end.isoformat(),
            "SESSION_DELAY_START": 0,
            "ADAPTIVE_REWARD_AMOUNT_UL": self.progress.reward,
            "ADAPTIVE_GAIN_VALUE": self.progress.gain,
            "NTRIALS_CORRECT": rewarded,
            "TOTAL_WATER_DELIVERED": round(rewarded * self.progress.reward, 1),
            "device_sound": {"OUTPUT": "harp"},
            "hardware_settings": {"RIG_NAME": "synthetic", "device_rotary_encoder": {}},
        }


def _write_truth(truth: Truth, folder: Path) -> None:
    """Write the truth as ALF files."""
    from shared.alf.io import save

    save(folder / "_ibl_trials.table.pqt", truth.table)
    for name, values in truth.triggers.items():
        save(folder / f"_ibl_trials.{name}.npy", values)
    save(folder / "_ibl_wheel.timestamps.npy", truth.wheel_times)
    save(folder / "_ibl_wheel.position.npy", truth.wheel_position)


# --- cohorts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlannedSession:
    """One session of a cohort, before it is simulated."""

    lab: str
    subject: str
    date: datetime.date
    day: int
    performance: float
    n_trials: int


def plan_cohort(
    *, lab: str, mice: int, days: int, seed: int, first_date: datetime.date
) -> list[list[PlannedSession]]:
    """Plan the sessions of a cohort: one list of consecutive weekdays for each mouse.

    Performance and trials follow a learning curve drawn for each mouse.
    """
    plans = []
    for mouse in range(mice):
        curve = LearningCurve.draw(np.random.default_rng([seed, mouse]))
        weekdays = _weekdays(first_date)
        plans.append(
            [
                PlannedSession(
                    lab,
                    f"SYN_{mouse + 1:03d}",
                    next(weekdays),
                    day,
                    curve.performance(day),
                    curve.trials(day),
                )
                for day in range(days)
            ]
        )
    return plans


def _weekdays(first: datetime.date) -> Iterator[datetime.date]:
    date = first
    while True:
        if date.weekday() < 5:
            yield date
        date += datetime.timedelta(days=1)


def simulate_mouse(
    out: Path | str, plan: list[PlannedSession], *, seed: int, rig_version: int
) -> Iterator[Truth]:
    """Simulate the sessions of one mouse in order; each takes up the progress of the last.

    The mouse goes on to the biased task when it sees all contrasts and was right on more than
    80 % of the easy trials for three sessions.

    Yields
    ------
    Truth
        The truth of each session, once its files are written.
    """
    progress, good, protocol = Progress(), 0, TRAINING
    for session in plan:
        truth = simulate_session(
            Path(out) / session.lab / "Subjects",
            seed=seed,
            rig_version=rig_version,
            subject=session.subject,
            date=session.date,
            day=session.day,
            performance=session.performance,
            n_trials=session.n_trials,
            protocol=protocol,
            progress=progress,
            lab=session.lab,
        )
        progress = truth.progress
        trained = progress.phase == LAST_PHASE and truth.performance_easy > 0.8
        good = good + 1 if trained else 0
        if good == 3:
            protocol = BIASED
        yield truth


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--lab", default="fimbrialab", show_default=True, help="Name of the laboratory.")
@click.option("--mice", default=1, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--days", default=5, show_default=True, type=click.IntRange(1), help="Of training.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option(
    "--rig", "rig_version", default="5", show_default=True, type=click.Choice(["5", "8"]),
    help="Version of the rig whose files are written.",
)  # fmt: skip
@click.option(
    "--first-date", default="2024-01-08", show_default=True, type=click.DateTime(["%Y-%m-%d"]),
    help="First day of training; weekends are left out.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), help="Trials per session; else as learned.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per session on stdout.")
def simulate(
    out: Path,
    lab: str,
    mice: int,
    days: int,
    seed: int,
    rig_version: str,
    first_date: datetime.datetime,
    trials: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Simulate mice that learn the IBL task, and write their raw sessions under OUT.

    Sessions are written to OUT/LAB/Subjects/SUBJECT/DATE/001/raw_behavior_data, each of about an
    hour and 500 to 1,000 trials. All subjects are called SYN_NNN and all settings say that they
    are synthetic.
    """
    plans = plan_cohort(lab=lab, mice=mice, days=days, seed=seed, first_date=first_date.date())
    if trials:
        plans = [[replace(s, n_trials=trials) for s in plan] for plan in plans]
    try:
        SessionPath(lab, plans[0][0].subject, plans[0][0].date, 1)
    except ALFInvalid as error:
        raise click.BadParameter(str(error), param_hint="--lab") from error
    done = (
        (
            {**asdict(s), "date": s.date.isoformat(), "performance": round(s.performance, 4)}
            for plan in plans
            for s in plan
        )
        if dry_run
        else _run(out, plans, seed, int(rig_version))
    )
    total = sum(map(len, plans))
    label = f"{mice} mice × {days} days"
    count = 0
    with click.progressbar(length=total, label=label, hidden=as_json or dry_run) as bar:
        for row in done:
            count += 1
            bar.update(1)
            if as_json:
                click.echo(json.dumps(row))
            elif dry_run:
                click.echo(f"{row['lab']}/{row['subject']} {row['date']} {row['n_trials']} trials")
    if not as_json:
        click.echo(f"{count} sessions {'would be ' if dry_run else ''}written under {out}")


def _run(
    out: Path, plans: list[list[PlannedSession]], seed: int, rig_version: int
) -> Iterator[dict[str, Any]]:
    """Yield a summary of each session as it is written."""
    for plan in plans:
        truths = simulate_mouse(out, plan, seed=seed, rig_version=rig_version)
        for session, truth in zip(plan, truths, strict=True):
            yield {
                "lab": session.lab,
                "subject": session.subject,
                "date": session.date.isoformat(),
                "day": session.day,
                "session": str(truth.session),
                "n_trials": len(truth.table),
                "performance_easy": round(truth.performance_easy, 4),
                "training_phase": truth.progress.phase,
            }
