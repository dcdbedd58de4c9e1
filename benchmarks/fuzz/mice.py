"""Mice for the comparison of training status: sessions of trials, drawn or real."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.fuzz.raw import Rng
from shared.science.status.aggregates import SessionTrials, subject_training
from shared.science.status.sessions import on_ephys_rig

CLASSES = {"training": "trainingChoiceWorld", "biased": "biasedChoiceWorld",
           "ephys": "ephysChoiceWorld", "habituation": "habituationChoiceWorld"}  # fmt: skip

FIRST = datetime.date(2024, 1, 1)


@dataclass(frozen=True)
class Day:
    """A session: its protocol, the rig's name, the seconds before the first trial, its trials."""

    date: str
    protocol: str
    rig: str
    delay: float
    trials: pd.DataFrame

    @property
    def name(self) -> str:
        """The protocol's whole name."""
        return f"_iblrig_tasks_{CLASSES[self.protocol]}"

    @property
    def eid(self) -> str:
        """Something that stands for the session."""
        return f"{self.date}/001"


def drawn(rng: Rng, protocol: str, *, n: int, easy: float, shift: float) -> pd.DataFrame:
    """Draw the trials of a session.

    Parameters
    ----------
    rng
    protocol : str
    n : int
        Trials.
    easy : float
        Share of easy trials that are right.
    shift : float
        Shift of the curve in blocks, in percent of contrast.
    """
    sets = {"easy": [1.0, 0.5], "all": [1.0, 0.5, 0.25, 0.125, 0.0625, 0.0],
            "biased": [1.0, 0.25, 0.125, 0.0625, 0.0], "none": [0.0]}  # fmt: skip
    shown = "biased" if protocol != "training" else str(
        rng.choice(["all", "easy", "none"], p=[0.8, 0.18, 0.02])
    )  # fmt: skip
    contrast = rng.choice(sets[shown], n)
    block = np.full(n, 0.5)
    if protocol != "training":
        # Some sessions have no unbiased block, some only one kind of block.
        kinds = [[0.5, 0.2, 0.8], [0.2, 0.8], [0.5, 0.2]][int(rng.choice(3, p=[0.8, 0.15, 0.05]))]
        block = np.repeat(rng.choice(kinds, n // 20 + 1), 20)[:n]
    right = rng.random(n) >= block
    signed = 100 * contrast * np.where(right, 1, -1)
    at = signed - shift * np.sign(0.5 - block)
    seen = 1 / (1 + np.exp(-at / 6))
    lapse = 1 - easy
    chosen = rng.random(n) < lapse + (1 - 2 * lapse) * seen
    choice = np.where(chosen, -1, 1)
    choice[rng.random(n) < 0.01] = 0
    correct = np.where(right, choice == -1, choice == 1)
    on = np.arange(n) * 5.0
    table = pd.DataFrame({
        "choice": choice,
        "contrastLeft": np.where(right, np.nan, contrast),
        "contrastRight": np.where(right, contrast, np.nan),
        "feedbackType": np.where(correct, 1, -1),
        "probabilityLeft": block,
        "response_times": on + rng.lognormal(float(rng.choice([-1.0, 0.0, 1.2])), 0.4, n),
        "stimOn_times": on,
        "goCueTrigger_times": on + 0.001,
    })  # fmt: skip
    if rng.random() < 0.2:
        table.loc[rng.integers(0, n, n // 10), "stimOn_times"] = np.nan
    if rng.random() < 0.05:
        table["stimOn_times"] = np.nan
    return table


def mouse(rng: Rng) -> list[Day]:
    """Draw the sessions of a mouse, one a day."""
    long = rng.random() < 0.1
    counts = {
        "habituation": int(rng.integers(0, 3)),
        "training": int(rng.integers(38, 46)) if long else int(rng.integers(1, 6)),
        "biased": int(rng.integers(38, 46)) if rng.random() < 0.05 else int(rng.integers(0, 6)),
        "ephys": int(rng.integers(0, 5)),
    }
    good = float(rng.random())
    days: list[Day] = []
    for protocol, count in counts.items():
        for _ in range(count):
            slow = long and protocol == "training"
            n = int(rng.choice([90, 150])) if slow else int(rng.choice([150, 250, 450, 520]))
            easy = float(rng.choice([0.6, 0.86, 0.97])) if rng.random() > good else 0.98
            rig = "ephys" if protocol == "ephys" and rng.random() < 0.8 else "behavior"
            delay = float(rng.choice([0, 0, 900, 1200]))
            date = str(FIRST + datetime.timedelta(days=len(days) + int(len(days) > 3)))
            trials = drawn(rng, protocol, n=n, easy=easy, shift=float(rng.choice([0, 4, 15])))
            days.append(Day(date, protocol, f"_iblrig_lab_{rig}_0", delay, trials))
    return days


def written(days: list[Day], folder: Path) -> None:
    """Write what ibllib reads of a mouse: settings, one raw trial, and trials."""
    for day in days:
        session = folder / "Subjects/mouse" / day.eid
        (session / "raw_behavior_data").mkdir(parents=True)
        (session / "alf").mkdir()
        about = {"PYBPOD_PROTOCOL": day.name, "RIG_NAME": day.rig, "IBLRIG_VERSION": "8.27.0",
                 "SESSION_START_TIME": f"{day.date}T10:00:00", "SESSION_NUMBER": 1,
                 "ALYX_USER": "nobody", "SESSION_DELAY_START": day.delay,
                 "SESSION_END_TIME": f"{day.date}T11:00:00",
                 "device_sound": {"OUTPUT": "harp"}}  # fmt: skip
        raw = session / "raw_behavior_data"
        (raw / "_iblrig_taskSettings.raw.json").write_text(json.dumps(about))
        (raw / "_iblrig_taskData.raw.jsonable").write_text("")
        day.trials.drop(columns="goCueTrigger_times").to_parquet(
            session / "alf/_ibl_trials.table.pqt"
        )
        np.save(session / "alf/_ibl_trials.goCueTrigger_times.npy",
                day.trials["goCueTrigger_times"].to_numpy())  # fmt: skip


def training(days: list[Day]) -> pd.DataFrame:
    """Return our training table of a mouse."""
    return subject_training([
        SessionTrials(
            eid=day.eid, start_time=f"{day.date}T10:00:00", number=1, task_protocol=day.name,
            trials=day.trials, ephys_rig=on_ephys_rig(day.rig, day.name), delay=day.delay,
        )
        for day in days if day.protocol != "habituation"
    ])  # fmt: skip
