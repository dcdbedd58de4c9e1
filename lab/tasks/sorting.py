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
    from shared.science.ephys.sorted_probe import Sites, SortedProbe

log = logging.getLogger(__name__)

SITES = ("localCoordinates", "mlapdv", "brainLocationIds_ccf_2017")
"""Histology's attributes of the sites of a probe (``electrodeSites``)."""


def sort(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Sort the spikes of a probe, and bring them to the main clock.

    Parameters
    ----------
    session, out
        Folders of inputs and outputs.
    arguments
        ``collection``, ``site_collection``, ``output_collection``; ``sorter``, by SpikeInterface;
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
    files = sorted_probe.files(main) | _located(
        session / arguments["site_collection"], sorted_probe.sites
    )
    files |= _of_units(files)
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


def _located(folder: Path, sites: Sites) -> dict[str, Any]:
    """Return the channels' places in the brain, if histology knows them for the probe."""
    import numpy as np

    from shared.science.ephys.sorted_probe import located

    paths = [folder / f"electrodeSites.{name}.npy" for name in SITES]
    if not all(path.is_file() for path in paths):
        return {}
    points, regions = located(sites.places, *map(np.load, paths))
    return {
        "channels.mlapdv.npy": points,
        "channels.brainLocationIds_ccf_2017.npy": regions,
    }


def _of_units(files: Mapping[str, Any]) -> dict[str, Any]:
    """Return the units' places: those of the channels of their peaks."""
    peaks = files["clusters.channels.npy"]
    return {
        name.replace("channels.", "clusters."): files[name][peaks]
        for name in ("channels.mlapdv.npy", "channels.brainLocationIds_ccf_2017.npy")
        if name in files
    }


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
