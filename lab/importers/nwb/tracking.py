"""Pose, pupil, motion energy, licks and frame times: the inverse of `lab.exports.nwb.cameras`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.exports.nwb.cameras import SIDES
from lab.importers.nwb.made import MadeDataset, camel, times_of

TRACKED = ("pose_estimation", "pupil", "motion_energy", "lick_times")
"""Modules that are read here."""

PUPILS = {"Raw": "pupilDiameter_raw", "Smoothed": "pupilDiameter_smooth"}


def tracking_of(nwb: Any, note: Callable[[str], None]) -> Iterator[MadeDataset]:
    """Yield what cameras saw, and licks.

    Poses of other laboratories' cameras come as ``alf/nwb/_nwb_CAMERA.pose.pqt`` and ``times``.
    """
    frames: dict[str, NDArray[np.float64]] = {}
    features: dict[str, dict[str, NDArray[np.float64]]] = {}
    for module, name, part in _parts(nwb):
        kind = type(part).__name__
        side = _side(name)
        if kind == "PoseEstimation":
            yield from _pose(part, name, side, frames, note)
        elif (
            module == "pupil" and side and (how := PUPILS.get(name.partition("PupilDiameter")[2]))
        ):
            features.setdefault(side, {})[how] = np.asarray(part.data, float)
            frames.setdefault(side, times_of(part))
        elif module == "motion_energy" and side and name.endswith("CameraMotionEnergy"):
            energy = np.asarray(part.data, float)
            yield MadeDataset(f"alf/{side}Camera.ROIMotionEnergy.npy", energy)
            frames.setdefault(side, times_of(part))
        elif module == "lick_times" and name == "LickTimes":
            yield MadeDataset("alf/licks.times.npy", times_of(part))
        elif kind != "Skeletons":
            note(f"processing/{module}/{name} stays in the file")
    for side, columns in features.items():
        yield MadeDataset(f"alf/_ibl_{side}Camera.features.pqt", pd.DataFrame(columns))
    for side, times in frames.items():
        yield MadeDataset(f"alf/_ibl_{side}Camera.times.npy", times)


def frame_times_of(series: dict[str, Any]) -> Iterator[MadeDataset]:
    """Yield the times of videos' frames; their series are taken out.

    A video without frame times has one sample's time and no frames; it stays.
    """
    for name in sorted(series):
        side = _side(name)
        if name == f"Video{side.title()}Camera" and series[name].timestamps is not None:
            times = np.asarray(series.pop(name).timestamps, float)
            yield MadeDataset(f"alf/_ibl_{side}Camera.times.npy", times)


def _parts(nwb: Any) -> Iterator[tuple[str, str, Any]]:
    for module in TRACKED:
        if module in nwb.processing:
            for name, part in sorted(nwb.processing[module].data_interfaces.items()):
                yield module, name, part


def _side(name: str) -> str:
    """Return the camera that a name of our mapping is about; else an empty string."""
    found = re.fullmatch(
        rf"(?:PoseEstimation|Video)?({'|'.join(SIDES)})(?:Camera|Pupil).*", name, re.I
    )
    return found[1].lower() if found else ""


def _pose(
    part: Any,
    name: str,
    side: str,
    frames: dict[str, NDArray[np.float64]],
    note: Callable[[str], None],
) -> Iterator[MadeDataset]:
    """Yield the pose seen by a camera: columns ``PART_x``, ``PART_y``, ``PART_likelihood``."""
    nodes = [str(node) for node in part.skeleton.nodes[:]] if part.skeleton is not None else []
    by_title = {_words(node): node for node in nodes}
    columns: dict[str, NDArray[np.float64]] = {}
    times = np.empty(0)
    for series in part.pose_estimation_series.values():
        data = np.asarray(series.data, float)
        found = times_of(series)
        if columns and len(found) != len(times):
            note(f"{name}/{series.name} has other times than the parts before, and stays")
            continue
        times = found
        node = by_title.get(_words(series.name), camel(series.name))
        columns |= {f"{node}_{axis}": data[:, k] for k, axis in enumerate("xyz"[: data.shape[1]])}
        if series.confidence is not None:
            columns[f"{node}_likelihood"] = np.asarray(series.confidence, float)
    if not columns:
        note(f"{name} has no part of a body, and stays in the file")
        return
    table = pd.DataFrame(columns)
    if side:
        how = "dlc" if "deeplabcut" in str(part.source_software or "").lower() else "lightningPose"
        yield MadeDataset(f"alf/_ibl_{side}Camera.{how}.pqt", table)
        frames[side] = times
    else:
        yield MadeDataset(f"alf/nwb/_nwb_{camel(name)}.pose.pqt", table)
        yield MadeDataset(f"alf/nwb/_nwb_{camel(name)}.times.npy", times)


def _words(name: str) -> str:
    """Return a part's name without case and joints, by which a series finds its node."""
    return re.sub(r"[^0-9a-z]", "", name.lower())
