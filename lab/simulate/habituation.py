"""Simulate habituation: a mouse sits, a stimulus comes and moves to the centre, water follows."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

from lab.simulate.board import WIRES, BoardClock, write_board, write_description
from shared.alf import SessionPath

PROTOCOL = "_iblrig_tasks_habituationChoiceWorld"

GREY, CENTRE, WATER = 1.0, 10.0, 0.14
"""Seconds of grey screen, until the stimulus reaches the centre (at most), of the open valve."""

CONTRASTS = (1.0, 0.5, 0.25, 0.125, 0.0625)


def simulate_habituation(
    folder: Path | str,
    *,
    seed: int,
    subject: str,
    date: datetime.date,
    number: int = 1,
    rig: str = "8.27.0",
    n_trials: int = 40,
    missed: float = 0.0,
    lab: str = "",
    collection: str = "raw_behavior_data",
    board: BoardClock | None = None,
) -> Path:
    """Write the raw files of a session of habituation; return the session's folder.

    Parameters
    ----------
    folder : path
        Folder for ``<subject>/<date>/<NNN>/<collection>``, by convention ``<lab>/Subjects``.
    seed : int
        Together with subject, date and number it fixes the session.
    subject, date, number
        The session.
    rig : str
        Version; from 8.13 on the states have descriptive names.
    n_trials : int
        Trials, at least 1.
    missed : float
        Share of the screen's flips that the photodiode misses.
    lab, collection : str
        Laboratory in the settings; folder of the raw files.
    board : BoardClock, optional
        The main clock of an ephys rig: its recording is written, too, and a description.
    """
    session = Path(folder) / SessionPath(None, subject, date, number).short
    raw = session / collection
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, date.toordinal(), number])
    named = tuple(map(int, rig.split(".")))[:2] >= (8, 13)
    grey, after = ("iti", "post_reward") if named else ("trial_start", "iti")
    lines, clock = [], 2.5
    for i in range(n_trials):
        trial, clock = _trial(rng, i, clock, grey, after, missed)
        lines.append(json.dumps(trial) + "\n")
    (raw / "_iblrig_taskData.raw.jsonable").write_text("".join(lines), newline="\n")
    if board is not None:
        write_board(_signed([json.loads(line) for line in lines], board), board, session)
        write_description(session, PROTOCOL, collection)
    begin = datetime.datetime.combine(date, datetime.time(9))
    end = begin + datetime.timedelta(seconds=clock)
    settings: dict[str, Any] = {
        "SYNTHETIC": True,
        "PYBPOD_PROTOCOL": PROTOCOL,
        "IBLRIG_VERSION": rig,
        "RIG_NAME": f"_iblrig_{lab or 'synthetic'}_behavior_0",
        "ALYX_USER": "synthetic",
        "SUBJECT_NAME": subject,
        "SESSION_NUMBER": f"{number:03d}",
        "SESSION_DATE": date.isoformat(),
        "SESSION_START_TIME": begin.isoformat(),
        "SESSION_END_TIME": end.isoformat(),
        "REWARD_AMOUNT": 3.0,
        "STIM_GAIN": 4.0,
        "device_sound": {"OUTPUT": "harp"},
    }
    if rig.startswith("5"):
        del settings["SESSION_START_TIME"], settings["SESSION_END_TIME"]
        settings |= {"SESSION_DATETIME": begin.isoformat(), "IBLRIG_VERSION_TAG": rig}
    text = json.dumps(settings, indent=1)
    (raw / "_iblrig_taskSettings.raw.json").write_text(text, newline="\n")
    return session


def _trial(
    rng: np.random.Generator, number: int, start: float, grey: str, after: str, missed: float
) -> tuple[dict[str, Any], float]:
    """Return a trial and its end."""
    centred = round(GREY + float(rng.uniform(2, CENTRE)), 4)
    rewarded = round(centred + 0.5, 4)
    done = round(rewarded + WATER, 4)
    length = round(done + float(rng.uniform(0.5, 1.5)), 4)
    states = {
        grey: [[0.0, GREY]],
        "stim_on": [[GREY, GREY + 0.1]],
        "stim_center": [[centred, centred + 0.1]],
        "reward": [[rewarded, done]],
        after: [[done, length]],
    }
    flips = [t + float(rng.uniform(0.02, 0.06)) for t in (0.0, GREY, centred)]
    # The state machine writes rises and falls of the photodiode separately.
    seen = [[round(t, 4)] if rng.random() >= missed else [] for t in flips]
    events = {
        "BNC1High": seen[0] + seen[2],
        "BNC1Low": seen[1],
        "BNC2High": [round(GREY + 0.0008, 4)],
        "BNC2Low": [round(GREY + 0.1008, 4)],
    }
    side = 35.0 if rng.random() < 0.5 else -35.0
    trial = {
        "trial_num": number,
        "position": side,
        "contrast": float(rng.choice(CONTRASTS)),
        "stim_phase": float(rng.uniform(0, 2 * np.pi)),
        "stim_gain": 4.0,
        "reward_amount": 3.0,
        "delay_to_stim_center": centred - GREY,
        "behavior_data": {
            "Bpod start timestamp": 1.25,
            "Trial start timestamp": round(start, 4),
            "Trial end timestamp": round(start + length, 4),
            "States timestamps": states,
            "Events timestamps": {name: times for name, times in events.items() if times},
        },
    }
    return trial, start + length + float(rng.uniform(0.02, 0.05))


def _signed(trials: list[dict[str, Any]], board: BoardClock) -> dict[str, np.ndarray]:
    """Return the changes of each line of the board, from low and in turn; s on its clock."""
    changes: dict[str, list[float]] = {name: [] for name in (*WIRES, "bpod")}
    for trial in trials:
        behavior = trial["behavior_data"]
        start = behavior["Trial start timestamp"] - behavior["Bpod start timestamp"]
        for line, port in (("frame2ttl", "BNC1"), ("audio", "BNC2")):
            for edge in ("High", "Low"):
                seen = behavior["Events timestamps"].get(f"{port}{edge}", [])
                changes[line] += [start + t for t in seen]
        states = behavior["States timestamps"]
        # high while the screen is grey before a trial, and while the valve is open
        for state in (next(iter(states)), "reward"):
            changes["bpod"] += [start + t for t in states[state][0]]
    return {name: board.read(np.sort(times)) for name, times in changes.items()}
