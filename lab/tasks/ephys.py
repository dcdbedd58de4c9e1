"""The tasks of electrophysiology."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

log = logging.getLogger(__name__)


AP_EVERY = 10
"""Step between the windows of 4.4 s of the AP band that are analysed: 98 in an hour."""

BANDS = {"ap": AP_EVERY, "lf": 1}


def raw_quality(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Measure the noise of a probe's bands, in time and by frequency, and count spikes.

    Raises
    ------
    ExtractionError
        There is no recording, or several, or its gains are missing.
    CodecError
        A recording is not as its ``.meta`` says.
    """
    from lab.tasks.recordings import open_recording
    from shared.alf.io import save
    from shared.science.ephys.raw_quality import look_at
    from shared.science.ephys.raw_spikes import FILE, spike_rates

    folder, target = (root / arguments["collection"] for root in (session, out))
    summary: dict[str, float | str | None] = {}
    paths: list[Path] = []
    for band, every in BANDS.items():
        if not any(folder.glob(f"*.{band}.meta")):
            continue
        with open_recording(folder, "imec", band) as recording:
            measured = look_at(recording.band(), every)
            rates = spike_rates(recording.band()) if band == "ap" else None
        log.info(
            "%s: median loudness %.1f µV, %.4f %% saturated",
            band, measured.microvolts(50), 100 * measured.saturated,
        )  # fmt: skip
        name = f"_raw_{folder.name}_{band}"
        summary |= {f"{name}_rms_p{p}_uV": round(measured.microvolts(p), 3) for p in (10, 90)}
        summary[f"{name}_saturated"] = measured.saturated
        paths += [save(target / file, x) for file, x in measured.files(band.upper()).items()]
        if rates is not None:
            summary[f"{name}_spikes_per_s"] = round(float(rates.sum()), 2)
            paths.append(save(target / FILE, rates))
    return Outputs(paths, RunFacts(extended_qc=summary))


def compress(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Compress the raw files of a folder losslessly, for analyses and for pages.

    Each file counts only after it was decoded again and compared. Chunks are short, and the RMS
    of every second is kept beside them: pages need both to show any moment at once.

    Raises
    ------
    CodecError
        A file is not as its ``.meta`` says.
    RawFileMissing
        There is no raw file: it was freed, or never came.
    """
    from shared import recordings
    from shared.codec.overview import overview_path
    from shared.science.errors import RawFileMissing

    folder = session / arguments["collection"]
    if not any(folder.glob("*.bin")):
        fix = "nothing: where the raw file was freed, its copy stays the result"
        raise RawFileMissing(f"the raw file in {arguments['collection']}", "no .bin", fix)
    target = out / arguments["collection"]
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for raw in sorted(folder.glob("*.bin")):
        packed = target / raw.with_suffix(".ebin").name
        recordings.compress(raw, packed, published=True, overwrite=True)
        made = packed.stat().st_size
        log.info("%s: %d bytes, %.2f to 1", packed.name, made, raw.stat().st_size / made)
        written += [packed, packed.with_suffix(".eh"), overview_path(packed)]
    return [path for path in written if path.exists()]
