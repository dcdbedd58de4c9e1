"""The task that sorts the spikes of a probe, in its own environment."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

if TYPE_CHECKING:
    from shared.science.ephys.sorted_probe import SortedProbe

log = logging.getLogger(__name__)


def sort(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Sort the spikes of a probe, and bring them to the main clock.

    Parameters
    ----------
    session, out
        Folders of inputs and outputs.
    arguments
        ``collection``, ``output_collection``; ``sorter``, by SpikeInterface;
        ``parameters`` of the sorter (a JSON object); ``motion``: ``auto`` (corrected where the
        tissue moves), ``on`` or ``off``.

    Raises
    ------
    ExtractionError
        There is no recording, or several; clock or sites are missing.
    """
    from lab.tasks import sorters
    from lab.tasks.recordings import open_recording
    from shared.alf.io import save

    folder = session / arguments["collection"]
    with open_recording(folder, "imec", "ap") as recording:
        path, meta = recording.path, recording.path.with_suffix(".meta")
    main = main_clock(folder, path.name.partition(".ap.")[0])
    choice = sorters.SortingChoice(
        arguments["sorter"], json.loads(arguments["parameters"] or "{}"), arguments["motion"]
    )
    with tempfile.TemporaryDirectory() as scratch:
        sorted_probe = sorters.sort_probe(path, meta, choice, Path(scratch))
    files = sorted_probe.files(main)
    target = out / arguments["output_collection"]
    paths = [save(target / name, content) for name, content in files.items()]
    return Outputs(paths, RunFacts(extended_qc=_told(folder.name, sorted_probe, files)))


def main_clock(folder: Path, stem: str) -> Callable[[Any], Any]:
    """Return a function from samples of a probe to the main clock's time (s).

    Parameters
    ----------
    folder
        Folder of the recording.
    stem
        Name of the recording without the band; other files of times lie beside it.

    Raises
    ------
    RawFileMissing
        The clocks were not aligned.
    """
    import numpy as np

    from shared.science.clocks.events import interpolate
    from shared.science.errors import RawFileMissing

    path = folder / f"{stem}.timestamps.npy"
    if not path.is_file():
        raise RawFileMissing("the probe's clock", f"no {path.name}", "run ephys.align")
    samples, seconds = np.load(path).T
    return lambda at: interpolate(at, samples, seconds)


def _told(
    probe: str, found: SortedProbe, files: Mapping[str, Any]
) -> dict[str, float | str | None]:
    labels = files["clusters.metrics.pqt"]["label"].to_numpy(float)
    good = int((labels == 1).sum())
    log.info("%d units, %d good, %d spikes", found.n_units, good, found.samples.size)
    name = f"_sorting_{probe}"
    return {
        f"{name}_units": float(found.n_units),
        f"{name}_good_units": float(good),
        f"{name}_spikes": float(found.samples.size),
        f"{name}_bad_channels": float((found.sites.labels > 0).sum()),
        f"{name}_motion_um": None if found.motion is None else float(abs(found.motion[1]).max()),
    }
