"""How many neurons sorters find, over several simulated probes: ``make sorters``.

    python -m benchmarks.sorters [--seeds 11 12 13] [--sorters tridesclous2 spykingcircus2]

Each seed is another probe of 64 sites with about 29 neurons in a minute, sorted as the task
`ephys.sort` sorts (destriped, motion, the sorter) in its own environment. A neuron
counts as found with an agreement of 0.8 (SpikeInterface's ``well_detected_score``); which are well
isolated is said in `tests.lab.sorting_truth`, and was decided before the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from lab.simulate.board import BoardClock
from lab.simulate.ephys import PROBE, EphysRig, add_probe
from lab.simulate.recording import RATE, ProbeDrift
from lab.simulate.session import simulate_session
from lab.worker.environments import Environments
from shared import recordings
from tests.lab.sorting_truth import TrueUnit, compare

ENVIRONMENT = "ephys-sorting"
CHANNELS, UNITS, TRIALS = 64, 180, 14
DRIFT = ProbeDrift(offset=0.004, drift=-12.0)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sorted:
    """What a sorter made of a probe: the neurons, its number of units, and its seconds."""

    seed: int
    sorter: str
    neurons: list[TrueUnit]
    n_units: int
    seconds: float

    @property
    def isolated(self) -> list[TrueUnit]:
        """The well-isolated neurons."""
        return [unit for unit in self.neurons if unit.isolated]

    @property
    def found(self) -> int:
        """Number of the well-isolated neurons that were found."""
        return sum(unit.found for unit in self.isolated)


def main() -> None:
    """Sort every probe by every sorter, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--sorters", nargs="+", default=["tridesclous2", "spykingcircus2"])
    parser.add_argument("--json", type=Path, help="write every neuron's agreement to a file")
    asked = parser.parse_args()
    python = Environments().make(ENVIRONMENT) / "bin" / "python"
    results = []
    print("seed  sorter            isolated  found  of all   units  seconds", flush=True)
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as folder:
            true, path = simulated(seed, Path(folder))
            for sorter in asked.sorters:
                result = sort(python, seed, sorter, true, path)
                results.append(result)
                every = f"{sum(unit.found for unit in result.neurons)}/{len(result.neurons)}"
                print(
                    f"{seed:4}  {sorter:16} {len(result.isolated):9} {result.found:6}"
                    f"  {every:>6} {result.n_units:7} {result.seconds:8.0f}",
                    flush=True,
                )
                for unit in result.isolated:
                    if not unit.found:
                        print(
                            f"      lost: {unit.volts * 1e6:.0f} µV, {unit.n_spikes} spikes at "
                            f"{unit.depth:.0f} µm, agreement {unit.agreement:.2f}; its waveform's "
                            f"cosine with the most similar one is {unit.likeness:.2f}",
                            flush=True,
                        )
    for sorter in asked.sorters:
        of_it = [result for result in results if result.sorter == sorter]
        found, there = (
            sum(r.found for r in of_it), sum(len(r.isolated) for r in of_it)
        )  # fmt: skip
        print(f"{sorter}: {found} of {there} well-isolated neurons, {100 * found / there:.0f} %")
    if asked.json:
        asked.json.write_text(json.dumps([_told(result) for result in results], indent=1))


def simulated(seed: int, folder: Path) -> tuple[dict[str, np.ndarray], Path]:
    """Return the spikes of a simulated probe, and the path of its compressed recording."""
    board = BoardClock(offset=4.0, drift=50.0)
    rig = EphysRig(board, DRIFT, channels=CHANNELS, units=UNITS)
    truth = simulate_session(
        folder, seed=seed, subject="SYN_001", date=date(2024, 1, 8), protocol="biased",
        n_trials=TRIALS, performance=0.9, board=board,
    )  # fmt: skip
    true = add_probe(truth, rig, seed=seed)
    (raw,) = (truth.session / "raw_ephys_data" / PROBE).glob("*.ap.bin")
    packed = raw.with_suffix(".ebin")
    recordings.compress(raw, packed)
    return true, packed


def sort(python: Path, seed: int, sorter: str, true: dict[str, np.ndarray], path: Path) -> Sorted:
    """Sort a recording in the environment of sorters, and compare."""
    out = path.with_name(f"{sorter}.npz")
    script = Path(__file__).with_name("sorters_apart.py")
    subprocess.run([python, script, ROOT, path, sorter, out], check=True)
    with np.load(out) as found:
        # the probe reads offset + t * (1 + drift) at the main clock's t
        times = (found["samples"] / RATE - DRIFT.offset) / (1 + DRIFT.drift * 1e-6)
        spikes = {"times": times, "clusters": found["units"]}
        seconds = float(found["seconds"])
    highest = float(true["channels.localCoordinates.npy"][CHANNELS - 1, 1])
    neurons = list(compare(true, spikes, highest, float(times.max())))
    return Sorted(seed, sorter, neurons, len(np.unique(spikes["clusters"])), seconds)


def _told(result: Sorted) -> dict[str, object]:
    return {
        "seed": result.seed,
        "sorter": result.sorter,
        "units": result.n_units,
        "seconds": round(result.seconds, 1),
        "neurons": [
            {
                "number": unit.number,
                "depth_um": round(unit.depth, 1),
                "amplitude_uv": round(unit.volts * 1e6, 1),
                "spikes": unit.n_spikes,
                "isolated": bool(unit.isolated),
                "agreement": round(unit.agreement, 3),
                "likeness": round(unit.likeness, 3),
            }
            for unit in result.neurons
        ],
    }


if __name__ == "__main__":
    main()
