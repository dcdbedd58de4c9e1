"""Compare training status with the reference, of a real mouse; in `make reference`."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.fuzz import mice
from shared.science.status.sessions import JudgedSession
from shared.science.status.windows import window_status

MOUSE = Path(__file__).parents[2] / "shared/data/training_status/SWC_054_11_sessions_trials.csv"
COLUMNS = [
    "choice",
    "contrastLeft",
    "contrastRight",
    "feedbackType",
    "probabilityLeft",
    "response_times",
    "stimOn_times",
]


def windows(sessions: Sequence[tuple[str, pd.DataFrame]]) -> list[dict[str, Any]]:
    """Return all windows of three of some days, in the format of the reference's side."""
    return [
        {
            "dates": [date for date, _ in window],
            "protocols": [trials["task_protocol"].iloc[0] for _, trials in window],
            "trials": [trials[COLUMNS].to_dict("list") for _, trials in window],
        }
        for window in itertools.combinations(sessions, 3)
    ]


def judged(peer: Callable[..., float], trials: Path, folder: Path) -> str:
    """Judge all windows of a mouse on both sides; return a line of the report."""
    wanted = windows(
        [(str(day), trial) for day, trial in pd.read_csv(trials).groupby("session_date")]
    )
    path = folder / "windows.json"
    path.write_text(json.dumps(wanted))
    theirs_seconds = peer("judge", path)
    theirs = json.loads(path.with_suffix(".status.json").read_text())
    began = time.perf_counter()
    ours = [
        window_status(
            [
                JudgedSession(
                    date, protocol, {name: np.array(c, float) for name, c in day.items()}
                )
                for date, protocol, day in zip(
                    window["dates"], window["protocols"], window["trials"], strict=True
                )
            ]
        )
        for window in wanted
    ]
    seconds = time.perf_counter() - began
    equal = sum(
        mine.status == other["status"]
        and np.array_equal(mine.info["n_trials"], other["info"]["n_trials"])
        and np.allclose(mine.info["perf_easy"], other["info"]["perf_easy"], rtol=1e-12)
        for mine, other in zip(ours, theirs, strict=True)
    )
    return (
        f"{equal} of {len(wanted)} windows equal; {seconds:.1f} s, ibllib {theirs_seconds:.1f} s"
    )


def tables(peer: Callable[..., float], trials: Path, folder: Path) -> str:
    """Make the training table of a mouse on both sides; return a line of the report."""
    days = [
        mice.Day(
            str(day), str(group["task_protocol"].iloc[0]), "_iblrig_lab_behavior_0", 0.0,
            group[COLUMNS].assign(goCueTrigger_times=group["stimOn_times"]),
        )
        for day, group in pd.read_csv(trials).groupby("session_date")
    ]  # fmt: skip
    mice.written(days, folder)
    began = time.perf_counter()
    ours = mice.training(days)
    seconds = time.perf_counter() - began
    theirs_seconds = peer("training_table", folder)
    theirs = pd.read_parquet(folder / "training.pqt")
    same = ours[["training_status"]].equals(theirs[["training_status"]]) and all(
        path.endswith(eid)
        for path, eid in zip(theirs["session_path"], ours["session"], strict=True)
    )
    said = "equal" if same else f"differs: {ours.to_dict()}, theirs {theirs.to_dict()}"
    return f"{said}, {len(ours)} statuses; {seconds:.1f} s, ibllib {theirs_seconds:.1f} s"
