"""A session's raw behaviour files in memory, and the damage that is done to them.

Each damage is what a rig, a cable or a copy does: lost and doubled lines, missing or extra pulses,
an encoder that restarts, states that a trial did not visit, odd settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator

DATA, SETTINGS = "_iblrig_taskData.raw.jsonable", "_iblrig_taskSettings.raw.json"
POSITIONS, EVENTS = "_iblrig_encoderPositions.raw.ssv", "_iblrig_encoderEvents.raw.ssv"
NOTHING = [[float("nan"), float("nan")]]


@dataclass
class Raw:
    """Trials, settings and the encoder's lines; ``torn`` is the rest of a last line."""

    trials: list[dict[str, Any]]
    settings: dict[str, Any]
    positions: list[str]
    events: list[str]
    torn: str = ""

    @classmethod
    def read(cls, session: Path) -> Raw:
        """Read a session's files."""
        folder = session / "raw_behavior_data"
        lines = (folder / DATA).read_text().splitlines()
        encoder = [
            (folder / name).read_text().splitlines() if (folder / name).exists() else []
            for name in (POSITIONS, EVENTS)
        ]
        settings = json.loads((folder / SETTINGS).read_text())
        return cls([json.loads(line) for line in lines], settings, *encoder)

    def write(self, session: Path) -> None:
        """Write the files."""
        folder = session / "raw_behavior_data"
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(trial) + "\n" for trial in self.trials) + self.torn
        (folder / DATA).write_text(text)
        (folder / SETTINGS).write_text(json.dumps(self.settings))
        for name, lines in ((POSITIONS, self.positions), (EVENTS, self.events)):
            if lines is not None:
                (folder / name).write_text("".join(line + "\n" for line in lines))

    def mended(self) -> Raw:
        """Return it as Fornix reads it: each trial once, in order, without a torn line."""
        once = {json.dumps(trial, sort_keys=True): trial for trial in self.trials}
        ordered = sorted(once.values(), key=lambda t: t["behavior_data"]["Trial start timestamp"])
        return replace(self, trials=ordered, torn="")

    def some(self, rng: Rng, most: int = 4) -> list[dict[str, Any]]:
        """Return a few trials."""
        n = min(int(rng.integers(1, most + 1)), len(self.trials))
        return [self.trials[i] for i in rng.choice(len(self.trials), n, replace=False)]

    @property
    def version(self) -> str:
        """The version in the settings."""
        return str(self.settings.get("IBLRIG_VERSION") or self.settings["IBLRIG_VERSION_TAG"])


def states(trial: dict[str, Any]) -> dict[str, Any]:
    """Return the states of a trial."""
    found: dict[str, Any] = trial["behavior_data"]["States timestamps"]
    return found


def events(trial: dict[str, Any]) -> dict[str, list[float]]:
    """Return the events of a trial."""
    found: dict[str, list[float]] = trial["behavior_data"]["Events timestamps"]
    return found


def length(trial: dict[str, Any]) -> float:
    """Return the seconds of a trial."""
    raw = trial["behavior_data"]
    return float(raw["Trial end timestamp"] - raw["Trial start timestamp"])


# Trials.


def lost_trials(rng: Rng, raw: Raw) -> None:
    """Leave out lines."""
    for _ in range(int(rng.integers(1, 4))):
        if len(raw.trials) > 4:
            del raw.trials[int(rng.integers(len(raw.trials)))]


def doubled_trial(rng: Rng, raw: Raw) -> None:
    """Repeat a line."""
    at = int(rng.integers(len(raw.trials)))
    raw.trials.insert(at, raw.trials[at])


def swapped_trials(rng: Rng, raw: Raw) -> None:
    """Swap two neighbours."""
    at = int(rng.integers(len(raw.trials) - 1))
    raw.trials[at : at + 2] = raw.trials[at : at + 2][::-1]


def torn_line(rng: Rng, raw: Raw) -> None:
    """Cut the last line."""
    whole = json.dumps(raw.trials.pop())
    raw.torn = whole[: int(rng.integers(1, len(whole) - 1))]


def no_pulses(rng: Rng, raw: Raw) -> None:
    """Lose the pulses of a port in some trials, or in all."""
    port = str(rng.choice(["BNC1", "BNC2", "BNC1High", "BNC1Low", "BNC2High", "BNC2Low"]))
    for trial in raw.trials if rng.random() < 0.2 else raw.some(rng, 8):
        for name in [name for name in events(trial) if name.startswith(port)]:
            del events(trial)[name]


def flicker(rng: Rng, raw: Raw) -> None:
    """Add flips of the screen anywhere in some trials, some of them quick pairs."""
    for trial in raw.some(rng, 8):
        for _ in range(int(rng.integers(1, 4))):
            at = round(float(rng.uniform(0, length(trial))), 4)
            after = at + float(rng.choice([0.002, 0.0085, 0.03, 0.4]))
            found = events(trial)
            found["BNC1Low"] = sorted([*found.get("BNC1Low", []), at])
            found["BNC1High"] = sorted([*found.get("BNC1High", []), round(after, 4)])


def bounce(rng: Rng, raw: Raw) -> None:
    """Repeat sounds a little later, as some sound cards do."""
    for trial in raw.trials if rng.random() < 0.3 else raw.some(rng, 8):
        for name in ("BNC2High", "BNC2Low"):
            heard = events(trial).get(name, [])
            delay = float(rng.choice([0.0005, 0.004, 0.0199, 0.02, 0.0201, 0.05]))
            if heard:
                events(trial)[name] = sorted([*heard, *(round(t + delay, 4) for t in heard)])


def no_go(rng: Rng, raw: Raw) -> None:
    """Turn trials into ones without a response."""
    for trial in raw.some(rng):
        found = states(trial)
        end = found["closed_loop"][0][1] if "closed_loop" in found else 1.0
        for name in ("correct", "error", "reward", "freeze_reward", "freeze_error"):
            if name in found:
                found[name] = NOTHING
        found["no_go"] = [[end, end + 2.0]]
        trial["trial_correct"] = False


def unvisited(rng: Rng, raw: Raw) -> None:
    """Give a state no times in some trials."""
    for trial in raw.some(rng, 3):
        name = str(rng.choice(sorted(states(trial))))
        states(trial)[name] = NOTHING


def absent_state(rng: Rng, raw: Raw) -> None:
    """Leave a state out of a trial's record."""
    for trial in raw.some(rng, 2):
        del states(trial)[str(rng.choice(sorted(states(trial))))]


def outcomes(rng: Rng, raw: Raw) -> None:
    """Give a trial two outcomes, or none, or one that was omitted."""
    trial = raw.some(rng, 1)[0]
    now = next((n for n in ("correct", "error") if states(trial).get(n, NOTHING) != NOTHING), "")
    if not now:
        return
    choice = int(rng.integers(3))
    visit = states(trial)[now]
    if choice == 0:
        states(trial)[now] = NOTHING
    elif choice == 1:
        states(trial)["error" if now == "correct" else "correct"] = visit
    else:
        states(trial)[now] = NOTHING
        states(trial)[f"omit_{now}"] = visit


def revisits(rng: Rng, raw: Raw) -> None:
    """Let a trial restart its quiescent period, or visit a state twice."""
    for trial in raw.some(rng, 5):
        name = str(rng.choice(["reset_rotary_encoder", "quiescent_period", "stim_on", "reward"]))
        visits = states(trial).get(name, [])
        if visits and visits != NOTHING and visits[0] == visits[0]:
            first, last = visits[0]
            states(trial)[name] = [[first, last], [first + 0.01, last + 0.01]]


def values(rng: Rng, raw: Raw) -> None:
    """Write an odd value for what each trial has."""
    odd: dict[str, list[Any]] = {
        "contrast": [0.0, 0.02, 1.5, 1, 0, 0.0625, None, "0.5", float("nan")],
        "position": [0, 35.0, -35.0, -20, 0.0],
        "reward_amount": [0, 5.5, 1.5, None, 3],
        "stim_probability_left": [0.5, 1, 0.2, 0.7999, None],
        "quiescent_period": [0.4, 0, 1, None],
        "trial_correct": [True, False],
        "stim_phase": [0.0, 7.0],
    }
    name = str(rng.choice(sorted(odd)))
    for trial in raw.some(rng, 3):
        value = odd[name][int(rng.integers(len(odd[name])))]
        if name == "contrast" and isinstance(trial.get("contrast"), dict):
            trial["contrast"] = trial["contrast"] | {"value": value}
        else:
            trial[name] = value


def zero_contrast(rng: Rng, raw: Raw) -> None:
    """Show nothing in many trials."""
    for trial in raw.some(rng, 20):
        old = trial.get("contrast")
        trial["contrast"] = old | {"value": 0.0} if isinstance(old, dict) else 0.0


def repeats(rng: Rng, raw: Raw) -> None:
    """Repeat trials after errors."""
    start = int(rng.integers(len(raw.trials)))
    for trial in raw.trials[start : start + int(rng.integers(1, 9))]:
        if isinstance(trial.get("contrast"), dict):
            trial["contrast"] = trial["contrast"] | {"type": "RepeatContrast"}
        elif "debias_trial" in trial:
            trial["debias_trial"] = True


def overlap(rng: Rng, raw: Raw) -> None:
    """End a trial after the next began, or before its own events."""
    trial = raw.some(rng, 1)[0]["behavior_data"]
    trial["Trial end timestamp"] += float(rng.choice([-1.0, -0.3, 0.2, 5.0]))


def laser(rng: Rng, raw: Raw) -> None:
    """Add a laser."""
    missing = rng.random() < 0.3
    for i, trial in enumerate(raw.trials):
        trial |= {"laser_stimulation": bool(i % 4 == 0), "laser_probability": 0.25}
        if missing and i and rng.random() < 0.3:
            trial["laser_stimulation"] = float("nan")


# Settings.

OLD = ["4.3.0", "4.9.9", "5.0.0", "5.4.1", "6.1.3", "6.2.4"]
NEW = ["6.2.5", "6.4.2", "6.6.4", "7.0.1", "7.2.2", "8.0.0", "8.8.4", "8.12.3", "8.13.0", "8.27.0",
       "8.28.0", "8.29.1"]  # fmt: skip


def version(rng: Rng, raw: Raw) -> None:
    """Write another version of the rig's software, mostly one with the same states."""
    own = NEW if "hide_stim" in states(raw.trials[0]) else OLD
    choice = str(rng.choice(own if rng.random() < 0.9 else OLD + NEW))
    key = "IBLRIG_VERSION" if "IBLRIG_VERSION" in raw.settings else "IBLRIG_VERSION_TAG"
    raw.settings[key] = choice
    if rng.random() < 0.1:
        raw.settings[key] = ""
    elif rng.random() < 0.1:
        raw.settings[key] = choice + str(rng.choice(["-dev", ".post1", "rc2"]))


def settings(rng: Rng, raw: Raw) -> None:
    """Write odd settings, or leave some out."""
    n = len(raw.trials)
    odd: dict[str, list[Any]] = {
        "QUIESCENT_PERIOD": [0.4, 0, None, [0.3] * (n + 5), [0.3] * n],
        "STIM_GAIN": [4, 8.0, None],
        "device_sound": [{"OUTPUT": "xonar"}, {"OUTPUT": "harp"}, {}, {"OUTPUT": "hifi"}],
        "PYBPOD_PROTOCOL": [
            "_iblrig_tasks_advancedChoiceWorld", "_iblrig_tasks_biasedChoiceWorld6.4.2",
            "_iblrig_tasks_trainingChoiceWorld7.1.2", "ccu_neuromodulatorChoiceWorld",
            "_iblrig_tasks_trainingPhaseChoiceWorld", "_iblrig_tasks_imagingChoiceWorld",
            "_iblrig_tasks_ephysChoiceWorld6.4.2",
        ],
    }  # fmt: skip
    name = str(rng.choice(sorted(odd)))
    if rng.random() < 0.15:
        raw.settings.pop(name, None)
    else:
        raw.settings[name] = odd[name][int(rng.integers(len(odd[name])))]


def disengaged(rng: Rng, raw: Raw) -> None:
    """Say that the mouse disengaged."""
    raw.settings["SUBJECT_DISENGAGED_TRIGGERED"] = bool(rng.random() < 0.8)
    at = [1, len(raw.trials) // 2, len(raw.trials) + 5, 0]
    raw.settings["SUBJECT_DISENGAGED_TRIALNUM"] = at[int(rng.integers(len(at)))]


def sequence(rng: Rng, raw: Raw) -> None:
    """Say that the rig played a sequence made before."""
    raw.settings["PYBPOD_PROTOCOL"] = "_iblrig_tasks_ephysChoiceWorld"
    raw.settings["PREGENERATED_SESSION_NUM"] = str(int(rng.integers(0, 12)))


MENDED = {"doubled_trial", "swapped_trials", "torn_line"}
"""Damage that Fornix mends, and ibllib does not: it is given the mended file."""

TRIALS: dict[str, Callable[[Rng, Raw], None]] = {
    each.__name__: each
    for each in (
        lost_trials, doubled_trial, swapped_trials, torn_line, no_pulses, flicker, bounce, no_go,
        unvisited, absent_state, outcomes, revisits, values, zero_contrast, repeats, overlap,
        laser, version, settings, disengaged, sequence,
    )
}  # fmt: skip
"""Damage to trials and settings, by name."""
