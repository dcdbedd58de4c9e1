"""Decisions of a simulated mouse: contrasts, sides and choices by the rules of the IBL task.

The rules are those of the IBL task (behaviour paper, 2021, eLife 10:e63711): training phases,
debiasing, adaptive reward and gain, biased blocks. The mouse follows a psychometric function
whose lapses give the requested performance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    pass

Floats = npt.NDArray[np.float64]

TRAINING, BIASED = "training", "biased"

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
"""A contrast is passed by more than this fraction correct in its last so many trials."""
PHASE_TRIALS = 200
"""Trials in each of phases 2 to 4."""
EASY = 0.5
"""Errors at this contrast and above are repeated in training."""
POSITION = 35
"""Stimulus eccentricity in degrees; the response brings it to the centre."""
REWARD_MAX, REWARD_MIN, REWARD_STEP = 3.0, 1.5, 0.1
GAIN_FIRST, GAIN_LATER = 8.0, 4.0
"""Degrees of stimulus per mm of wheel, before and after a day with over 200 responses."""
MANY_RESPONSES = 200
FIRST_BLOCK, BLOCK_SCALE, BLOCK_MIN, BLOCK_MAX = 90, 60, 20, 100


@dataclass(frozen=True)
class Progress:
    """The state of a mouse between sessions.

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


@dataclass
class Decisions:
    """The stimulus and the report of the mouse in each trial."""

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
        """Whether each trial was answered right. Shape (n,), bool."""
        return self.choice == -np.sign(self.position)


def next_day(progress: Progress, responses: int, water: float, weight: float) -> Progress:
    """Adapt reward and gain for the next day, by responses and water (ml) of this one."""
    reward = progress.reward
    if responses > MANY_RESPONSES:
        reward -= REWARD_STEP
    elif water < weight / 25:
        reward += REWARD_STEP
    reward = round(min(max(reward, REWARD_MIN), REWARD_MAX), 1)
    gain = GAIN_LATER if responses > MANY_RESPONSES else progress.gain
    return replace(progress, reward=reward, gain=gain)


@dataclass(frozen=True)
class Chooser:
    """The decisions of a mouse in one session."""

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


def training_decisions(
    rng: np.random.Generator, n: int, mouse: Chooser, progress: Progress, last_phase: int
) -> tuple[Decisions, Progress]:
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
    last_outcomes = {c: tuple(o) for c, o in outcomes.items()}
    after = replace(progress, phase=phase, phase_trials=in_phase, outcomes=last_outcomes)
    return _decisions(rows), after


def _phase_passed(phase: int, in_phase: int, outcomes: dict[float, list[bool]]) -> bool:
    """Say whether the mouse goes on to the next phase."""
    if phase >= 2:
        return in_phase >= PHASE_TRIALS
    last = [outcomes.get(side * c, []) for c in PHASES[phase] for side in (-1, 1)]
    return all(len(o) == PASS_TRIALS and sum(o) > PASS_RATE * PASS_TRIALS for o in last)


def biased_decisions(rng: np.random.Generator, n: int, mouse: Chooser) -> Decisions:
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


def _decisions(rows: list[tuple[Any, ...]]) -> Decisions:
    return Decisions(*(np.array(column) for column in zip(*rows, strict=True)))
