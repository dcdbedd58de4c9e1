"""The quality of a session's task: which share of its trials passes each check, and the outcome.

Checks, limits and names are those of the IBL behaviour pipeline (ibllib 4.1.0, ``TaskQC`` and
``HabituationQC``), on the clock of the trials: a share of 0.99 passes, of 0.90 warns, of less
fails. Some checks never do worse than warn, and some do not count. The session's outcome is that
of its worst check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from shared.model.quality import QC
from shared.science.behaviour import trial_checks
from shared.science.behaviour.raw_task import Floats, RawTask
from shared.science.behaviour.trial_checks import Checked
from shared.science.behaviour.trial_events import PLAY_TONE, first, numbers
from shared.science.behaviour.wheel_movements import QUIESCENT_PERIOD
from shared.science.behaviour.wheel_position import WheelTrace
from shared.science.clocks.pulses import Fronts

PASS, WARNING = 0.99, 0.90
"""Least shares of trials with which a check passes, or warns."""

NEVER_FAILS = frozenset(
    {
        *("stimOff_itiIn_delays", "positive_feedback_stimOff_delays"),
        *("negative_feedback_stimOff_delays", "wheel_move_during_closed_loop"),
        *("response_stimFreeze_delays", "detected_wheel_moves", "trial_length", "goCue_delays"),
        *("errorCue_delays", "stimOn_delays", "stimOff_delays", "stimFreeze_delays"),
    }
)
"""Checks that warn where others would fail."""

JUDGED_SINCE = (8, 0, 0)
"""First rig version for which the two checks in `LATER` count."""

LATER = {"iti_delays": PASS, "passed_trial_checks": 0.7}
"""These checks, and the share that passes; less warns."""

FREEZE = (6, 2, 5)
"""First rig version with a separate state that freezes the stimulus."""


BPOD_STEPS, LINE_STEPS = 1, 4
"""Steps of the encoder in one tick: as the state machine counts, and by both its lines."""


class Quality(msgspec.Struct, frozen=True):
    """The quality of a task's data.

    Attributes
    ----------
    outcome
        Outcome of the worst check: a number of `shared.model.quality.QC`.
    shares
        Share of trials, or samples, that pass each check, by its name; None if it does not apply.
    outcomes
        Outcome of each check, by its name.
    """

    outcome: int
    shares: dict[str, float | None]
    outcomes: dict[str, int]

    def extended(self, namespace: str = "task") -> dict[str, Any]:
        """Return it in Alyx's form: ``{"task": "PASS", "_task_goCue_delays": 0.98, …}``."""
        names = {number: name for name, number in QC.items()}
        shares = {f"_{namespace}_{name}": share for name, share in self.shares.items()}
        return {**shares, namespace: names[self.outcome]}


@dataclass(frozen=True)
class Board:
    """Events recorded by the board that is the main clock, beside the trials' own.

    Attributes
    ----------
    at
        Events, by name without ``_times``; shape (trials,), s.
    screen, sound
        All changes of the screen's square, and of the sounds.
    bpod_wheel
        The wheel as the state machine recorded it, on the main clock.
    """

    at: Mapping[str, Floats]
    screen: Fronts
    sound: Fronts
    bpod_wheel: WheelTrace | None


def quality_of(
    task: RawTask,
    trials: Mapping[str, np.ndarray],
    wheel: WheelTrace | None,
    first_movements: Floats | None,
    board: Board | None = None,
) -> Quality:
    """Judge the trials of the decision task.

    Parameters
    ----------
    task : RawTask
        n trials and the task's settings.
    trials : mapping of array
        As `shared.science.behaviour.trials.compute_trials` returns them.
    wheel : WheelTrace, optional
        Without it the checks of the wheel do not apply.
    first_movements : array, optional
        ``trials.firstMovement_times``; shape (n,), s.
    board : Board, optional
        Events on the main clock; without it those of the state machine count.
    """
    checked = _checked(task, trials, wheel, first_movements)
    if board is not None:
        checked = _as_seen(checked, board)
    passed: dict[str, np.ndarray | None] = {}
    for checks in (
        trial_checks.delays,
        trial_checks.movements,
        trial_checks.order,
        trial_checks.rewards,
        trial_checks.before_cue,
    ):
        passed |= dict(checks(checked))
    applicable = [each.astype(bool) for each in passed.values() if each is not None]
    passed["passed_trial_checks"] = reduce(np.logical_and, applicable)
    passed["reward_volume_set"] = np.array([trial_checks.one_reward(checked)])
    coding = BPOD_STEPS if board is None else LINE_STEPS
    passed["wheel_integrity"] = None if wheel is None else trial_checks.integrity(wheel, coding)
    return _judged(passed, task.version)


def quality_of_habituation(task: RawTask, trials: Mapping[str, np.ndarray]) -> Quality:
    """Judge the trials of habituation.

    Parameters
    ----------
    task : RawTask
        The settings of the task.
    trials : mapping of array
        As `shared.science.behaviour.habituation.compute_habituation` returns them. The growth
        of sessions from day to day is not judged: that takes several sessions.
    """
    n = len(trials["feedback_times"])
    nothing = np.full(n, np.nan)
    names = ("goCue", "goCueTrigger", "stimOn", "stimOnTrigger", "stimOff", "stimOffTrigger")
    checked = Checked(
        at={name: trials[f"{name}_times"] for name in names},
        intervals=trials["intervals"],
        choice=np.ones(n),
        correct=np.ones(n, bool),
        reward=trials["rewardVolume"],
        position=trials["position"],
        quiescence=nothing,
        screen=nothing,
        screen_polarity=np.zeros(n, bool),
        sound=nothing,
        sound_card=_sound_card(task.settings),
        gain=None,
        quiescent_period=QUIESCENT_PERIOD,
        wheel=None,
    )
    steps = (trials["intervals"][:, 0], *(
        trials[f"{name}_times"] for name in ("stimOn", "stimCenter", "feedback", "stimOff")
    ))  # fmt: skip
    in_order = np.all([a < b for a, b in pairwise(steps)], axis=0)
    centred = trial_checks.known(trials["stimCenter_times"] - trials["stimCenterTrigger_times"])
    grey = trial_checks.known(trials["stimOn_times"][1:] - trials["stimOff_times"][:-1]) - 1.0
    sound = np.abs(checked.after("goCue", "stimOn"))
    passed: dict[str, np.ndarray | None] = {
        "reward_volumes": trials["rewardVolume"] == 3.0,
        "trial_event_sequence": in_order,
        "stimCenter_delays": (centred <= 0.15) & (centred > 0),
        "phase": (trials["phase"] <= 2 * np.pi) & (trials["phase"] >= 0),
        # The last trial has no successor and counts as passed, as in the reference.
        "iti_delays": np.append(np.abs(grey) <= 0.1, True),
        "stimOn_goCue_delays": sound < (0.01 if checked.harp else 0.053),
        "phase_distribution": _even(trials["phase"]),
    }
    return _judged(passed | dict(trial_checks.triggered(checked)), task.version)


MANY = 400
"""Least trials for judging the distribution of phases."""


def _even(phases: Floats) -> np.ndarray | None:
    """Return the reference's check of the phases' distribution; None for too few trials."""
    if phases.size < MANY:
        return None
    from scipy.stats import chisquare

    return np.array([chisquare(np.histogram(phases)[0]).pvalue < 0.05])


def _judged(passed: Mapping[str, np.ndarray | None], rig: tuple[int, int, int]) -> Quality:
    shares = {name: _share(values) for name, values in passed.items()}
    outcomes = {name: _outcome(name, share, rig) for name, share in shares.items()}
    return Quality(max(outcomes.values()), shares, outcomes)


def _share(passed: np.ndarray | None) -> float | None:
    if passed is None or np.isnan(passed).all():
        return None
    return float(np.nanmean(passed))


def _outcome(name: str, share: float | None, rig: tuple[int, int, int]) -> int:
    if share is None or (name in LATER and rig < JUDGED_SINCE):
        return QC["NOT_SET"]
    if share >= LATER.get(name, PASS):
        return QC["PASS"]
    if share >= WARNING or name in NEVER_FAILS or name in LATER:
        return QC["WARNING"]
    return QC["FAIL"]


def _checked(
    task: RawTask,
    trials: Mapping[str, np.ndarray],
    wheel: WheelTrace | None,
    first_movements: Floats | None,
) -> Checked:
    n = len(task.trials)
    correct = trials["feedbackType"] > 0
    feedback, settings = trials["feedback_times"], task.settings
    at = {name.removesuffix("_times"): x for name, x in trials.items() if name.endswith("_times")}
    at["firstMovement"] = np.full(n, np.nan) if first_movements is None else first_movements
    at["errorCue"] = np.where(correct, np.nan, feedback)
    at["valveOpen"] = np.where(correct, feedback, np.nan)
    no_go, error = task.state("no_go")[:, 0], task.state("error")[:, 0]
    at["errorCueTrigger"] = np.where(np.isnan(no_go), error, no_go)
    at["itiIn"] = task.state("exit_state" if task.version >= PLAY_TONE else "no state")[:, 0]
    at["stimFreeze"] = np.where(trials["choice"] == 0, np.nan, _frozen(task, at))
    screen, rises = _fronts(task, "BNC1")
    return Checked(
        at=at,
        intervals=trials["intervals"],
        choice=trials["choice"],
        correct=correct,
        reward=trials["rewardVolume"],
        position=numbers(task, "position"),
        quiescence=numbers(task, "quiescent_period"),
        screen=screen,
        screen_polarity=rises,
        sound=_fronts(task, "BNC2")[0],
        sound_card=_sound_card(settings),
        gain=_gain(settings),
        quiescent_period=_quiescent(settings, n),
        wheel=wheel,
    )


def _as_seen(checked: Checked, board: Board) -> Checked:
    """Return the checked events, replaced by those that the board recorded."""
    return replace(
        checked,
        at={**checked.at, **board.at},
        screen=board.screen.times,
        screen_polarity=board.screen.polarities == 1,
        sound=board.sound.times,
        bpod_wheel=board.bpod_wheel,
    )


def _frozen(task: RawTask, at: Mapping[str, Floats]) -> Floats:
    """Return when the stimulus froze: the last flip before the off command."""
    after = at["stimFreezeTrigger"]
    if task.version < FREEZE:
        after = np.full(after.size, -np.inf)
    spans = zip(task.events("BNC1"), after, at["stimOffTrigger"], strict=True)
    until = np.less if task.version >= FREEZE else np.less_equal
    return np.array([first(flips[(a < flips) & until(flips, b)][::-1]) for flips, a, b in spans])


def _fronts(task: RawTask, port: str) -> tuple[Floats, np.ndarray]:
    """Return all fronts of a port in order, and whether each is a rise."""
    up, down = (_joined(task.events(f"{port}{edge}")) for edge in ("High", "Low"))
    times = np.concatenate([up, down])
    in_time = np.argsort(times, kind="stable")
    return times[in_time], (np.arange(times.size) < up.size)[in_time]


def _joined(times: Iterable[Floats]) -> Floats:
    every = np.concatenate([np.empty(0), *times])
    return every[~np.isnan(every)]


SOUND_CARDS = {192_000: "xonar", 96_000: "harp"}
"""Sound cards of rigs before 8 by the rate of their sounds (1/s): ibllib's rule."""


def _sound_card(settings: Mapping[str, Any]) -> str:
    """Return the sound card's name; rigs before 8 wrote its driver and rate only."""
    device = settings.get("device_sound")
    if isinstance(device, Mapping):
        return str(device.get("OUTPUT", ""))
    if "sounddevice" in str(settings.get("SD")):
        return SOUND_CARDS[192_000]
    rate = settings.get("SOUND_SAMPLE_FREQ")
    return SOUND_CARDS.get(rate, "") if isinstance(rate, int) else ""


def _gain(settings: Mapping[str, Any]) -> float | None:
    gain = settings.get("STIM_GAIN")
    return float(gain) if isinstance(gain, (int, float)) and gain > 0 else None


def _quiescent(settings: Mapping[str, Any], n: int) -> Floats | float:
    """Return the shortest quiescent period (s), or one for each trial."""
    said = settings.get("QUIESCENT_PERIOD") or QUIESCENT_PERIOD
    try:
        values = np.asarray(said, dtype=float)
    except (TypeError, ValueError):
        return QUIESCENT_PERIOD
    return values[:n] if values.ndim == 1 and values.size >= n else float(values.flat[0])
