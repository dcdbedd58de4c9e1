"""Load sorted spikes with brainbox, unmodified, and compute its metrics: run by ibllib's Python.

    python loaded_by_brainbox.py CACHE PROBE METRICS

Prints what was loaded, and how far each column of our metrics is from brainbox's, as JSON.
"""

from __future__ import annotations

import json
import sys
import types
import warnings

import numpy as np
import pandas as pd
from brainbox.io.one import SpikeSortingLoader
from brainbox.metrics.single_units import quick_unit_metrics
from iblatlas.regions import BrainRegions
from one.api import One

warnings.simplefilter("ignore")
cache, probe, metrics = sys.argv[1:]
one = One.setup(cache_dir=cache, hash_files=True, silent=True)
datasets = one._cache["datasets"]
datasets["default_revision"] = True
one._cache["datasets"] = datasets
(eid,) = one.search()
# An atlas is given, or the whole Allen volume is downloaded.
atlas = types.SimpleNamespace(regions=BrainRegions())
loader = SpikeSortingLoader(one=one, eid=eid, pname=probe, atlas=atlas)
spikes, clusters, channels = loader.load_spike_sorting()
merged = loader.merge_clusters(spikes, clusters, channels)
ours = pd.read_parquet(metrics)
cluster_ids = ours["cluster_id"].to_numpy()
theirs = quick_unit_metrics(
    spikes["clusters"], spikes["times"], spikes["amps"], spikes["depths"], cluster_ids=cluster_ids
)
apart = {}
for name, values in theirs.items():
    own, other = ours[name].to_numpy(float), np.asarray(values, float)
    both = np.isfinite(own) & np.isfinite(other)
    same_gaps = bool((np.isnan(own) == np.isnan(other)).all())
    apart[name] = float(np.abs(own - other)[both].max(initial=0)) if same_gaps else None
times = loader.samples2times(np.array([0, 30_000, 60_000]))
print(
    json.dumps(
        {
            "sorter": loader.spike_sorter,
            "collection": loader.collection,
            "spikes": {name: list(values.shape) for name, values in spikes.items()},
            "clusters": sorted(merged),
            "labels": np.asarray(merged["label"], float).tolist(),
            "channels": {name: list(np.shape(v)) for name, v in channels.items()},
            "samples2times": times.tolist(),
            "apart": apart,
        }
    )
)
