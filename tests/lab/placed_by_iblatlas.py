"""Places of sites by ibllib and iblatlas, and channels by brainbox: run by ibllib's Python.

    python placed_by_iblatlas.py CASES.json VOLUME.npy CACHE PROBE

Prints places and regions of each case, and what brainbox loads of the probe, as JSON.
"""

from __future__ import annotations

import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np
from brainbox.io.one import SpikeSortingLoader
from iblatlas.atlas import ALLEN_CCF_LANDMARKS_MLAPDV_UM, AllenAtlas, BrainAtlas
from iblatlas.regions import BrainRegions
from ibllib.pipes import histology
from ibllib.pipes.ephys_alignment import TIP_SIZE_UM, EphysAlignment
from one.api import One

warnings.simplefilter("ignore")
cases, volume, cache, probe = sys.argv[1:]
allen, regions = AllenAtlas(25, mock=True), BrainRegions()

# As AllenAtlas does with the volume of the Allen Institute: numbers become rows of its table.
numbers = np.load(volume)
edge = 13_200 / numbers.shape[0]
rows = np.searchsorted(np.sort(regions.id), numbers)
rows = np.argsort(regions.id)[rows].astype(np.uint16)
axes = np.array([1, 0, 2])
made = BrainAtlas(
    rows, rows, edge * 1e-6 * np.array([1, -1, -1]), regions,
    ALLEN_CCF_LANDMARKS_MLAPDV_UM["bregma"] / edge, dims2xyz=axes, xyz2dims=axes,
)  # fmt: skip


def placed(case: dict) -> dict:
    """Return the places of the sites of a case, and their regions."""
    picks, depths = np.array(case["picks"]) / 1e6, np.array(case["depths"])
    if case["feature"]:
        feature, track = np.array(case["feature"]), np.array(case["track"])
        aligned = EphysAlignment(
            picks, depths, track_prev=track, feature_prev=feature, brain_atlas=allen, speedy=True
        )
        xyz = aligned.get_channel_locations(feature, track)
    else:
        picks = picks[np.argsort(picks[:, 2])]
        xyz = histology.interpolate_along_track(picks, (depths + TIP_SIZE_UM) / 1e6)
    places = np.int32(xyz * 1e6)
    at = made.regions.get(made.get_labels(places / 1e6, mode="clip"))
    return {"places": places.tolist(), "regions": at["id"].tolist()}


one = One.setup(cache_dir=cache, hash_files=True, silent=True)
one._cache["datasets"]["default_revision"] = True
(eid,) = one.search()
atlas = types.SimpleNamespace(regions=regions)
loader = SpikeSortingLoader(one=one, eid=eid, pname=probe, atlas=atlas)
spikes, clusters, channels = loader.load_spike_sorting()
merged = loader.merge_clusters(spikes, clusters, channels)
print(
    json.dumps(
        {
            "cases": [placed(case) for case in json.loads(Path(cases).read_text())],
            "histology": loader.histology,
            "channels": {
                name: np.asarray(channels[name]).tolist() for name in ("x", "z", "acronym")
            },
            "units": {
                name: np.asarray(merged[name]).tolist() for name in ("atlas_id", "acronym", "z")
            },
        }
    )
)
