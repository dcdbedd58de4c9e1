"""Whole sessions from which damaged ones are made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.fuzz.raw import Raw
from lab.simulate.board import BoardClock
from lab.simulate.habituation import simulate_habituation
from lab.simulate.session import simulate_session
from lab.tasks import sync
from shared.science.behaviour.pregenerated import SEQUENCES

LONGEST = 4000
"""Most positions of the wheel in a session."""


@dataclass(frozen=True)
class Bases:
    """Sessions by the clock of their trials."""

    bpod: list[Path]
    board: list[Path]


def bases(python: str, folder: Path) -> Bases:
    """Write ibllib's own real sessions, and simulated ones of all protocols and rigs."""
    peer = Path(__file__).parents[1] / "reference_peer.py"
    real = folder / "real"
    if not real.exists():
        command = [python, peer, "fixtures", real, folder / "sequences"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    os.environ[SEQUENCES] = str(folder / "sequences")
    day, n = date(2026, 1, 2), 0
    bpod, board = sorted(real.iterdir()), []
    for session in bpod:  # an hour's wheel takes most of a round's time
        raw = Raw.read(session)
        del raw.positions[LONGEST:]
        raw.write(session)
    for rig in (5, 8):
        for protocol, performance in (("training", 0.6), ("training", 0.9), ("biased", 0.85)):
            n += 1
            about = {"seed": n, "subject": "SYN_001", "date": day, "rig_version": rig,
                     "n_trials": 16, "protocol": protocol, "performance": performance}  # fmt: skip
            bpod.append(simulate_session(folder / f"bpod{n}", **about).session)  # type: ignore[arg-type]
            clock = BoardClock(offset=10.0, drift=float(20 * n - 50))
            made = simulate_session(folder / f"board{n}", board=clock, **about)  # type: ignore[arg-type]
            board.append(made.session)
    for version in ("5.0.0", "6.4.2", "8.10.0", "8.27.0"):
        n += 1
        rests = {"seed": n, "subject": "SYN_001", "date": day, "rig": version, "n_trials": 12}
        bpod.append(simulate_habituation(folder / f"bpod{n}", **rests))  # type: ignore[arg-type]
        clock = BoardClock(offset=10.0, drift=-35.0)
        board.append(simulate_habituation(folder / f"board{n}", board=clock, **rests))  # type: ignore[arg-type]
    for session in board:
        sync.pulses(session, session, {"collection": "raw_ephys_data"})
        next((session / "raw_ephys_data").glob("*.bin")).write_bytes(b"")
    return Bases(bpod, board)


def copied(session: Path, to: Path) -> Path:
    """Copy a session's raw files to a path that has a session's form."""
    shutil.rmtree(to, ignore_errors=True)
    for name in ("raw_behavior_data", "raw_ephys_data"):
        if (session / name).is_dir():
            shutil.copytree(session / name, to / name)
    return to


def protocol(session: Path) -> str:
    """Return the protocol in a session's settings."""
    path = session / "raw_behavior_data/_iblrig_taskSettings.raw.json"
    return str(json.loads(path.read_text()).get("PYBPOD_PROTOCOL"))
