"""Memory of an NWB export of a raw recording: its peak must not grow with the recording.

    python benchmarks/nwb_memory.py [--seconds 60 600] [--channels 384] [--gzip 4]

The codec writes recordings of several lengths (one simulated second, repeated). Each is exported
as by `fornix export nwb --raw`, in a process of its own, and its peak memory is printed. An hour
of 384 channels is 83 GB of samples, which are never stored uncompressed here: 3,600 chunks are
decoded, and written as 10,800 ones. The values compress well, and ``--gzip 1`` compresses them
twice as fast; neither affects memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from shared import codec

RATE = 30_000
QUIET = 48
"""One of this many channels has noise; the others are zero, which saves time and space."""

META = """typeThis=imec
nSavedChans={saved}
imSampRate=30000
imAiRangeMax=0.6
imMaxInt=512
imDatPrb_type=0
acqApLfSy=384,384,1
snsApLfSy={channels},0,1
snsSaveChanSubset=0:{last},768
~imroTbl={imro}
"""

IMRO = "(0,384)" + "".join(f"({channel} 0 0 500 250 1)" for channel in range(384))

WHERE = "fimbrialab/Subjects/FI_001/2024-07-01/001"


def write_session(root: Path, seconds: int, channels: int) -> Path:
    """Write a session with one recording; return its folder."""
    folder = root / WHERE
    place = folder / "raw_ephys_data/probe00"
    place.mkdir(parents=True)
    (root / "subjects.json").write_text(
        json.dumps({"FI_001": {"sex": "F", "birth_date": "2024-03-01"}})
    )
    second = np.zeros((RATE, channels + 1), np.int16)
    busy = second[:, ::QUIET]
    busy[:] = np.random.default_rng(0).normal(0, 4, busy.shape)
    path = place / "_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
    with codec.Writer(path, channels + 1, "int16", RATE, level="fast", check=False) as writer:
        for _ in range(seconds):
            writer.append(second)
    path.with_suffix(".meta").write_text(
        META.format(channels=channels, saved=channels + 1, last=channels - 1, imro=IMRO)
    )
    return folder


EXPORT = """
import resource, sys
from pathlib import Path
import msgspec
from pynwb import H5DataIO
from lab.exports.folder import FolderSession
from lab.exports.nwb.backends import backend
from lab.exports.nwb.export import export_raw
session, level = FolderSession(Path(sys.argv[1])), int(sys.argv[3])
way = backend("hdf5", compress=level > 0)
if level:
    def gzip(chunks):
        return H5DataIO(chunks, compression="gzip", compression_opts=level, shuffle=True)
    way = msgspec.structs.replace(way, compressed=gzip)
export_raw(session, Path(sys.argv[2]), way)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""As `fornix export nwb --raw`, with a level of gzip to choose."""


def main() -> None:
    """Write, export and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, nargs="+", default=[60, 600])
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--most", type=float, default=2.0, help="GB that the peak may have")
    parser.add_argument("--gzip", type=int, default=4, help="level; 0 does not compress")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    peaks = {}
    for seconds in options.seconds:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            root = Path(folder)
            session = write_session(root / "data", seconds, options.channels)
            began = time.perf_counter()
            paths = (str(session), str(root / "out"), str(options.gzip))
            run = [sys.executable, "-c", EXPORT, *paths]
            done = subprocess.run(run, capture_output=True, text=True, check=True)
            took = time.perf_counter() - began
            peaks[seconds] = int(done.stdout.split()[-1]) / 1e6
            size = sum(path.stat().st_size for path in (root / "out").rglob("*.nwb")) / 1e9
        print(
            f"{seconds:6} s of {options.channels} channels: {peaks[seconds]:.2f} GB at the peak, "
            f"a file of {size:.1f} GB in {took:.0f} s",
            flush=True,
        )
    if max(peaks.values()) > options.most:
        raise SystemExit(f"more than {options.most} GB")


if __name__ == "__main__":
    main()
