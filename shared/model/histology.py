"""What histology knows of a probe, as Alyx's records have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

ALIGNED = "Ephys aligned histology track"
"""Provenance of a trajectory whose depths were aligned with the recording."""


class HistologyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The traced track of a probe, and its alignment with the recording.

    Attributes
    ----------
    picks
        Points of the track in the brain, shape (n, 3): ML, AP, DV in µm from bregma.
    feature, track
        Depths that belong together in the recording and on the track, m from the deepest site;
        without any the track is taken as it was traced.
    key
        Name of the alignment: when, and who.
    """

    picks: tuple[tuple[float, float, float], ...]
    feature: tuple[float, ...] = ()
    track: tuple[float, ...] = ()
    key: str = ""


class _Quality(msgspec.Struct, frozen=True):
    alignment_resolved: bool = False
    alignment_stored: str = ""


class _Insertion(msgspec.Struct, frozen=True):
    xyz_picks: tuple[tuple[float, float, float], ...] = ()
    extended_qc: _Quality = _Quality()


def resolved(insertion: Any, alignments: Any) -> HistologyRecord | None:
    """Return what histology has decided about a probe; None before that.

    The IBL writes places of sites into files when the alignments of a probe agree, or a person has
    decided between them (ibllib 4.1.0, ``AlignmentQC``: ``alignment_resolved``). Until then they
    are no data: brainbox computes them from the records, and calls them traced or aligned.

    Parameters
    ----------
    insertion
        ``json`` of the insertion: ``xyz_picks``, and ``extended_qc`` with ``alignment_resolved``
        and the key ``alignment_stored``.
    alignments
        ``json`` of its aligned trajectory: feature and track by key.
    """
    try:
        about = msgspec.convert(insertion or {}, _Insertion)
        key = about.extended_qc.alignment_stored
        if not (about.extended_qc.alignment_resolved and about.xyz_picks and key):
            return None
        if not isinstance(alignments, Mapping):
            return None
        feature, track = (
            msgspec.convert(one, tuple[float, ...]) for one in list(alignments[key])[:2]
        )
    except (msgspec.ValidationError, KeyError, TypeError, ValueError):
        return None
    return HistologyRecord(about.xyz_picks, feature, track, key)
