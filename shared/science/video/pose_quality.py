"""The quality of a camera's pose, by the checks of the IBL pipeline and under their names.

The rules are those of ibllib 4.1.0 (``DlcQC``, ``LpQC``), which stores them as
``_dlcLeft_lick_detection`` and similar. A check whose points, camera or trials are not there is
``NOT_SET``; ibllib ends with an error there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.science.clocks.pulses import Floats
from shared.science.video.pose import Points
from shared.science.video.quality import Told, told

BOXES = {
    "body": ((201, 500), (81, 330)),
    "left": ((301, 700), (181, 470)),
    "right": ((301, 600), (110, 275)),
}
"""For each camera of IBL's rigs: from where to where the mean of all points is, in x and y (px);
the second bound is excluded."""

OF_IBL = ("dlc", "lightningPose")
"""Trackers of the IBL: their points are in the pictures of its rigs."""

ALWAYS_OUT = 0.1
"""The tongue is mostly in the mouth: with fewer unknown frames something else is tracked."""

MOSTLY_BLOCKED, UNSTABLE = 0.9, {"left": 10.0, "right": 5.0}
"""Share of frames without a pupil; standard deviation of its width (px)."""

CLEAR = {"left": 10.0, "right": 5.0}
"""Least variance of the smoothed pupil, by that of its noise."""

HIDDEN, OFTEN_HIDDEN = 0.10, 0.20
"""Share of frames without a paw around the stimulus: a warning, failed."""

BEFORE, LENGTH = -0.5, 2.0
"""Begin of the window around the stimulus, and its length (s)."""

RATES = {"left": 60, "right": 150}
"""Frames a second by which the window is counted."""

PAWS = {"paw_close_nan": "paw_r", "paw_far_nan": "paw_l"}
"""Points of the paws, by their check."""


@dataclass(frozen=True)
class Pose:
    """A camera's pose, and what its checks need beside it.

    Attributes
    ----------
    camera, tracker : str
        ``left``; ``dlc``, ``lightningPose`` or ``pose``.
    points : Points
        NaN where a point is unlikely; n frames.
    times : array
        Times of the film's frames, s.
    pupil, smooth_pupil : array, optional
        Shape (n,), px.
    stimuli : array, optional
        When stimuli appeared, s.
    """

    camera: str
    tracker: str
    points: Points
    times: Floats
    pupil: Floats | None = None
    smooth_pupil: Floats | None = None
    stimuli: Floats | None = None


def summary_of(pose: Pose) -> dict[str, Any]:
    """Return the checks in Alyx's form: ``{"dlcLeft": "PASS", "_dlcLeft_trace_all_nan": …}``.

    As in ibllib, the pupil's signal-to-noise ratio does not count in the outcome.
    """
    name = f"{pose.tracker}{pose.camera.capitalize()}"
    checks = checks_of(pose)
    counted = {check: value for check, value in checks.items() if check != "pupil_diameter_snr"}
    return told(name, checks) | {name: told(name, counted)[name]}


def checks_of(pose: Pose) -> dict[str, Told]:
    """Judge a pose; the pupil and the paws only if DeepLabCut tracked them, as in ibllib."""
    checks: dict[str, Told] = {
        "lick_detection": [_tongue(pose)],
        "mean_in_bbox": [_in_box(pose)],
        "time_trace_length_match": [_passed(pose.times.size == _n_frames(pose.points))],
        "trace_all_nan": [_passed(not _lost(pose.points))],
    }
    if pose.tracker == "dlc":
        checks |= {check: [_paw(pose, point)] for check, point in PAWS.items()}
        checks |= {"pupil_blocked": [_blocked(pose)], "pupil_diameter_snr": _clear(pose)}
    return checks


def _passed(good: bool) -> str:
    return "PASS" if good else "FAIL"


def _n_frames(points: Points) -> int:
    return next(iter(points.values())).size


def _lost(points: Points) -> list[str]:
    """Return the coordinates that are never known, those of the tube left out."""
    return [name for name, at in points.items() if "tube" not in name and np.isnan(at).all()]


def _in_box(pose: Pose) -> str:
    """Judge the mean of all points over all frames."""
    if pose.camera not in BOXES or pose.tracker not in OF_IBL:
        return "NOT_SET"
    box = dict(zip("xy", BOXES[pose.camera], strict=True))
    for axis, (first, end) in box.items():
        known = [
            np.nanmean(at)
            for name, at in pose.points.items()
            if name.endswith(f"_{axis}") and np.isfinite(at).any()
        ]
        if not known:
            return "NOT_SET"
        if not first <= int(np.mean(known)) < end:
            return "FAIL"
    return "PASS"


def _tongue(pose: Pose) -> str:
    """Judge whether what is followed can be a tongue, which is not always out."""
    edges = [pose.points.get(f"tongue_end_{side}_x") for side in "lr"]
    if pose.camera == "body":
        return "NOT_SET"
    unknown = [np.isnan(at).mean() for at in edges if at is not None]
    if len(unknown) < len(edges):
        return "NOT_SET"
    return _passed(max(unknown) >= ALWAYS_OUT)


def _blocked(pose: Pose) -> str:
    """Judge how often the pupil is seen, and how steady its width is."""
    if pose.pupil is None or pose.camera not in UNSTABLE:
        return "NOT_SET"
    known = pose.pupil[np.isfinite(pose.pupil)]
    if 1 - known.size / pose.pupil.size > MOSTLY_BLOCKED:
        return "FAIL"
    return _passed(bool(np.std(known) <= UNSTABLE[pose.camera]))


def _clear(pose: Pose) -> Told:
    """Judge the variance of the smoothed pupil by that of what was smoothed away."""
    if pose.pupil is None or pose.smooth_pupil is None or pose.camera not in CLEAR:
        return ["NOT_SET"]
    both = np.isfinite(pose.pupil) & np.isfinite(pose.smooth_pupil)
    smooth = pose.smooth_pupil[both]
    noise = np.var(smooth - pose.pupil[both]) if both.any() else 0.0
    if not noise:
        return ["NOT_SET"]
    ratio = float(np.var(smooth) / noise)
    return [_passed(ratio >= CLEAR[pose.camera]), round(ratio, 3)]


def _paw(pose: Pose, point: str) -> str:
    """Judge in how many frames around the stimuli a paw is not seen."""
    at = pose.points.get(f"{point}_x")
    if at is None or pose.camera not in RATES or pose.stimuli is None:
        return "NOT_SET"
    begins = pose.stimuli[np.isfinite(pose.stimuli)] + BEFORE
    firsts = _nearest(pose.times, begins)
    if not firsts.any():  # no stimulus was shown while the film ran
        return "NOT_SET"
    length = int(LENGTH * RATES[pose.camera])
    seen = np.concatenate([at[first : first + length] for first in firsts])
    unknown = np.isnan(seen).mean() if seen.size else 1.0
    if unknown > OFTEN_HIDDEN:
        return "FAIL"
    return "WARNING" if unknown > HIDDEN else "PASS"


def _nearest(times: Floats, values: Floats) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the frame nearest to each moment."""
    if not times.size:
        return np.zeros(values.size, np.intp)
    after = np.minimum(np.searchsorted(times, values), times.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(values - times[before]) < np.abs(values - times[after])
    return np.where(nearer, before, after)
