"""Compare trials, wheel, quality and training status with the reference, ibllib.

    make reference                                       all of it, ibllib installed apart
    python benchmarks/reference.py --ibllib PYTHON [SESSION ...]

ibllib needs other versions of libraries than Fornix, so it runs in a separate Python. Without
sessions, these are compared: the real ones of ibllib's own tests; simulated ones of rigs 5 and 8,
unchanged, as ephysChoiceWorld and with a laser; habituation of all rigs; and of a real mouse, if
its trials are available, the training status of all windows of three days, and its training table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from reference_3a import rigs_3a
from reference_status import MOUSE, judged, tables
from reference_video import films

from lab.simulate.board import BoardClock, write_board
from lab.simulate.habituation import simulate_habituation
from lab.simulate.recording import ProbeDrift, SimulatedProbe, write_probe
from lab.simulate.session import simulate_session
from lab.simulate.spikes import simulate_sorting
from lab.tasks import behaviour, sync
from lab.tasks import ephys as ephys_tasks
from shared.model.quality import QC_NAMES
from shared.science.behaviour.pregenerated import SEQUENCES
from shared.science.errors import ExtractionError

SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"
ARGUMENTS = {"collection": "raw_behavior_data", "output_collection": "alf"}


def peer(python: str, *arguments: object) -> float:
    """Run the reference's side; return its time in seconds."""
    command = [python, str(Path(__file__).with_name("reference_peer.py")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout.split()[-1])


def sessions(python: str, folder: Path) -> list[Path]:
    """Write the sessions to compare, and return their folders."""
    real = folder / "real"
    peer(python, "fixtures", real, folder / "sequences")
    plain = simulated(folder / "simulated")
    os.environ[SEQUENCES] = str(folder / "sequences")
    biased = plain[len(plain) // 2 - 1]  # the last of rig 5
    changed = [
        altered(biased, folder / "ephys", ephys),
        altered(plain[-1], folder / "laser", laser),
    ]
    return [*sorted(real.iterdir()), *plain, *changed, *habituations(folder / "habituation")]


def altered(session: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    """Return a changed copy of a session."""
    shutil.copytree(session, folder)
    change(folder / "raw_behavior_data")
    return folder


def ephys(raw: Path) -> None:
    """Turn a session into one of ephysChoiceWorld, on a rig that played a precomputed sequence."""
    path = raw / "_iblrig_taskSettings.raw.json"
    settings = json.loads(path.read_text()) | {"PREGENERATED_SESSION_NUM": "3"}
    settings |= {"PYBPOD_PROTOCOL": "_iblrig_tasks_ephysChoiceWorld"}
    settings |= {"IBLRIG_VERSION": "5.0.0", "IBLRIG_VERSION_TAG": "5.0.0"}
    path.write_text(json.dumps(settings))


def laser(raw: Path) -> None:
    """Add the data of a rig with a laser."""
    path = raw / "_iblrig_taskData.raw.jsonable"
    trials = [json.loads(line) for line in path.read_text().splitlines()]
    for i, trial in enumerate(trials):
        trial |= {"laser_stimulation": i % 4 == 0, "laser_probability": 0.25}
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))


def habituations(folder: Path) -> list[Path]:
    """Write sessions of habituation of three generations of rigs, one with missed flips each."""
    written = []
    for day, rig in enumerate(("5.0.0", "8.10.0", "8.27.0"), start=1):
        for number, missed in enumerate((0.0, 0.1), start=1):
            identity = {"subject": "SYN_001", "date": date(2024, 1, day), "number": number}
            written.append(
                simulate_habituation(folder, seed=day, rig=rig, missed=missed, **identity)  # type: ignore[arg-type]
            )
    return written


def simulated(folder: Path) -> list[Path]:
    """Write sessions of rigs 5 and 8 from first days to biased ones; return every seventh."""
    fornix = Path(sys.executable).with_name("fornix")
    for rig in ("5", "8"):
        options = ["--days", "30", "--rig", rig, "--seed", rig]
        command = [str(fornix), "rig", "simulate", str(folder / f"rig{rig}"), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sorted(folder.glob("*/*/Subjects/*/*/001"))[::7]


def differences(ours: Path, theirs: Path, types: bool = True) -> Iterator[str]:
    """Yield the names of files, and columns of tables, that differ in any bit.

    Without ``types``, an integer equals a float of the same value.
    """
    names = {path.name for folder in (ours, theirs) for path in folder.iterdir()}
    for name in sorted(names):
        if not ((ours / name).exists() and (theirs / name).exists()):
            yield f"{name} ({'ours' if (ours / name).exists() else 'theirs'} only)"
        elif not name.endswith((".npy", ".pqt")):
            continue  # raw files are identical
        elif name.endswith(".npy"):
            mine, other = (np.load(side / name, allow_pickle=False) for side in (ours, theirs))
            if not same(mine, other, types):
                yield name
        else:
            table, theirs_ = (pd.read_parquet(folder / name) for folder in (ours, theirs))
            for column in sorted({*table, *theirs_}):
                both = column in table and column in theirs_
                columns = [side[column].to_numpy() for side in (table, theirs_) if both]
                if not (both and same(columns[0], columns[1], types)):
                    yield f"{name}:{column}"


def same(one: np.ndarray, other: np.ndarray, types: bool = True) -> bool:
    """Return whether two arrays have equal shapes and values, and with ``types`` equal types."""
    if not types:
        one, other = one.astype(float), other.astype(float)
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def qualities(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    """Yield the checks with different shares, and the outcome if it differs."""
    if ours.get("task") != QC_NAMES[theirs["outcome"]]:
        yield f"outcome ({ours.get('task')}, theirs {QC_NAMES[theirs['outcome']]})"
    for name in sorted({*ours, *theirs["shares"]} - {"task", "_task_habituation_time"}):
        mine, other = ours.get(name, "not there"), theirs["shares"].get(name, "not there")
        numbers = isinstance(mine, float) and isinstance(other, float)
        if not (mine == other or (numbers and abs(mine - other) < 1e-12)):
            yield f"{name} ({mine}, theirs {other})"


def extraction(python: str, session: Path, folder: Path) -> str:
    """Extract a session on both sides; return a line of the report."""
    theirs = folder / "lab/Subjects/mouse/2020-01-01/001"
    shutil.rmtree(theirs, ignore_errors=True)
    shutil.copytree(session / "raw_behavior_data", theirs / "raw_behavior_data")
    ours = Path(tempfile.mkdtemp(dir=folder))
    began = time.perf_counter()
    rests = "habituation" in (session / SETTINGS).read_text()
    try:
        made = (behaviour.habituation if rests else behaviour.trials)(theirs, ours, ARGUMENTS)
        if not rests:
            behaviour.wheel(theirs, ours, ARGUMENTS)
    except ExtractionError as error:
        return f"refused: {error}"
    seconds = time.perf_counter() - began
    try:
        theirs_seconds = peer(python, "extract", theirs)
    except RuntimeError as error:
        return f"the reference fails: {error}"
    judged = made.facts.extended_qc if made.facts else {}

    def compared() -> list[str]:
        judged_quality = json.loads((theirs / "quality.json").read_text())
        return [*differences(ours / "alf", theirs / "alf"), *qualities(judged, judged_quality)]

    differing, note = compared(), ""
    if any("wheelMoves" in name for name in differing):
        peer(python, "extract", theirs, "mended")
        note = " (a movement begins where the reference loses it: see reference_peer.mend)"
        differing = compared()
    said = "differs in " + ", ".join(differing) if differing else "equal"
    return f"{said}{note}; {seconds:.2f} s, ibllib {theirs_seconds:.2f} s"


BOARDS = {
    "plain": BoardClock(offset=10.0, drift=35.0),
    "slow": BoardClock(offset=3.3, drift=-60.0, rate=30_003.0003),
    "lost": BoardClock(offset=10.0, drift=5.0, lost=(4, 5, 11)),
    "first": BoardClock(offset=10.0, drift=5.0, lost=(0,)),
}
"""Clocks of simulated ephys rigs: drifts, and pulses that the board missed."""


def main_clocks(folder: Path) -> Iterator[Path]:
    """Write sessions of ephys rigs, and yield their folders."""
    for number, (name, board) in enumerate(BOARDS.items(), start=1):
        for rig in (5, 8):
            yield simulate_session(
                folder / f"{name}{rig}", seed=number, subject="SYN_001", date=date(2026, 1, 2),
                rig_version=rig, n_trials=60, performance=0.8, protocol="biased", board=board,
            ).session  # fmt: skip


def on_main_clock(python: str, session: Path) -> str:
    """Extract a session on the main clock on both sides; return a line of the report."""
    ours = session.with_name("002")
    shutil.copytree(session, ours)
    began = time.perf_counter()
    sync.pulses(ours, ours, {"collection": "raw_ephys_data"})
    arguments = {**ARGUMENTS, "sync_collection": "raw_ephys_data"}
    made = behaviour.trials_nidq(ours, ours, arguments)
    behaviour.wheel_nidq(ours, ours, arguments)
    seconds = time.perf_counter() - began
    try:
        theirs_seconds = peer(python, "main_clock", session)
    except RuntimeError as error:
        return f"the reference fails: {error}"
    judged = {
        name: share
        for name, share in (made.facts.extended_qc if made.facts else {}).items()
        if not name.startswith("_sync_")
    }
    judged_quality = json.loads((session / "quality.json").read_text())
    differing = [
        *differences(ours / "raw_ephys_data", session / "raw_ephys_data"),
        # The reference has choice and feedbackType as floats here.
        *differences(ours / "alf", session / "alf", types=False),
        *qualities(judged, judged_quality),
    ]
    said = "differs in " + ", ".join(differing) if differing else "equal"
    return f"{said}; {seconds:.2f} s, ibllib {theirs_seconds:.2f} s"


PROBE = "raw_ephys_data/probe00"

PROBES = {
    "slow": ProbeDrift(drift=-12.0),
    "fast": ProbeDrift(offset=0.004, drift=60.0),
}
"""Clocks of simulated probes."""


def aligned(python: str, folder: Path, drift: ProbeDrift) -> str:
    """Bring a probe to the main clock on both sides; return a line of the report."""
    ours, theirs = (folder / "lab/Subjects/SYN_001/2026-01-02" / n for n in ("001", "002"))
    seconds = 100.0
    names = ("bpod", "frame2ttl", "audio", "rotary_encoder_0", "rotary_encoder_1")
    cameras = ("left_camera", "right_camera", "body_camera")
    silent = {name: np.empty(0) for name in (*names, *cameras)}
    write_board({**silent, "imec_sync": np.arange(0.5, seconds, 0.5)}, BoardClock(), ours)
    trials = pd.DataFrame({"response_times": [seconds]})
    sorting = simulate_sorting(trials, seed=1, n_units=4)
    probe = SimulatedProbe(sorting, channels=2, seed=1, drift=drift)
    write_probe(probe, sorting["channels.localCoordinates.npy"], seconds, ours / PROBE)
    shutil.copytree(ours, theirs)
    began = time.perf_counter()
    sync.pulses(ours, ours, {"collection": "raw_ephys_data"})
    sync.align(ours, ours, {"collection": PROBE, "sync_collection": "raw_ephys_data"})
    ephys_tasks.raw_quality(ours, ours, {"collection": PROBE})
    took = time.perf_counter() - began
    try:
        theirs_took = peer(python, "align", theirs)
    except RuntimeError as error:
        return f"the reference fails: {error}"
    apart = {
        path.name: _apart(path, theirs / PROBE / path.name)
        for path in sorted((ours / PROBE).glob("*.npy"))
        if not path.name.startswith("_fornix_")  # the reference has none of these
    }
    # Loudness is stored in single precision, and the reference computes in it.
    limits = {name: 1e-8 if "_spikeglx_" in name else 1e-3 for name in apart}
    worse = {name: x for name, x in apart.items() if not x < limits[name]}
    verdict = f"differs: {worse}" if worse else "equal"
    return f"{verdict}; {took:.2f} s, ibllib {theirs_took:.2f} s"


def _apart(one: Path, other: Path) -> float:
    """Return the largest relative difference of two arrays; infinity if shapes differ."""
    if not other.exists():
        return np.inf
    pair = [np.load(path, allow_pickle=False) for path in (one, other)]
    if pair[0].shape != pair[1].shape:
        return np.inf
    scale = 1.0 if "_spikeglx_" in one.name else float(np.abs(pair[1]).max()) or 1.0
    return float(np.abs(pair[0] - pair[1]).max()) / scale


def main() -> None:
    """Compare, and print a line for each session and one for the status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sessions", nargs="*", type=Path, help="folders with raw_behavior_data")
    parser.add_argument("--ibllib", required=True, help="a Python that has ibllib")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for session in arguments.sessions or sessions(arguments.ibllib, folder):
            print(f"{session}: {extraction(arguments.ibllib, session, folder)}", flush=True)
        for session in () if arguments.sessions else main_clocks(folder / "boards"):
            print(f"{session}: {on_main_clock(arguments.ibllib, session)}", flush=True)
        for name, drift in () if arguments.sessions else PROBES.items():
            print(f"{name} probe: {aligned(arguments.ibllib, folder / name, drift)}", flush=True)
        if not arguments.sessions:
            theirs = partial(peer, arguments.ibllib)
            for line in rigs_3a(folder / "phase_3a", theirs, differences):
                print(f"phase 3A, {line}", flush=True)
            for line in films(folder / "films", theirs):
                print(f"film, {line}", flush=True)
        if not arguments.sessions and MOUSE.exists():
            print(f"training status: {judged(theirs, MOUSE, folder)}")
            print(f"training table: {tables(theirs, MOUSE, folder / 'mouse')}")


if __name__ == "__main__":
    main()
