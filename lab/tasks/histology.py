"""The tasks of histology: where a probe's sites, channels and units are in the brain."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lab.tasks.outputs import Outputs
from lab.tasks.trouble import MachineTrouble

if TYPE_CHECKING:
    import numpy as np

    from shared.science.histology.annotation import Annotation

log = logging.getLogger(__name__)

ATLAS = "FORNIX_ATLAS"
"""Variable with the path of the atlas's volume of regions (``annotation_25.nrrd``)."""


def sites(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find where the sites of a probe lie, by its track, the alignment and the atlas.

    Raises
    ------
    MachineTrouble
        There is no atlas on this computer.
    ExtractionError
        The record of histology, the sites in the ``.meta`` or the atlas cannot be used.
    """
    import numpy as np

    from shared.alf.io import save
    from shared.model.histology import HistologyRecord
    from shared.science.errors import RawFileInvalid
    from shared.science.histology.places import places_of_sites

    atlas = _annotation(_atlas_file())
    try:
        record = msgspec.json.decode(arguments["histology"], type=HistologyRecord)
    except msgspec.DecodeError as error:
        fix = "resolve the alignment of the probe again: the server then gives the record"
        raise RawFileInvalid("the histology of the probe", f"{error}", fix) from None
    local = _sites(session / arguments["collection"])
    places = places_of_sites(record, local[:, 1])
    regions = atlas.regions_at(places)
    log.info(
        "alignment %s: %d sites in %d regions, %d of them outside the brain",
        record.key or "(none)", len(places), len(np.unique(regions)), int((regions == 0).sum()),
    )  # fmt: skip
    target = out / arguments["site_collection"]
    files = {"localCoordinates": local, "mlapdv": places, "brainLocationIds_ccf_2017": regions}
    return Outputs([save(target / f"electrodeSites.{name}.npy", x) for name, x in files.items()])


def channels(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Give sorted channels the places of the sites, and units those of their peak's channel.

    Raises
    ------
    RawFileInvalid
        Files contradict each other.
    """
    import numpy as np

    from shared.alf.io import save
    from shared.science.ephys.sorted_probe import located
    from shared.science.errors import RawFileInvalid
    from shared.tasks.declared.histology import PLACES

    at, folder = (session / arguments[name] for name in ("site_collection", "output_collection"))
    told = [
        np.load(at / f"electrodeSites.{name}.npy", allow_pickle=False)
        for name in ("localCoordinates", *PLACES)
    ]
    if len({len(each) for each in told}) != 1 or not len(told[0]):
        raise RawFileInvalid(
            "electrodeSites",
            f"their files have {', '.join(str(len(each)) for each in told)} sites",
            "have the task histology.sites run again, or upload all three together",
        )
    coordinates = np.load(folder / "channels.localCoordinates.npy", allow_pickle=False)
    found = dict(zip(PLACES, located(coordinates, *told), strict=True))
    target = out / arguments["output_collection"]
    paths = [save(target / f"channels.{name}.npy", x) for name, x in found.items()]
    peaks = folder / "clusters.channels.npy"
    if peaks.is_file():
        which = np.load(peaks, allow_pickle=False).astype(np.int64)
        if which.size and not (which.min() >= 0 and which.max() < len(coordinates)):
            fix = "sort the probe again"
            raise RawFileInvalid(peaks.name, f"beyond the {len(coordinates)} channels", fix)
        paths += [save(target / f"clusters.{name}.npy", x[which]) for name, x in found.items()]
    return paths


def folders() -> list[str]:
    """Return the folders from which the atlas is read; none without one."""
    return [str(Path(named).resolve().parent)] if (named := os.environ.get(ATLAS)) else []


def can_run(name: str) -> bool:
    """Tell whether this computer has what a task needs beside its code: the atlas."""
    return name != "histology.sites" or bool(os.environ.get(ATLAS))


def _atlas_file() -> Path:
    named = os.environ.get(ATLAS)
    if not named:
        raise MachineTrouble("environment", f"no atlas here: set {ATLAS} to its volume of regions")
    if not Path(named).is_file():
        raise MachineTrouble("environment", f"{ATLAS} names {named}, which is no file")
    return Path(named)


@cache
def _annotation(path: Path) -> Annotation:
    from shared.science.histology.annotation import read_annotation

    return read_annotation(path)


def _sites(folder: Path) -> np.ndarray:
    """Return the places of a probe's sites, µm across and up from the deepest one."""
    import numpy as np

    from lab.tasks.sync import one_meta
    from shared.recordings.spikeglx import read_meta
    from shared.science.errors import RawFileInvalid, TaskUnsupported

    path = one_meta(folder)
    meta = read_meta(path)
    told = meta.facts(None).get("probe_map") if meta else None
    if not told:
        fix = "copy the .meta from the computer that recorded"
        raise RawFileInvalid(path.name, "it tells no places of sites", fix)
    shanks = np.asarray(told, float)
    if len(np.unique(shanks[:, 0])) > 1:
        raise TaskUnsupported(
            f"the histology of {folder.name}",
            "not supported: it has several shanks, and a track tells where one of them is",
            "register each shank as a probe of its own",
        )
    places = shanks[:, 1:]
    return places - [0, places[:, 1].min()]
