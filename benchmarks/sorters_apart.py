"""Sort a probe as `ephys.sort` does, by the Python of sorters.

    python sorters_apart.py ROOT RECORDING SORTER OUT

Writes samples and units of the spikes, and the seconds that it took.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

root, recording, sorter, out = sys.argv[1:]
sys.path.insert(0, root)

import numpy as np  # noqa: E402

if __name__ == "__main__":
    from lab.tasks.sorters import SortingChoice, sort_probe

    logging.basicConfig(level="INFO", format="%(message)s")
    logging.getLogger("numba").setLevel("WARNING")
    path, began = Path(recording), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        choice = SortingChoice(sorter, {})
        found = sort_probe(path, path.with_suffix(".meta"), choice, Path(scratch))
    seconds = time.monotonic() - began
    np.savez(out, samples=found.samples, units=found.units, seconds=seconds)
