"""Sessions for the exports: a folder as tasks leave it, with what each test wants in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from lab.simulate.spikes import simulate_sorting, write_sorting
from shared import recordings
from shared.alf import io

LAB, SUBJECT, DATE = "fimbrialab", "FI_001", "2024-07-01"
FOLDER = f"{LAB}/Subjects/{SUBJECT}/{DATE}/001"
"""As in tests.flow, which the environments apart cannot import."""
FACTS = {SUBJECT: {"sex": "F", "birth_date": "2024-03-01", "strain": "C57BL/6"}}
IMRO = "(0,384)" + "".join(f"({channel} 0 0 500 250 1)" for channel in range(384))
STEP = {"ap": 1.2e6 / 1024 / 500, "lf": 1.2e6 / 1024 / 250}
"""Microvolts of a count, of 0.6 V, 512 steps and gains of 500 and 250."""


def make(root: Path, n: int = 20, seed: int = 0) -> Path:
    """Write a session with trials and wheel; return its folder."""
    folder = root / FOLDER
    (root / "subjects.json").parent.mkdir(parents=True, exist_ok=True)
    (root / "subjects.json").write_text(json.dumps(FACTS))
    settings = folder / "raw_behavior_data" / "_iblrig_taskSettings.raw.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps(
            {
                "PYBPOD_PROTOCOL": "_iblrig_tasks_trainingChoiceWorld",
                "IBLRIG_VERSION": "6.4.2",
                "SESSION_DATETIME": f"{DATE}T10:30:00",
                "SYNTHETIC": True,
            }
        )
    )
    write_trials(folder, trials(n, seed))
    write_wheel(folder, seed)
    return folder


def trials(n: int, seed: int = 0) -> pd.DataFrame:
    """Return the table of n trials (ONE convention)."""
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.uniform(3, 6, n))
    left = rng.random(n) < 0.5
    contrast = rng.choice([0, 0.0625, 0.125, 0.25, 0.5, 1.0], n)
    choice = rng.choice([-1, 0, 1], n)
    feedback = np.where(choice == np.where(left, 1, -1), 1, -1)
    return pd.DataFrame(
        {
            "intervals_0": start,
            "intervals_1": start + 2.5,
            "stimOn_times": start + 0.3,
            "goCue_times": start + 0.31,
            "firstMovement_times": np.where(choice == 0, np.nan, start + 0.6),
            "response_times": start + 0.9,
            "feedback_times": start + 0.91,
            "stimOff_times": start + 2.0,
            "contrastLeft": np.where(left, contrast, np.nan),
            "contrastRight": np.where(left, np.nan, contrast),
            "choice": choice,
            "feedbackType": feedback,
            "rewardVolume": np.where(feedback == 1, 3.0, 0.0),
            "probabilityLeft": np.repeat([0.5, 0.8, 0.2], -(-n // 3))[:n],
        }
    )


def write_trials(folder: Path, table: pd.DataFrame) -> None:
    """Write trials as the extraction does: a table, and a column beside it."""
    io.save(folder / "alf" / "_ibl_trials.table.pqt", table)
    quiet = np.full(len(table), 0.4)
    io.save(folder / "alf" / "_ibl_trials.quiescencePeriod.npy", quiet)


def write_wheel(folder: Path, seed: int = 0, n: int = 300) -> None:
    """Write the wheel's positions, beyond a turn, and two movements."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.001, 0.3, n))
    files = {
        "_ibl_wheel.position.npy": np.cumsum(rng.normal(0.1, 0.2, n)),
        "_ibl_wheel.timestamps.npy": times,
        "_ibl_wheelMoves.intervals.npy": times[[[3, 9], [20, 31]]],
        "_ibl_wheelMoves.peakAmplitude.npy": np.array([0.7, -1.2]),
    }
    for name, content in files.items():
        io.save(folder / "alf" / name, content)


def write_spikes(folder: Path, probe: str, seed: int, n_units: int = 4) -> None:
    """Write a probe's sorted spikes as the demonstration does, with metrics and histology."""
    table = pd.read_parquet(folder / "alf" / "_ibl_trials.table.pqt")
    files = simulate_sorting(table, seed=seed, n_units=n_units)
    n = len(files["channels.localCoordinates.npy"])
    files["channels.rawInd.npy"] = np.arange(n)[::-1].copy()
    files["channels.brainLocationIds_ccf_2017.npy"] = np.where(np.arange(n) < 200, -985, 997)
    write_sorting(files, folder / "alf" / probe)
    metrics = pd.DataFrame({"cluster_id": range(n_units), "label": 1 / 3, "amp_median": 8e-5})
    io.save(folder / "alf" / probe / "clusters.metrics.pqt", metrics)


def write_recording(
    folder: Path,
    probe: str,
    band: str = "ap",
    *,
    samples: int = 2_500,
    channels: int = 8,
    chunk_length: int = 600,
) -> np.ndarray:
    """Write a compressed recording as SpikeGLX and the codec leave it; return its samples."""
    rng = np.random.default_rng(samples)
    data = rng.normal(0, 9, (samples, channels + 1)).astype(np.int16)
    data[:, -1] = 64 * (np.arange(samples) // 250 % 2)
    place = folder / "raw_ephys_data" / probe
    place.mkdir(parents=True, exist_ok=True)
    raw = place / f"_spikeglx_ephysData_g0_t0.imec0.{band}.bin"
    data.tofile(raw)
    saved = 0 if band == "ap" else 384
    sites = "".join(f"(0:{27 + 32 * (k % 2)}:{20 * (k // 2)}:1)" for k in range(channels))
    told = {
        "typeThis": "imec",
        "nSavedChans": channels + 1,
        "imSampRate": 30_000 if band == "ap" else 2_500,
        "imAiRangeMax": 0.6,
        "imMaxInt": 512,
        "imDatPrb_type": 0,
        "acqApLfSy": "384,384,1",
        "snsApLfSy": f"{channels},0,1" if band == "ap" else f"0,{channels},1",
        "snsSaveChanSubset": f"{saved}:{saved + channels - 1},768",
        "fileSizeBytes": raw.stat().st_size,
        "~imroTbl": IMRO,
        "~snsGeomMap": f"(NP1010,1,0,70){sites}",
    }
    lines = [f"{key}={value}" for key, value in told.items()]
    raw.with_suffix(".meta").write_text("\n".join(lines) + "\n")
    recordings.compress(raw, chunk_length=chunk_length, workers=1)
    raw.unlink()
    return data


def write_clock(folder: Path, probe: str, knots: np.ndarray) -> None:
    """Write the clock of a probe: samples and seconds."""
    name = "_spikeglx_ephysData_g0_t0.imec0.timestamps.npy"
    np.save(folder / "raw_ephys_data" / probe / name, knots)


def write_sync(folder: Path, place: str = "", lines: tuple[int, ...] = (3, 7)) -> pd.DataFrame:
    """Write the fronts of a board's lines, and of one what is connected; return them."""
    rng = np.random.default_rng(5)
    fronts = pd.concat(
        pd.DataFrame(
            {
                "times": np.cumsum(rng.uniform(0.1, 1, 12)),
                "channels": line,
                "polarities": np.tile([1, -1], 6),
            }
        )
        for line in lines
    ).sort_values("times")
    where = folder / "raw_ephys_data" / place
    where.mkdir(parents=True, exist_ok=True)
    for name in fronts:
        io.save(where / f"_spikeglx_sync.{name}.npy", fronts[name].to_numpy())
    wiring = {"SYSTEM": "3B", "SYNC_WIRING_DIGITAL": {"P0.3": "imec_sync", "P0.5": None}}
    (where / "_spikeglx_ephysData_g0_t0.nidq.wiring.json").write_text(json.dumps(wiring))
    return fronts


def write_board(folder: Path, samples: int = 2_000, analog: int = 2) -> np.ndarray:
    """Write the compressed recording of an NI board; return its samples, the word last."""
    data = np.random.default_rng(2).normal(0, 900, (samples, analog + 1)).astype(np.int16)
    raw = folder / "raw_ephys_data" / "_spikeglx_ephysData_g0_t0.nidq.bin"
    raw.parent.mkdir(parents=True, exist_ok=True)
    data.tofile(raw)
    named = "".join(f"(XA{k};{k}:{k})" for k in range(analog))
    told = {
        "typeThis": "nidq",
        "nSavedChans": analog + 1,
        "niSampRate": 30_003.0003,
        "niAiRangeMax": 5,
        "niMNGain": 1,
        "niMAGain": 1,
        "snsMnMaXaDw": f"0,0,{analog},1",
        "fileSizeBytes": raw.stat().st_size,
        "~snsChanMap": f"(0,0,{analog},1,1){named}(XD0;{analog}:{analog})",
    }
    raw.with_suffix(".meta").write_text("".join(f"{k}={v}\n" for k, v in told.items()))
    wiring = {
        "SYSTEM": "3B",
        "SYNC_WIRING_DIGITAL": {"P0.3": "imec_sync", "P0.5": None},
        "SYNC_WIRING_ANALOG": {"AI0": "bpod"},
    }
    raw.with_suffix(".wiring.json").write_text(json.dumps(wiring))
    recordings.compress(raw, chunk_length=600, workers=1)
    raw.unlink()
    return data


def write_camera(folder: Path, frames: int = 40) -> None:
    """Write the left camera: a video of a few bytes, times, pose, pupil, motion energy, licks."""
    video = folder / "raw_video_data" / "_iblrig_leftCamera.raw.mp4"
    video.parent.mkdir()
    video.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(32))
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.015, 0.018, frames))
    pose = {
        f"{part}_{axis}": rng.random(frames)
        for part in ("nose_tip", "paw_l")
        for axis in ("x", "y", "likelihood")
    }
    alf = folder / "alf"
    io.save(alf / "_ibl_leftCamera.times.npy", times)
    io.save(alf / "_ibl_leftCamera.lightningPose.pqt", pd.DataFrame(pose))
    pupil = pd.DataFrame({"pupilDiameter_smooth": rng.random(frames)})
    io.save(alf / "_ibl_leftCamera.features.pqt", pupil)
    io.save(alf / "leftCamera.ROIMotionEnergy.npy", rng.random(frames))
    io.save(alf / "licks.times.npy", times[::7])


def write_passive(folder: Path) -> None:
    """Write the passive protocol as the extraction of IBL does."""
    alf = folder / "alf"
    (alf / "_ibl_passivePeriods.intervalsTable.csv").write_text(
        ",passiveProtocol,spontaneousActivity,RFM,taskReplay\nstart,1,1,11,\nstop,30,10,20,\n"
    )
    (alf / "_ibl_passiveGabor.table.csv").write_text(
        "start,stop,position,contrast,phase\n21.0,21.3,35.0,0.5,1.5\n22.0,22.3,-35.0,1.0,0.2\n"
    )
    (alf / "_ibl_passiveStims.table.csv").write_text(
        "valveOn,valveOff,toneOn,toneOff,noiseOn,noiseOff\n23.0,23.1,24.0,24.1,25.0,25.5\n"
        "26.0,26.1,27.0,27.1,28.0,28.5\n"
    )
