"""Places of a probe's sites in the brain, from its track.

The rules are those of the IBL (ibllib 4.1.0, ``EphysAlignment`` and ``get_aligned_channels``): the
picked points are the track, which goes on beyond them to the edges of the atlas; depths of the
recording are warped onto the track; sites lie along it. Coordinates are ML, AP, DV from bregma.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.model.histology import HistologyRecord
from shared.science.errors import RawFileInvalid

Floats = npt.NDArray[np.float64]

TIP = 200.0
"""Distance of the tip from where depths begin (µm)."""

FIRST_SITE = 20.0
"""Depth of the deepest site in the IBL's coordinates of sites (µm); here it is 0."""

ATLAS_TOP, ATLAS_BOTTOM = 332e-6, -7643e-6
"""Upper and lower edge of the 25 µm atlas (m)."""

FEWEST = 4
"""Points at either end of a track that tell how it goes on; or a quarter of all."""


def places_of_sites(record: HistologyRecord, depths: Floats) -> npt.NDArray[np.int32]:
    """Return the places of a probe's sites.

    Parameters
    ----------
    record : HistologyRecord
    depths : array
        Shape (n,): µm up from the deepest site.

    Returns
    -------
    array
        Shape (n, 3), µm from bregma, cut to whole ones as the IBL does.

    Raises
    ------
    RawFileInvalid
        The record tells no track, or no alignment.
    """
    picks = np.asarray(record.picks, float).reshape(-1, 3) / 1e6
    if len(np.unique(picks, axis=0)) < 2 or not np.isfinite(picks).all():
        raise _unusable("its track has fewer than two points")
    at = (depths + FIRST_SITE) / 1e6
    if not record.feature:
        sorted_picks = picks[np.argsort(picks[:, 2])]
        return _whole(along(sorted_picks, (depths + FIRST_SITE + TIP) / 1e6))
    feature, track = (np.asarray(each, float) for each in (record.feature, record.track))
    sound = feature.shape == track.shape and feature.size > 1 and np.isfinite(track).all()
    if sound:
        order = np.argsort(feature)
        feature, track = feature[order], track[order]
    if not (sound and np.all(np.diff(feature) > 0)):
        raise _unusable(f"the alignment {record.key!r} has no depths that belong together")
    whole = extended(picks)
    # depths on the track count from the tip of the picked one, which is its second point
    below = np.linalg.norm(whole[1] - whole[0]) + TIP / 1e6
    return _whole(along(whole, _warped(at, feature, track) + below))


def along(track: Floats, distances: Floats) -> Floats:
    """Return the points of a track at distances from its first point, not beyond its ends."""
    steps = np.linalg.norm(np.diff(track, axis=0), axis=1)
    covered = np.concatenate([[0.0], np.cumsum(steps)])
    return np.column_stack([np.interp(distances, covered, track[:, axis]) for axis in range(3)])


def extended(picks: Floats) -> Floats:
    """Return a track from the lower edge of the atlas to the upper one, deepest point first.

    Parameters
    ----------
    picks : array
        Shape (n, 3), m; from the entry or from the tip.
    """
    number = max(FEWEST, round(len(picks) / 4))
    entry = _at_height(*_line(picks[:number]), ATLAS_TOP)
    lowest = _at_height(*_line(picks[-number:]), ATLAS_BOTTOM)
    track = np.concatenate([lowest[None], picks, entry[None]])
    return track[np.argsort(track[:, 2])]


def _line(points: Floats) -> tuple[Floats, Floats]:
    """Return a point and the direction of the line that fits points best."""
    middle = points.mean(axis=0)
    return middle, np.linalg.svd(points - middle)[2][0]


def _at_height(point: Floats, direction: Floats, height: float) -> Floats:
    if direction[2] == 0:
        raise _unusable("its track lies flat: it never leaves the brain")
    return (height - point[2]) * direction / direction[2] + point


def _warped(depths: Floats, feature: Floats, track: Floats) -> Floats:
    """Return depths on the track; beyond the outer pairs the outer pieces continue."""
    right = np.clip(np.searchsorted(feature, depths), 1, feature.size - 1)
    slope = (track[right] - track[right - 1]) / (feature[right] - feature[right - 1])
    return track[right - 1] + slope * (depths - feature[right - 1])


def _whole(places: Floats) -> npt.NDArray[np.int32]:
    return (places * 1e6).astype(np.int32)


def _unusable(why: str) -> RawFileInvalid:
    fix = "register the track of the probe again, and its alignment"
    return RawFileInvalid("the histology of the probe", why, fix)
