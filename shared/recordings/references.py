"""A recording as a Zarr array whose chunks are byte ranges of its file: nothing is copied.

The form is that of kerchunk and LINDI, which fsspec's ``reference`` file system reads.
"""

from __future__ import annotations

from typing import Any

from shared.codec.index import RecordingIndex


def zarr_references(
    address: str, index: RecordingIndex, channels: int | None = None
) -> dict[str, Any]:
    """Return the references of an array (Zarr version 2), by their names below it.

    Parameters
    ----------
    address : str
        Path or HTTP address of the `.ebin`.
    index : RecordingIndex
    channels : int, optional
        Only this many channels, the first ones.
    """
    rows = max(1, min(index.chunk_length, index.shape[0]))
    columns = index.n_channels if channels is None else channels
    array = {
        "zarr_format": 2,
        "shape": [index.shape[0], columns],
        "chunks": [rows, columns],
        "dtype": index.dtype.newbyteorder("<").str,
        "fill_value": 0,
        "order": "C",
        "compressor": None,
        "filters": [{"id": "fornix", "length": rows, "channels": columns}],
    }
    references: dict[str, Any] = {".zarray": array}
    for number in range(index.n_chunks):
        first, last = int(index.offsets[number]), int(index.offsets[number + 1])
        references[f"{number}.0"] = [address, first, last - first]
    return references
