"""The index of a recording as that of an object of a store, and back."""

from __future__ import annotations

import numpy as np

from shared.codec.errors import FormatError
from shared.codec.index import Readable, RecordingIndex, read_footer
from shared.model.object_index import ObjectIndex

CODEC = "fornix"
"""What the codec is called in indexes, as in numcodecs and Zarr."""


def object_index(source: Readable) -> ObjectIndex:
    """Return the index of an `.ebin` file, from its footer.

    Raises
    ------
    CodecError
        It is no whole recording.
    """
    found = read_footer(source)
    return ObjectIndex(
        codec=CODEC,
        size=source.size(),
        dtype=found.dtype.newbyteorder("<").str,
        shape=found.shape,
        chunk_length=found.chunk_length,
        offset=found.offsets[0],
        lengths=tuple(np.diff(found.offsets).tolist()),
        facts={"sample_rate": found.sample_rate, "chunk_crc32": found.crcs, **found.facts},
    )


def recording_index(index: ObjectIndex, name: str) -> RecordingIndex:
    """Return the index that a recording is opened with.

    Raises
    ------
    FormatError
        It is none of a recording, or contradicts itself.
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
