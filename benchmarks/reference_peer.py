"""The reference's side of `benchmarks/reference.py`: run by a Python that has ibllib, not Fornix.

python reference_peer.py extract SESSION [mended]    writes SESSION/alf, SESSION/quality.json
python reference_peer.py main_clock SESSION    the same, of a session whose clock is the nidq's
python reference_peer.py phase_3a SESSION    both of probes that have no board
python reference_peer.py align SESSION    the pulses of its probe, and its clock
python reference_peer.py film SESSION CAMERA    times of its frames, and quality.json
python reference_peer.py pose SESSION    licks and pupil of its left camera
python reference_peer.py judge WINDOWS.json    writes WINDOWS.status.json
python reference_peer.py training_table LAB    writes LAB/training.pqt of its one mouse
python reference_peer.py fixtures FOLDER SEQUENCES    copies what ibllib's own tests have
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def mend() -> None:
    """Make ibllib find the onset of every movement.

    It looks for onsets in batches of samples, and skips the last sample of each. If a movement
    begins there, that and all later onsets of the session are taken from the window of another
    movement.
    """
    import inspect

    from brainbox.behavior import wheel

    source = inspect.getsource(wheel.movements)
    mended = source.replace("i2proc[: -t_thresh_samps - 1]", "i2proc[:-t_thresh_samps]")
    if mended == source:
        raise RuntimeError("the code that loses onsets is not as it was: look at it again")
    exec(mended, wheel.__dict__)


def extract(session: Path, how: Path = Path()) -> None:
    """Extract trials and wheel, and judge them, as ibllib does; print the seconds.

    Only the extraction is timed; the quality is computed in addition, as in the pipeline.
    """
    from ibllib.io.extractors.bpod_trials import get_bpod_extractor
    from ibllib.io.extractors.opto_trials import LaserBool

    if how.name == "mended":
        mend()
    began = time.perf_counter()
    extractor = get_bpod_extractor(session)
    data, _ = extractor.extract(save=True, path_out=session / "alf")
    print(time.perf_counter() - began)
    if "laser_stimulation" in extractor.bpod_trials[0]:
        LaserBool(session).extract(
            bpod_trials=extractor.bpod_trials,
            settings=extractor.settings,
            save=True,
            path_out=session / "alf",
        )
    (session / "quality.json").write_text(json.dumps(quality(session, extractor, data)))


def main_clock(session: Path) -> None:
    """Find the pulses, extract trials and wheel on the main clock, and judge them."""
    from ibldsp.sync import extract_spikeglx_sync

    began = time.perf_counter()
    board = next((session / "raw_ephys_data").glob("*.nidq.bin"))
    extract_spikeglx_sync(board, output_path=board.parent, save=True)
    extractor, data = _on_main_clock(session)
    print(time.perf_counter() - began)
    (session / "quality.json").write_text(json.dumps(quality(session, extractor, data)))


def phase_3a(session: Path) -> None:
    """Find the pulses of each probe, relate their clocks, extract trials and wheel."""
    from ibllib.ephys import sync_probes
    from ibllib.io.extractors.ephys_fpga import extract_sync

    began = time.perf_counter()
    extract_sync(session, overwrite=True)
    sync_probes.sync(session, display=False)
    _on_main_clock(session)
    print(time.perf_counter() - began)


def _on_main_clock(session: Path) -> tuple[Any, dict[str, Any]]:
    """Extract trials and wheel by the pulses that were found."""
    from ibllib.io.extractors.bpod_trials import get_bpod_extractor
    from ibllib.io.extractors.ephys_fpga import FpgaTrials, get_sync_and_chn_map

    by_bpod = get_bpod_extractor(session)
    trials, _ = by_bpod.extract(save=False)
    sync, channels = get_sync_and_chn_map(session, "raw_ephys_data")
    extractor = FpgaTrials(session, bpod_trials=trials, bpod_extractor=by_bpod)
    data, _ = extractor.extract(
        sync=sync, chmap=channels, save=True, path_out=session / "alf",
        task_collection="raw_behavior_data", protocol_number=None,
    )  # fmt: skip
    return extractor, data


def align(session: Path) -> None:
    """Find pulses, the relation of the probe's clock, and the loudness of its bands."""
    import spikeglx
    from ibllib.ephys import sync_probes
    from ibllib.ephys.ephysqc import extract_rmsmap
    from ibllib.io.extractors.ephys_fpga import extract_sync

    began = time.perf_counter()
    extract_sync(session, overwrite=True)
    sync_probes.version3B(session, display=False)
    for band, every in (("ap", 10), ("lf", 1)):
        path = next(session.rglob(f"*.{band}.bin"))
        extract_rmsmap(spikeglx.Reader(path), overwrite=True, nmod=every)
    print(time.perf_counter() - began)


def film(session: Path, camera: Path) -> None:
    """Find the times of a film's frames, and judge it."""
    from ibllib.io.extractors import camera as cameras
    from ibllib.io.extractors.ephys_fpga import get_sync_and_chn_map
    from ibllib.qc.camera import CameraQC
    from one.api import One

    label, began = camera.name, time.perf_counter()
    on_board = (session / "raw_ephys_data").exists()
    if on_board:
        sync, channels = get_sync_and_chn_map(session, "raw_ephys_data")
        extractor = cameras.CameraTimestampsFPGA(label, session)
        times, _ = extractor.extract(sync=sync, chmap=channels, save=False)
    else:
        times, _ = cameras.CameraTimestampsBpod(session).extract(
            save=False, task_collection="raw_behavior_data"
        )
    (session / "alf").mkdir(exist_ok=True)
    np.save(session / f"alf/_ibl_{label}Camera.times.npy", times)
    judge = CameraQC(
        session, label, one=One(cache_dir=session, mode="local"), stream=False,
        sync_type="nidq" if on_board else "bpod",
        sync_collection="raw_ephys_data" if on_board else "raw_behavior_data",
    )  # fmt: skip
    # ibllib's reference frames are larger than these
    for name in ("check_position", "check_focus", "check_wheel_alignment"):
        judge.checks_to_remove.append(name)
    _, outcomes = judge.run(update=False)
    print(time.perf_counter() - began)

    plain_outcomes = {name: plain(value) for name, value in outcomes.items()}
    (session / "quality.json").write_text(json.dumps(plain_outcomes))


def plain(value: Any) -> Any:
    """Return an outcome, or one with numbers, as it is stored in Alyx."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.name if hasattr(value, "name") else value


def pose(session: Path) -> None:
    """Find licks and the width of the pupil in the pose of the left camera."""
    import pandas as pd
    from brainbox.behavior import dlc

    table = pd.read_parquet(session / "alf/_ibl_leftCamera.dlc.pqt")
    times = np.load(session / "alf/_ibl_leftCamera.times.npy")
    began = time.perf_counter()
    points = dlc.likelihood_threshold(table, 0.9)
    np.save(session / "alf/licks.times.npy", sorted(dlc.get_licks(points, times)))
    raw = dlc.get_pupil_diameter(points)
    diameters = {"pupilDiameter_raw": raw}
    diameters["pupilDiameter_smooth"] = dlc.get_smooth_pupil_diameter(raw, "left")
    pd.DataFrame(diameters).to_parquet(session / "alf/_ibl_leftCamera.features.pqt")
    print(time.perf_counter() - began)
    judged = _pose_quality(session, diameters)
    (session / "pose_quality.json").write_text(json.dumps(judged))


def _pose_quality(session: Path, diameters: dict[str, Any]) -> dict[str, Any]:
    """Return the checks of the left camera's pose, and their outcome, as stored in Alyx."""
    from ibllib.qc.dlc import DlcQC

    class Judge(DlcQC):
        """Judges arrays without a server."""

        eid = None

        def __init__(self) -> None:
            self.side, self.tracker, self.data = "left", "dlc", {}
            self.ignore_checks = ["check_pupil_diameter_snr"]

    import pandas as pd

    judge = Judge()
    table = pd.read_parquet(session / "alf/_ibl_leftCamera.dlc.pqt")
    points = {name.rpartition("_")[0] for name in table}
    judge.data = {
        "pose_coords": {
            point: np.where(
                table[f"{point}_likelihood"].to_numpy() < 0.9,
                np.nan,
                table[[f"{point}_x", f"{point}_y"]].to_numpy().T,
            )
            for point in points
        },
        "camera_times": np.load(session / "alf/_ibl_leftCamera.times.npy"),
        "stimOn_times": pd.read_parquet(session / "alf/_ibl_trials.table.pqt")[
            "stimOn_times"
        ].to_numpy(),
        **diameters,
    }
    outcome, metrics = judge.run()
    return {**metrics, "dlcLeft": outcome.name}


def quality(session: Path, extractor: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome, and the share of each check that passes."""
    from ibllib.io.raw_data_loaders import load_bpod_fronts
    from ibllib.qc.task_extractors import TaskQCExtractor
    from ibllib.qc.task_metrics import HabituationQC, TaskQC
    from one.api import One

    habituation = type(extractor).__name__ == "HabituationTrials"
    offline = One(cache_dir=session, mode="local")
    judge = (HabituationQC if habituation else TaskQC)(session, one=offline)
    judge.one = None  # skip the check that needs a server (habituation_time)
    data = TaskQCExtractor(session)
    data.data = data.rename_data(dict(found))
    data.wheel_encoding = "X1"
    data.settings = extractor.settings
    if hasattr(extractor, "bpod2fpga"):  # on the main clock
        data.data["wheel_timestamps_bpod"] = extractor.bpod2fpga(
            extractor.bpod_trials["wheel_timestamps"]
        )
        data.data["wheel_position_bpod"] = extractor.bpod_trials["wheel_position"]
        data.wheel_encoding = "X4"
        data.frame_ttls, data.audio_ttls = extractor.frame2ttl, extractor.audio
    else:
        data.frame_ttls, data.audio_ttls = load_bpod_fronts(session)
    judge.extractor = data
    judge.compute()
    outcome, shares, outcomes = judge.compute_session_status()
    return {
        "outcome": int(outcome),
        "shares": {name: None if x is None else float(x) for name, x in shares.items()},
        "outcomes": {name: int(x) for name, x in outcomes.items()},
    }


def judge(windows: Path) -> None:
    """Judge the training status of each window of days, and print the seconds."""
    from brainbox.behavior import training
    from one.alf.io import AlfBunch

    np.random.seed(0)
    began, statuses = time.perf_counter(), []
    for window in json.loads(windows.read_text()):
        days = {
            date: AlfBunch({name: np.array(column, float) for name, column in trials.items()})
            for date, trials in zip(window["dates"], window["trials"], strict=True)
        }
        status, info, _ = training.get_training_status(days, window["protocols"], [], 0)
        statuses.append({"status": status, "info": dict(info)})
    print(time.perf_counter() - began)
    windows.with_suffix(".status.json").write_text(json.dumps(statuses, default=_plain))


def training_table(lab: Path) -> None:
    """Write a mouse's training table: where it reached each status first.

    The steps are those with which IBL makes its aggregates (iblalyx,
    ``aggregate_subject_trials``), by ibllib's own functions; a lab's folder has one mouse.
    """
    import pandas as pd
    from ibllib.pipes import training_status as status

    began, days = time.perf_counter(), dict[str, list[str]]()
    for session in sorted(lab.glob("Subjects/*/*/*")):
        days.setdefault(session.parent.name, []).append(str(session))
    rows = [
        pd.DataFrame.from_dict(row)
        for sessions in days.values()
        for row in status.get_training_info_for_session(sessions, None, force=False)
        if row["task_protocol"] != "habituation"  # no trials table, so not in the aggregate
    ]
    table = pd.concat(rows).sort_values("date", kind="stable").reset_index(drop=True)
    first = table.drop_duplicates("date").reset_index(drop=True)
    for day in status.find_earliest_recompute_date(first):
        table = status.compute_training_status(table, day, None, force=False)[0]
    single = table.drop_duplicates("session_path")
    unfit = single[single["training_status"] == "in training"].iloc[39:40]
    biased = single[single["task_protocol"] == "biased"]
    for stuck, name in ((unfit, "untrainable"), (biased.iloc[39:40], "unbiasable")):
        if name == "unbiasable" and "ready4ephysrig" in set(biased["training_status"][:40]):
            continue
        table.loc[table["session_path"].isin(stuck["session_path"]), "training_status"] = name
    columns = table.set_index("date")[["training_status", "session_path"]]
    columns.drop_duplicates("training_status").to_parquet(lab / "training.pqt")
    print(time.perf_counter() - began)


def fixtures(folder: Path, sequences: Path) -> None:
    """Copy the raw sessions of ibllib's own tests, and its sequences of ephysChoiceWorld."""
    import ibllib

    home = Path(ibllib.__file__).parent
    for path in sorted(home.glob("tests/extractors/data/session_*")):
        shutil.copytree(path, folder / path.name)
    shutil.copytree(home / "io/extractors/ephys_sessions", sequences)
    print(0.0)


def _plain(value: Any) -> Any:
    return value.tolist()


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    {
        "extract": extract,
        "main_clock": main_clock,
        "phase_3a": phase_3a,
        "align": align,
        "film": film,
        "pose": pose,
        "judge": judge,
        "training_table": training_table,
        "fixtures": fixtures,
    }[sys.argv[1]](*map(Path, sys.argv[2:]))
