"""Finds a paw by its brightness: the smallest tracker there is, without a model or a GPU.

The table is as every tracker's: x, y (px) and likelihood (0 to 1) of each point, a row a frame.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lab.tasks.films import find_film, open_film

PIPELINE = Path(__file__).with_name("pipeline.toml")

BRIGHT = 200
"""Brightness from which on a pixel is the paw's."""

LEAST = 6
"""Pixels of a paw that is surely there."""


def where(frame):
    """Return x, y and likelihood of the paw in a frame: the middle of what is bright."""
    part = frame[: int(frame.shape[0] * 0.9)].astype(float)
    weight = np.clip(part - BRIGHT, 0, None)
    if not weight.any():
        return np.nan, np.nan, 0.0
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    total = weight.sum()
    likelihood = min(1.0, np.count_nonzero(weight) / LEAST)
    return (x * weight).sum() / total, (y * weight).sum() / total, likelihood


def track(session, out, arguments):
    """Follow the paw through the film of the left camera."""
    with open_film(find_film(session / "raw_video_data", "left")) as film:
        found = np.array([where(frame) for frame in film.frames()])
    target = out / "alf" / "_lab_leftCamera.pose.pqt"
    target.parent.mkdir(parents=True, exist_ok=True)
    names = ["paw_r_x", "paw_r_y", "paw_r_likelihood"]
    pd.DataFrame(found, columns=names).to_parquet(target)
    return [target]
