"""Conversion of a recording's index to that of a stored object, and back."""

from __future__ import annotations

import numpy as np

from shared.codec.errors import FormatError
from shared.codec.index import Readable, RecordingIndex, read_footer
from shared.model.object_index import ObjectIndex

CODEC = "fornix"
"""Name of the codec in indexes, as in numcodecs and Zarr."""


def object_index(source: Readable) -> ObjectIndex:
    """Return the index of an `.ebin` file, from its footer.

    Raises
    ------
    CodecError
        It is no complete recording.
    """
    footer = read_footer(source)
    return ObjectIndex(
        codec=CODEC,
        size=source.size(),
        dtype=footer.dtype.newbyteorder("<").str,
        shape=footer.shape,
        chunk_length=footer.chunk_length,
        offset=footer.offsets[0],
        lengths=tuple(np.diff(footer.offsets).tolist()),
        facts={"sample_rate": footer.sample_rate, "chunk_crc32": footer.crcs, **footer.facts},
    )


def recording_index(index: ObjectIndex, name: str) -> RecordingIndex:
    """Return the index for opening a recording, from that of its object.

    Raises
    ------
    FormatError
        It is no index of a recording, or contradicts itself.
    """
    if index.codec != CODEC:
        raise FormatError(f"{name} has the index of no recording")
    facts = dict(index.facts)
    fields = {
        "n_channels": index.shape[-1],
        "sample_rate": facts.pop("sample_rate", None),
        "dtype": np.dtype(index.dtype).name,
        "shape": list(index.shape),
        "chunk_length": index.chunk_length,
        "chunk_sizes": list(index.lengths),
        "chunk_crc32": facts.pop("chunk_crc32", None),
    }
    return RecordingIndex.from_fields(fields | facts, f"the index of {name}")
