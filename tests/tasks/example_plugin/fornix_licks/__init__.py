"""Counts the licks that a lab's own protocol records."""

from pathlib import Path

import numpy as np

PIPELINE = Path(__file__).with_name("pipeline.toml")


def count(session, out, arguments):
    """Write the times of the licks, s, and nothing else."""
    raw = np.load(session / arguments["collection"] / "_lab_lickPiezo.raw.npy")
    licking = (raw > 0.5).astype(int)
    target = out / arguments["output_collection"] / "licks.times.npy"
    target.parent.mkdir(parents=True)
    np.save(target, np.flatnonzero(np.diff(licking) == 1) / 1000.0)
    return [target]
