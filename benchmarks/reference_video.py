"""Compare films with the reference: frame times, checks, licks, pupil; in `make reference`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from lab.simulate.board import BoardClock
from lab.simulate.camera import SimulatedCamera
from lab.simulate.session import simulate_session
from lab.tasks import sync, video

RIGS = {
    "board": (BoardClock(offset=10.0, drift=35.0), SimulatedCamera(lost=(100, 101, 350))),
    "late board": (BoardClock(offset=-3.0, drift=-60.0), SimulatedCamera(unsigned=9, before=30)),
    "right camera": (BoardClock(), SimulatedCamera("right", lost=(17,))),
    "body camera": (BoardClock(), SimulatedCamera("body", lost=())),
    "state machine": (None, SimulatedCamera(fps=30.0, lost=(40, 41))),
}
"""Clocks and cameras to compare."""

ARGUMENTS = {
    "collection": "raw_video_data",
    "task_collection": "raw_behavior_data",
    "sync_collection": "raw_ephys_data",
}

OTHERWISE = {"position", "focus", "wheel_alignment"}
"""Checks that need pictures of IBL's rigs, or belong to another task."""


def films(folder: Path, peer: Callable[..., float]) -> Iterator[str]:
    """Yield a line of the report for each camera, and one for poses."""
    for name, (board, camera) in RIGS.items():
        truth = simulate_session(
            folder / name.replace(" ", "_"), seed=2, subject="SYN_001", date=date(2026, 1, 2),
            rig_version=8, n_trials=12, board=board, cameras=[camera],
        )  # fmt: skip
        session, arguments = truth.session, {**ARGUMENTS, "camera": camera.label}
        if board:
            sync.pulses(session, session, {"collection": "raw_ephys_data"})
        out, began = session.with_name("002"), time.perf_counter()
        made = (video.times_nidq if board else video.times)(session, out, arguments)
        took = time.perf_counter() - began
        try:
            theirs_took = peer("film", session, camera.label)
        except RuntimeError as error:
            yield f"{name}: the reference fails: {error}"
            continue
        ours = np.load(out / f"alf/_ibl_{camera.label}Camera.times.npy")
        theirs = np.load(session / f"alf/_ibl_{camera.label}Camera.times.npy")
        reference_quality = json.loads((session / "quality.json").read_text())
        our_quality = made.facts.extended_qc if made.facts else {}
        same = np.isclose(ours, theirs, atol=1e-9) if ours.shape == theirs.shape else np.zeros(1)
        unsigned = our_quality[f"_sync_{camera.label}Camera_frames_without_pulse"]
        signed = ours.size - int(float(str(unsigned)))
        differ = [
            f"{check} ({our_quality.get(check)}, theirs {value})"
            for check, value in reference_quality.items()
            if check.rpartition("Left_")[2].rpartition("Right_")[2].rpartition("Body_")[2]
            not in OTHERWISE
            and our_quality.get(check) != value
        ]
        said = f"{int(same.sum())} of {ours.size} frames equal, {signed} have a pulse; checks "
        said += str(differ or "equal")
        yield f"{name}: {said}; {took:.2f} s, ibllib {theirs_took:.2f} s"
    for seed, hidden in enumerate((0.05, 0.15, 0.3), start=1):
        line = poses(folder / f"poses{seed}", peer, seed=seed, hidden=hidden)
        yield f"poses, {hidden:.0%} hidden: {line}"


def poses(folder: Path, peer: Callable[..., float], *, seed: int, hidden: float) -> str:
    """Find licks and pupil of a synthetic pose on both sides; return a line of the report.

    Parameters
    ----------
    folder, peer
        Empty folder; runs a part of the other side and returns its seconds.
    seed, hidden
        Of the random numbers; the share of frames in which a point is not seen.
    """
    rng, n = np.random.default_rng(seed), 4000
    alf = folder / "alf"
    alf.mkdir(parents=True)
    np.save(alf / "_ibl_leftCamera.times.npy", np.arange(n) / 60 + 0.01)
    wide = 20 + 5 * np.sin(np.arange(n) / 200) + rng.normal(0, 0.3, n)
    wide[rng.integers(0, n, 20)] += 60
    columns: dict[str, np.ndarray] = {}
    places = {"top": (0, -1), "bottom": (0, 1), "left": (-1, 0), "right": (1, 0)}
    for side, (x, y) in places.items():
        columns[f"pupil_{side}_r_x"] = 200 + x * wide / 2 + rng.normal(0, 0.2, n)
        columns[f"pupil_{side}_r_y"] = 100 + y * wide / 2 + rng.normal(0, 0.2, n)
    for side in "lr":
        for axis in "xy":
            columns[f"tongue_end_{side}_{axis}"] = np.cumsum(rng.normal(0, 1, n))
            columns[f"paw_{side}_{axis}"] = 400 + np.cumsum(rng.normal(0, 1, n))
    for point in sorted({name.rpartition("_")[0] for name in columns}):
        likely = np.where(rng.random(n) < hidden, 0.2, 0.97)
        likely[1000:1200] = 0.1
        columns[f"{point}_likelihood"] = likely
    pd.DataFrame(columns).to_parquet(alf / "_ibl_leftCamera.dlc.pqt")
    stimuli = np.sort(rng.uniform(1, n / 60 - 3, 12))
    pd.DataFrame({"stimOn_times": stimuli}).to_parquet(alf / "_ibl_trials.table.pqt")
    ours = folder / "ours"
    began = time.perf_counter()
    made = video.features(folder, ours, {})
    took = time.perf_counter() - began
    theirs_took = peer("pose", folder)
    pair = [np.load(root / "alf/licks.times.npy") for root in (ours, folder)]
    tables = [
        pd.read_parquet(root / "alf/_ibl_leftCamera.features.pqt") for root in (ours, folder)
    ]
    licks = "licks equal" if np.array_equal(*pair) else f"licks differ: {[x.size for x in pair]}"
    apart = {
        name: float(np.nanmax(np.abs(tables[0][name] - tables[1][name])))
        if np.array_equal(tables[0][name].isna(), tables[1][name].isna()) else np.inf
        for name in tables[1]
    }  # fmt: skip
    theirs = json.loads((folder / "pose_quality.json").read_text())
    judged = made.facts.extended_qc if made and made.facts else {}
    differ = {name: (judged.get(name), value) for name, value in theirs.items()
              if judged.get(name) != value}  # fmt: skip
    checks = f"{len(theirs)} checks equal" if not differ else f"checks differ: {differ}"
    shutil.rmtree(folder)
    return f"{licks}; {checks}; pupil apart by {apart}; {took:.2f} s, ibllib {theirs_took:.2f} s"
