"""The reference's side of the fuzz: run by a Python that has ibllib, not Fornix.

It answers requests, one JSON list a line on stdin (what to do, and paths), by one JSON object a
line: ``{}``, or ``refused``: the error by part.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import reference_peer

Refused = dict[str, str]


def said(error: BaseException) -> str:
    """Return an error with the place in ibllib where it arose."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "site-packages" in f.filename
    ]
    own = [f for f in frames if any(n in f.filename for n in ("ibllib", "brainbox", "ibldsp"))]
    at = f"{Path(own[-1].filename).stem}.{own[-1].name}" if own else "?"
    return f"{type(error).__name__} in {at}: {str(error)[:120]}"


@contextlib.contextmanager
def without_wheel(refused: Refused) -> Iterator[None]:
    """Go on without a wheel where it cannot be extracted, so that the trials are compared."""
    from ibllib.io.extractors import training_wheel

    original = training_wheel.Wheel._extract

    def extract(self: Any) -> Any:
        try:
            return original(self)
        except Exception as error:
            refused["wheel"] = said(error)
            n, nothing = len(self.bpod_trials), np.empty(0)
            return (nothing, nothing, np.empty((0, 2)), nothing, nothing, np.full(n, np.nan),
                    np.zeros(n, bool))  # fmt: skip

    training_wheel.Wheel._extract = extract
    try:
        yield
    finally:
        training_wheel.Wheel._extract = original


def save(extractor: Any, found: Any, folder: Path) -> None:
    """Save what ibllib saves. It fails on arrays without values, and then saves nothing at all."""
    folder.mkdir(exist_ok=True)
    for name, values in found.items():
        file = extractor.save_names[extractor.var_names.index(name)]
        if file and file.endswith(".pqt"):
            values.to_parquet(folder / file)
        elif file:
            np.save(folder / file, values)


def laser(session: Path, extractor: Any) -> None:
    """Extract the laser, if the first trial has one."""
    from ibllib.io.extractors.opto_trials import LaserBool

    if type(extractor).__name__ == "HabituationTrials":
        return
    if "laser_stimulation" in extractor.bpod_trials[0]:
        LaserBool(session).extract(
            bpod_trials=extractor.bpod_trials, settings=extractor.settings,
            save=True, path_out=session / "alf",
        )  # fmt: skip


def judged(session: Path, extractor: Any, found: Any, refused: Refused) -> None:
    """Judge the trials, and write ``quality.json``."""
    try:
        quality = reference_peer.quality(session, extractor, found)
        (session / "quality.json").write_text(json.dumps(quality))
    except Exception as error:
        refused["quality"] = said(error)


def bpod(session: Path) -> Refused:
    """Extract trials and wheel on the state machine's clock."""
    from ibllib.io.extractors.bpod_trials import get_bpod_extractor

    refused: Refused = {}
    try:
        with without_wheel(refused):
            extractor = get_bpod_extractor(session)
            data, _ = extractor.extract(save=False)
            save(extractor, data, session / "alf")
    except Exception as error:
        return {"trials": said(error)}
    laser(session, extractor)
    if "wheel" not in refused:
        judged(session, extractor, data, refused)
    return refused


def board(session: Path) -> Refused:
    """Extract trials and wheel on the main clock, from pulses that are found already."""
    from ibllib.io.extractors.bpod_trials import get_bpod_extractor
    from ibllib.io.extractors.ephys_fpga import (
        FpgaTrials,
        FpgaTrialsHabituation,
        get_sync_and_chn_map,
    )

    refused: Refused = {}
    try:
        with without_wheel(refused):
            by_bpod = get_bpod_extractor(session)
            trials, _ = by_bpod.extract(save=False)
        if refused:
            refused["wheel by the state machine"] = refused.pop("wheel")
        pulses, channels = get_sync_and_chn_map(session, "raw_ephys_data")
        rests = type(by_bpod).__name__ == "HabituationTrials"
        kind = FpgaTrialsHabituation if rests else FpgaTrials
        extractor = kind(session, bpod_trials=trials, bpod_extractor=by_bpod)
        data, _ = extractor.extract(
            sync=pulses, chmap=channels, save=False, task_collection="raw_behavior_data",
            protocol_number=json.loads((session / "protocol.json").read_text()),
        )  # fmt: skip
        save(extractor, data, session / "alf")
        laser(session, by_bpod)
        if rests:
            return refused  # its quality needs the state machine's wheel, which there is none of
    except Exception as error:
        return {"trials": said(error)}
    judged(session, extractor, data, refused)
    return refused


def pulses(session: Path) -> Refused:
    """Find the pulses in a board's recording."""
    from ibldsp.sync import extract_spikeglx_sync

    path = next((session / "raw_ephys_data").glob("*.nidq.bin"))
    (session / "alf").mkdir()
    extract_spikeglx_sync(path, output_path=session / "alf", save=True)
    return {}


def passive(session: Path) -> Refused:
    """Find the stimuli and sounds of a passive protocol."""
    from ibllib.io.extractors.ephys_passive import PassiveChoiceWorld

    collection, number = json.loads((session / "passive.json").read_text())
    try:
        PassiveChoiceWorld(session).extract(
            save=True, path_out=session / "alf", sync_collection="raw_ephys_data",
            task_collection=collection, protocol_number=number,
        )  # fmt: skip
    except Exception as error:
        return {"trials": said(error)}
    return {}


def probe(path: Path) -> Refused:
    """Bring a probe's clock to the main one, from the fronts that both saw."""
    from ibllib.ephys import sync_probes
    from iblutil.util import Bunch

    seen = np.load(path)
    times, main = seen["times"], seen["main"]
    if not np.isclose(main.size, times.size, rtol=0.1):
        return {"trials": "Neuropixel3BSyncFrontsNonMatching"}
    own = Bunch(times=times, polarities=seen["polarities"])
    kind = "smooth" if sync_probes._check_diff_3b(own) else "exact"
    n = min(times.size, main.size)
    points, good = sync_probes.sync_probe_front_times(
        times[:n], main[:n], float(seen["rate"]), type=kind, tol=2.5
    )
    np.savez(path.with_name("theirs.npz"), points=points, good=good)
    return {}


def film(session: Path) -> Refused:
    """Find the times of a film's frames, and judge it; the film itself is only described."""
    from ibllib.io.extractors import camera as cameras
    from ibllib.io.extractors.ephys_fpga import get_sync_and_chn_map
    from ibllib.qc.camera import CameraQC
    from iblutil.util import Bunch
    from one.api import One

    told = json.loads((session / "film.json").read_text())
    label, length = told["label"], told["length"]
    cameras.vmotion.MotionAlignmentFullSession = None  # it needs the pictures
    try:
        if told["board"]:
            sync, channels = get_sync_and_chn_map(session, "raw_ephys_data")
            times, _ = cameras.CameraTimestampsFPGA(label, session).extract(
                sync=sync, chmap=channels, save=False, video_path=length
            )
        else:
            times, _ = cameras.CameraTimestampsBpod(session).extract(
                save=False, task_collection="raw_behavior_data", video_path=length
            )
    except Exception as error:
        return {"trials": said(error)}
    (session / "alf").mkdir(exist_ok=True)
    np.save(session / "alf/times.npy", times)
    np.save(session / f"alf/_ibl_{label}Camera.times.npy", times)
    (session / "quality.json").write_text("{}")
    try:
        judge = CameraQC(
            session, label, one=One(cache_dir=session, mode="local"), stream=False,
            sync_type="nidq" if told["board"] else "bpod",
            sync_collection="raw_ephys_data" if told["board"] else "raw_behavior_data",
        )  # fmt: skip
        judge.get_active_wheel_period = lambda *_, **__: None
        judge.load_data(load_video=False)
        judge.data["video"] = Bunch({n: told[n] for n in ("length", "fps", "width", "height")})
        judge.data["frame_samples"] = np.full((100, 8, 8), 100, np.uint8)
        judge.checks_to_remove += ["check_position", "check_focus", "check_wheel_alignment"]
        _, outcomes = judge.run(update=False)
        plain = {name: reference_peer.plain(value) for name, value in outcomes.items()}
        (session / "quality.json").write_text(json.dumps(plain))
    except Exception as error:
        return {"quality": said(error)}
    return {}


def window(path: Path) -> Refused:
    """Judge a window of days by brainbox's rules."""
    reference_peer.judge(path)
    return {}


def subject(folder: Path) -> Refused:
    """Write a mouse's training table, as IBL makes its aggregates."""
    reference_peer.training_table(folder)
    return {}


ACTIONS: dict[str, Callable[[Path], Refused]] = {
    action.__name__: action
    for action in (bpod, board, film, passive, pulses, probe, window, subject)
}


def main() -> None:
    """Answer until stdin ends."""
    logging.disable(logging.CRITICAL)
    reference_peer.mend()
    # libraries in C print, too
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), io.StringIO()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        what, path = json.loads(line)
        try:
            refused = ACTIONS[what](Path(path))
        except Exception as error:
            refused = {what: said(error)}
        sys.stdout = io.StringIO()
        print(json.dumps({"refused": refused}), file=answers, flush=True)


if __name__ == "__main__":
    main()
