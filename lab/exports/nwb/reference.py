"""The raw file by reference: a LINDI JSON whose chunks are byte ranges of the compressed file.

pynwb reads it by `lindi` like any other file, and no bytes are stored twice; videos are named by
their addresses.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pynwb import NWBHDF5IO, H5DataIO

from lab.exports.nwb import names
from lab.exports.nwb.board import BoardRecording
from lab.exports.nwb.cameras import add_videos
from lab.exports.nwb.export import Written, raw_file, raw_stem
from lab.exports.nwb.lindi import references_of
from lab.exports.nwb.recordings import ProbeRecording, chunk_length
from lab.exports.session import ExportError, ExportSession
from shared.recordings.references import zarr_references

ENDING = ".nwb.lindi.json"


def export_reference(session: ExportSession, out: Path) -> Written:
    """Write the raw recordings and videos of a session by reference.

    Parameters
    ----------
    session : ExportSession
    out : path
        As for :func:`lab.exports.nwb.export.export_raw`.

    Raises
    ------
    ExportError
        A recording is not in Fornix's format, or as for `lab.exports.nwb.export.export_raw`.
    """
    raw = raw_file(session)
    stem = out / raw_stem(session)
    stem.parent.mkdir(parents=True, exist_ok=True)
    target = stem.with_name(stem.name + ENDING)
    skeleton = stem.with_name(f".{stem.name}.skeleton.nwb")
    partial = stem.with_name(f".{target.name}.partial")

    try:
        for recording in raw.recordings:
            _check(recording)
        raw.add(_hollow)
        add_videos(raw.nwb, session, lambda path, _: session.lasting_address(path))
        with NWBHDF5IO(str(skeleton), "w") as file:
            file.write(raw.nwb)
        holds = {recording.name: recording for recording in raw.recordings}
        references = references_of(skeleton, frozenset(map(_place, holds)))
        for name, recording in holds.items():
            index = recording.reader.index
            where = session.lasting_address(recording.path)
            ranges = zarr_references(where, index, len(recording.columns))
            references |= {f"{_place(name)}/{key}": value for key, value in ranges.items()}
        partial.write_text(json.dumps({"version": 1, "refs": references}))
        os.replace(partial, target)
    finally:
        skeleton.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
        raw.close()
    return Written(target, names.RAW, tuple(raw.nwb.acquisition))


def _place(series: str) -> str:
    return f"acquisition/{series}/data"


def _check(recording: ProbeRecording | BoardRecording) -> None:
    """Refuse a recording whose chunks cannot be read by reference."""
    if not recording.path.endswith(".ebin"):
        raise ExportError(
            f"{recording.path} is not compressed by Fornix: `fornix codec compress` makes an "
            ".ebin of it, whose chunks can be read by reference"
        )
    if recording.columns.start:
        raise ExportError(
            f"the analog lines of {recording.path} follow other channels, and cannot be read by "
            "reference: copy them, by --raw"
        )


def _hollow(recording: ProbeRecording | BoardRecording) -> H5DataIO:
    """Return samples that are declared but not written: HDF5 stores no bytes for them."""
    columns = len(recording.columns)
    shape = (recording.reader.n_samples, columns)
    rows = min(chunk_length(recording.reader), recording.reader.n_samples)
    return H5DataIO(
        shape=shape, dtype=recording.reader.dtype, chunks=(rows, columns), maxshape=shape
    )
