"""The raw file by reference: a LINDI JSON whose chunks are byte ranges of the compressed file.

pynwb reads it like any other file, and no bytes are stored twice. It needs `lindi`, which cannot
be installed together with zarr 3, so it runs in a separate environment (`make nwb`).
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from pynwb import NWBHDF5IO, H5DataIO

from lab.exports.nwb import names
from lab.exports.nwb.export import Written, raw_file, raw_stem
from lab.exports.nwb.recordings import ProbeRecording, add_recording
from lab.exports.session import ExportError, ExportSession
from shared.recordings.references import zarr_references

ENDING = ".nwb.lindi.json"


def export_reference(
    session: ExportSession, out: Path, addresses: dict[str, str] | None = None
) -> Written:
    """Write the raw recordings of a session by reference.

    Parameters
    ----------
    session : ExportSession
    out : path
        As for :func:`lab.exports.nwb.export.export_raw`.
    addresses : dict, optional
        Lasting addresses of the recordings for readers, by path within the session: HTTP
        addresses or paths. By default the present paths of the files.

    Raises
    ------
    ExportError
        `lindi` is missing, or a recording is not in Fornix's format.
    """
    lindi = _lindi()
    nwb, recordings, electrodes = raw_file(session)
    stem = out / raw_stem(session)
    stem.parent.mkdir(parents=True, exist_ok=True)
    target = stem.with_name(stem.name + ENDING)
    skeleton = stem.with_name(f".{stem.name}.skeleton.nwb")
    partial = stem.with_name(f".{target.name}.partial")
    try:
        for band in recordings:
            if not band.path.endswith(".ebin"):
                raise ExportError(
                    f"{band.path} is not compressed by Fornix: `fornix codec compress` makes an "
                    ".ebin of it, whose chunks can be read by reference"
                )
            shape = (band.reader.n_samples, band.channels)
            # Declared but not written: HDF5 stores no bytes for unwritten chunks.
            hollow = H5DataIO(
                shape=shape,
                dtype=band.reader.dtype,
                chunks=_chunk_shape(band),
                maxshape=shape,
            )
            add_recording(nwb, session, band, electrodes[band.probe], hollow)
        with NWBHDF5IO(str(skeleton), "w") as file:
            file.write(nwb)
        references = _references(lindi, skeleton)
        for band in recordings:
            place = (addresses or {}).get(band.path, band.address)
            _point(references["refs"], band, place)
        partial.write_text(json.dumps(references))
        os.replace(partial, target)
    finally:
        skeleton.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
        for band in recordings:
            band.reader.close()
    return Written(target, names.RAW, tuple(band.name for band in recordings))


def _lindi() -> Any:
    try:
        import lindi
    except ImportError as error:
        raise ExportError(
            "reading by reference needs lindi, which cannot be installed beside zarr 3: make an "
            "environment of its own with `pip install 'fornix[nwb]' lindi`, or `make nwb`"
        ) from error
    return lindi


def _chunk_shape(recording: ProbeRecording) -> tuple[int, int]:
    return min(recording.chunk_length, recording.reader.n_samples), recording.channels


def _references(lindi: Any, skeleton: Path) -> dict[str, Any]:
    """Return the references of a small file, with their bytes inline."""
    with skeleton.open("rb") as file:
        with lindi.LindiH5pyFile.from_hdf5_file(str(skeleton), url=str(skeleton)) as store:
            references: dict[str, Any] = store.to_reference_file_system()
        for name, value in references["refs"].items():
            if isinstance(value, list):
                file.seek(value[1])
                content = file.read(value[2])
                references["refs"][name] = "base64:" + base64.b64encode(content).decode()
    return references


def _point(refs: dict[str, Any], recording: ProbeRecording, address: str) -> None:
    """Point the chunks of a series to byte ranges of the compressed file."""
    base = f"acquisition/{recording.name}/data"
    for name in [key for key in refs if key.startswith(f"{base}/") and key[-1].isdigit()]:
        del refs[name]
    ranges = zarr_references(address, recording.reader.index, recording.channels)
    refs.update({f"{base}/{name}": value for name, value in ranges.items()})
