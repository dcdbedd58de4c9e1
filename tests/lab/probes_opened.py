"""Open recordings of every kind of probe as the sorting task does, by the Python of sorters.

    python probes_opened.py ROOT FIXTURES SCRATCH

Real metadata, a tenth of a second of noise for each. Prints what was understood, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

root, fixtures, scratch = map(Path, sys.argv[1:])
sys.path.insert(0, str(root))

import numpy as np  # noqa: E402

from lab.tasks import sorters  # noqa: E402
from shared import recordings  # noqa: E402
from shared.recordings.spikeglx import read_meta  # noqa: E402

found = {}
for path in sorted(fixtures.glob("sample*.ap.meta")):
    meta = scratch / path.name
    lines = path.read_text().splitlines()  # of another file's size and content
    meta.write_text("\n".join(one for one in lines if not one.startswith(("fileS", "fileT"))))
    raw = meta.with_suffix(".bin")
    told = read_meta(raw)
    assert told is not None
    noise = np.random.default_rng(0).integers(-30, 30, (3000, told.n_channels))
    noise.astype(np.int16).tofile(raw)
    packed = raw.with_suffix(".ebin")
    recordings.compress(raw, packed)
    recording, sites = sorters.open_probe(packed, meta)
    clean, _ = sorters.destripe(recording)
    found[path.name.partition("_g0")[0]] = {
        "rate": recording.get_sampling_frequency(),
        "channels": clean.get_num_channels(),
        "shanks": len(set(recording.get_property("group"))),
        "deepest, highest": [float(sites.places[:, 1].min()), float(sites.places[:, 1].max())],
        "delays": len(set(recording.get_property("inter_sample_shift"))),
        "microvolts": float(recording.get_channel_gains()[0]),
        "std": float(clean.get_traces(end_frame=1000).std()),
    }
print(json.dumps(found))
