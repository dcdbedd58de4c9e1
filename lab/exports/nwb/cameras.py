"""Cameras: video by reference, pose, pupil, motion energy; and licks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ndx_pose import PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons
from numpy.typing import NDArray
from pynwb import NWBFile, ProcessingModule, TimeSeries
from pynwb.image import ImageSeries

from lab.exports.nwb.columns import timing
from lab.exports.nwb.names import entity
from lab.exports.session import ExportError, ExportSession

SIDES = ("left", "right", "body")
VIDEO = (".mp4", ".avi", ".mkv")
POSES = ("lightningPose", "dlc")
"""Attributes with the pose, in order of preference."""


def add_videos(nwb: NWBFile, session: ExportSession, placed: Callable[[str, str], str]) -> int:
    """Add the videos as external files; return their number.

    Parameters
    ----------
    placed : callable
        Called with a video's path within the session and the name of its series; returns where
        the NWB file finds it, as `beside`.
    """
    count = 0
    for side in SIDES:
        path = _video(session, side)
        if path is None:
            continue
        count += 1
        name = f"Video{side.title()}Camera"
        times = _times(session, side)
        # A video without frame times still has a start time.
        when = timing(times) if times is not None and len(times) else {"rate": _RATES[side]}
        nwb.add_acquisition(
            ImageSeries(
                name=name,
                description=f"Video of the {side} camera."
                + ("" if times is not None else " The times of its frames are not known."),
                unit="n.a.",
                format="external",
                external_file=[placed(path, name)],
                starting_frame=[0],
                **when,
            )
        )
    return count


def has_videos(session: ExportSession) -> bool:
    """Return whether a session has videos."""
    return any(_video(session, side) for side in SIDES)


def beside(session: ExportSession, stem: Path) -> Callable[[str, str], str]:
    """Return what puts videos into a folder beside an NWB file, for `add_videos`.

    Parameters
    ----------
    stem : path
        Path of the NWB file without its extension.
    """
    folder = stem.with_name(
        f"sub-{entity(session.facts.subject.nickname)}_ses-{session.facts.id}_image"
    )

    def placed(path: str, name: str) -> str:
        target = folder / f"{folder.name}_{name}{Path(path).suffix}"
        _place(session.local(path), target)
        return target.relative_to(stem.parent).as_posix()

    return placed


_RATES = {"left": 60.0, "right": 150.0, "body": 30.0}
"""Frame rates of the cameras of an ephys rig (IBL, Hz), for videos without times."""


def _place(source: Path, target: Path) -> None:
    """Put a video at its place beside the file: a link on the same disk, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.samefile(source):
            return
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        partial = target.with_name(f".{target.name}.partial")
        shutil.copyfile(source, partial)
        os.replace(partial, target)


def _video(session: ExportSession, side: str) -> str | None:
    names = [p for p in session.paths if f"_{side}Camera.raw." in p and p.endswith(VIDEO)]
    return max(names) if names else None


def _times(session: ExportSession, side: str) -> NDArray[np.float64] | None:
    files = session.first(f"{side}Camera")
    for camera in session.objects(f"{side}Camera"):
        if "times" in camera.files:
            files = camera
            break
    if files is None or "times" not in files.files:
        return None
    return np.asarray(session.load(files, ("times",))["times"], float)


def add_tracking(nwb: NWBFile, session: ExportSession) -> None:
    """Add pose, pupil and motion energy of each camera, and licks."""
    for side in SIDES:
        times = _times(session, side)
        if times is None:
            continue
        for files in session.objects(f"{side}Camera"):
            wanted = {*POSES, "features", "ROIMotionEnergy"} & files.files.keys()
            if not wanted:
                continue
            loaded = session.load(files, wanted)
            for name in POSES:
                if isinstance(loaded.get(name), pd.DataFrame):
                    _add_pose(nwb, side, loaded[name], times, name)
                    break
            if isinstance(loaded.get("features"), pd.DataFrame):
                _add_pupil(nwb, side, loaded["features"], times)
            if "ROIMotionEnergy" in loaded:
                energy = np.asarray(loaded["ROIMotionEnergy"], float)
                module = _module(nwb, "motion_energy", "Motion energy of regions of the videos.")
                module.add(
                    _series(
                        f"{side.title()}CameraMotionEnergy",
                        energy,
                        times,
                        "a.u.",
                        f"Motion energy in a rectangle of the {side} camera.",
                    )
                )
    licks = session.first("licks")
    if licks is not None and "times" in licks.files:
        at = np.asarray(session.load(licks, ("times",))["times"], float)
        if at.size:
            events = TimeSeries(
                name="LickTimes",
                description="Times at which the tongue touches the spout.",
                data=np.ones(len(at), np.int8),
                unit="n.a.",
                timestamps=at,
            )
            module = _module(nwb, "lick_times", "Licks.")
            module.add(events)


def _module(nwb: NWBFile, name: str, description: str) -> ProcessingModule:
    if name in nwb.processing:
        return nwb.processing[name]
    return nwb.create_processing_module(name, description)


def _series(
    name: str, data: NDArray[np.float64], times: NDArray[np.float64], unit: str, told: str
) -> TimeSeries:
    _same_length(name, data, times)
    return TimeSeries(name=name, data=data, unit=unit, description=told, **timing(times))


def _same_length(name: str, data: Any, times: NDArray[np.float64]) -> None:
    if len(data) != len(times):
        raise ExportError(
            f"{name} has {len(data)} values for {len(times)} frames: extract the camera again"
        )


def _add_pose(
    nwb: NWBFile, side: str, pose: pd.DataFrame, times: NDArray[np.float64], how: str
) -> None:
    """Add the pose seen by a camera: columns ``<part>_x``, ``<part>_y``, ``<part>_likelihood``."""
    _same_length(f"the pose of the {side} camera", pose, times)
    names = {str(column) for column in pose}
    parts = sorted(
        column[:-2] for column in names if column.endswith("_x") and f"{column[:-2]}_y" in names
    )
    if not parts:
        return
    when = timing(times)
    series = []
    for part in parts:
        likelihood = pose.get(f"{part}_likelihood")
        series.append(
            PoseEstimationSeries(
                name=_title(part),
                description=f"Place of {part}.",
                data=pose[[f"{part}_x", f"{part}_y"]].to_numpy(float),
                unit="pixels",
                reference_frame="(0, 0) is the upper left corner of the video.",
                confidence=np.ones(len(times)) if likelihood is None else likelihood.to_numpy(),
                confidence_definition="Likelihood given by the network.",
                **when,
            )
        )
    skeleton = Skeleton(name=f"{side.title()}CameraSkeleton", nodes=parts)
    module = _module(nwb, "pose_estimation", "Pose of the animal in the videos.")
    if "Skeletons" in module.data_interfaces:
        module["Skeletons"].add_skeletons(skeleton)
    else:
        module.add(Skeletons(skeletons=[skeleton]))
    module.add(
        PoseEstimation(
            name=f"PoseEstimation{side.title()}Camera",
            pose_estimation_series=series,
            description=f"Pose seen by the {side} camera.",
            source_software={"dlc": "DeepLabCut", "lightningPose": "Lightning Pose"}[how],
            skeleton=skeleton,
        )
    )


def _title(part: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in part.split("_"))


def _add_pupil(
    nwb: NWBFile, side: str, features: pd.DataFrame, times: NDArray[np.float64]
) -> None:
    titles = {"pupilDiameter_raw": "Raw", "pupilDiameter_smooth": "Smoothed"}
    for name, how in titles.items():
        if name in features and not features[name].isna().all():
            module = _module(nwb, "pupil", "Pupil of the eye.")
            module.add(
                _series(
                    f"{side.title()}PupilDiameter{how}",
                    features[name].to_numpy(float),
                    times,
                    "px",
                    f"Diameter of the pupil seen by the {side} camera, {how.lower()}.",
                )
            )
