"""Rigs of Neuropixels 3A beside the reference: pulses, main clock, trials, wheel, probes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from lab.simulate.board import BoardClock
from lab.simulate.phase3a import add_probes_3a
from lab.simulate.recording import ProbeDrift
from lab.simulate.session import simulate_session
from lab.tasks import behaviour, sync

MAIN = ProbeDrift()
RIGS: Mapping[str, tuple[ProbeDrift, ...]] = {
    "one probe": (MAIN,),
    "two probes": (MAIN, ProbeDrift(offset=0.9, drift=-12.0)),
    "two probes, the other begins later": (MAIN, ProbeDrift(offset=-2.0, drift=60.0)),
}

Different = Callable[..., Iterator[str]]


def rigs_3a(folder: Path, peer: Callable[..., float], different: Different) -> Iterator[str]:
    """Extract each rig on both sides; yield lines of the report.

    Parameters
    ----------
    folder : path
    peer : callable
        Runs the reference's side.
    different : callable
        Yields the names of files that differ between two folders.
    """
    for number, (name, drifts) in enumerate(RIGS.items(), start=1):
        for rig in (5, 8):
            about = f"{name}, rig {rig}"
            yield f"{about}: {_compared(folder / f'{number}_{rig}', drifts, rig, peer, different)}"


def _compared(
    folder: Path,
    drifts: Sequence[ProbeDrift],
    rig: int,
    peer: Callable[..., float],
    different: Different,
) -> str:
    truth = simulate_session(
        folder, seed=rig, subject="SYN_001", date=date(2026, 1, 2), rig_version=rig, n_trials=40,
        performance=0.8, protocol="biased", board=BoardClock(offset=6.0, is_probe=True),
    )  # fmt: skip
    add_probes_3a(truth, drifts, seed=rig, channels=2)
    ours, theirs = truth.session.with_name("002"), truth.session
    shutil.copytree(theirs, ours)
    began = time.perf_counter()
    where = {"sync_collection": "raw_ephys_data/*"}
    probes = [f"raw_ephys_data/probe{n:02}" for n in range(len(drifts))]
    for probe in probes:
        sync.pulses_probe(ours, ours, {"collection": probe})
    for probe in probes:
        sync.align_probes(ours, ours, {"collection": probe, **where})
    task = {"collection": "raw_behavior_data", "output_collection": "alf", **where}
    behaviour.trials_nidq(ours, ours, task)
    behaviour.wheel_nidq(ours, ours, task)
    seconds = time.perf_counter() - began
    try:
        theirs_seconds = peer("phase_3a", theirs)
    except RuntimeError as error:
        return f"the reference fails: {error}"
    # The reference has choice and feedbackType as floats here.
    differing = [
        f"{folder}/{file}"
        for folder in (*probes, "alf")
        for file in different(ours / folder, theirs / folder, types=False)
    ]
    said = "differs in " + ", ".join(differing) if differing else "equal"
    return f"{said}; {seconds:.2f} s, ibllib {theirs_seconds:.2f} s"
