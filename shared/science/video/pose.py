"""Licks and the width of the pupil, from poses.

A pose table has three columns for each point, ``nose_tip_x``, ``_y`` (px) and ``_likelihood`` (0
to 1), and a row for each frame, as DeepLabCut and Lightning Pose write them at the IBL. Other
trackers may write them, too. The rules are those of ibllib 4.1.0 (``brainbox.behavior.dlc``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from shared.science.clocks.events import interpolate
from shared.science.clocks.pulses import Floats
from shared.science.errors import RawFileInvalid

Points = dict[str, Floats]
"""Coordinates by column, ``nose_tip_x``; NaN where the point is unlikely."""

LIKELY = 0.9
"""Least likelihood of a point."""

TONGUE = tuple(f"tongue_end_{side}_{axis}" for side in "lr" for axis in "xy")
"""Columns whose movement is a lick."""

PUPIL = ("top", "bottom", "left", "right")

SMOOTHED = {"left": (60.0, 31), "right": (150.0, 75)}
"""For each camera with an eye: frames a second, and frames in the smoothing window."""

DEGREE, OUTLIER, LONG_GAP, MOSTLY = 3, 5.0, 1.0, 0.9
"""Polynomial's degree; standard deviations of outliers; gap (s) not bridged; most NaN (share)."""


def points_of(table: Mapping[str, npt.ArrayLike], name: str = "the pose table") -> Points:
    """Return the coordinates of a pose table, unlikely ones as NaN.

    Raises
    ------
    RawFileInvalid
        A point lacks a column.
    """
    names = sorted(each.removesuffix("_x") for each in map(str, table) if each.endswith("_x"))
    if not names:
        raise RawFileInvalid(
            name, "it has no point: no column ends in _x", "write x, y, likelihood"
        )
    points: Points = {}
    for point in names:
        lacking = [axis for axis in ("y", "likelihood") if f"{point}_{axis}" not in table]
        if lacking:
            text = f"the point {point} has no column {point}_{lacking[0]}"
            raise RawFileInvalid(name, text, "write x, y and likelihood of each point")
        sure = np.asarray(table[f"{point}_likelihood"], float) >= LIKELY
        for axis in "xy":
            values = np.asarray(table[f"{point}_{axis}"], float)
            points[f"{point}_{axis}"] = np.where(sure, values, np.nan)
    return points


def licks(points: Points, times: Floats) -> Floats | None:
    """Return when the tongue moved; None for a pose without a tongue.

    Parameters
    ----------
    points : Points
        n frames.
    times : array
        Shape (n,) or longer, s.
    """
    if not set(TONGUE) <= points.keys():
        return None
    moved: set[int] = set()
    for name in TONGUE:
        steps = np.diff(points[name])
        if np.isfinite(steps).any():
            moved |= set(np.flatnonzero(np.abs(steps) > np.nanstd(steps) / 4).tolist())
    return times[sorted(moved)]


def pupil_diameter(points: Points) -> Floats | None:
    """Return the pupil's diameter in each frame (px); None for a pose without a pupil.

    The median of six estimates: both diameters, and those of the circle through the points by
    the four sides of the square between them.
    """
    if not all(f"pupil_{side}_r_{axis}" in points for side in PUPIL for axis in "xy"):
        return None
    top, bottom, left, right = (
        np.stack([points[f"pupil_{side}_r_{axis}"] for axis in "xy"]) for side in PUPIL
    )
    sides = [(top, left), (top, right), (bottom, left), (bottom, right)]
    estimates = [
        np.linalg.norm(top - bottom, axis=0),
        np.linalg.norm(left - right, axis=0),
        *(np.linalg.norm(a - b, axis=0) * np.sqrt(2) for a, b in sides),
    ]
    return _median(np.stack(estimates))


def _median(estimates: Floats) -> Floats:
    """Return the median of each frame's known estimates; NaN without any."""
    has_value = np.isfinite(estimates).any(axis=0)
    medians = np.full(estimates.shape[1], np.nan)
    medians[has_value] = np.nanmedian(estimates[:, has_value], axis=0)
    return medians


def smooth_pupil(diameter: Floats, camera: str) -> Floats:
    """Return the diameter without outliers, smoothed; gaps of up to a second are bridged.

    All is NaN if more than nine tenths are, or if there are fewer frames than in the window.
    """
    rate, window = SMOOTHED[camera]
    has_value = np.isfinite(diameter)
    if np.mean(~has_value) > MOSTLY or has_value.sum() < window:
        return np.full(diameter.size, np.nan)
    off = diameter - smoothed(diameter, window)
    without_outliers = np.where(np.abs(off) > OUTLIER * np.nanstd(off), np.nan, diameter)
    if np.isfinite(without_outliers).sum() < window:
        return np.full(diameter.size, np.nan)
    smooth = smoothed(without_outliers, window)
    steps = np.diff(np.isnan(without_outliers).astype(int))
    begins, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    for begin, end in zip(begins[: ends.size], ends, strict=False):
        if end - begin > rate * LONG_GAP:
            smooth[begin + 1 : end + 1] = np.nan
    return smooth


def smoothed(values: Floats, window: int) -> Floats:
    """Return values smoothed by polynomials over a window of known values.

    Unknown ones are interpolated, or extrapolated at the ends, linearly (a Savitzky-Golay filter
    for samples with gaps between them).
    """
    at = np.flatnonzero(np.isfinite(values))
    known_values = values[at]
    half = window // 2
    frames = np.lib.stride_tricks.sliding_window_view(at, window)
    away = (frames - at[half : at.size - half, None]).astype(float)
    powers = away[:, :, None] ** np.arange(DEGREE + 1)
    seen = np.lib.stride_tricks.sliding_window_view(known_values, window)
    normal = np.einsum("nwi,nwj->nij", powers, powers)
    weights = np.linalg.solve(normal, np.einsum("nwi,nw->ni", powers, seen)[..., None])[..., 0]
    smooth = np.empty(known_values.size)
    smooth[half : known_values.size - half] = weights[:, 0]
    # The outermost polynomials hold at the ends.
    first, last = (at[:half] - at[half])[:, None], (at[-half:] - at[-half - 1])[:, None]
    smooth[:half] = first ** np.arange(DEGREE + 1) @ weights[0]
    smooth[-half:] = last ** np.arange(DEGREE + 1) @ weights[-1]
    every = np.arange(values.size, dtype=float)
    return interpolate(every, at.astype(float), smooth)
