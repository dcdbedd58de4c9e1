"""Lossless electrophysiology codec: bytes and arrays only.

    from shared import codec

    codec.compress("ap.bin", "ap.ebin", n_channels=385, dtype="int16", sample_rate=30_000)
    with codec.open("ap.ebin") as recording:
        second = recording[30_000:60_000]

The format is documented to the byte in FORMAT.md.
"""

from shared.codec.errors import (
    CodecError,
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
    VerificationError,
)
from shared.codec.index import RecordingIndex
from shared.codec.levels import DEFAULT_LEVEL, LEVELS
from shared.codec.opening import open, open_source
from shared.codec.reader import Reader
from shared.codec.source import tail
from shared.codec.whole import decompress, open_salvaged, verify
from shared.codec.writer import Writer, compress

__all__ = [
    "DEFAULT_LEVEL",
    "LEVELS",
    "CodecError",
    "CorruptionError",
    "FormatError",
    "Reader",
    "RecordingIndex",
    "TruncationError",
    "UnsupportedVersionError",
    "VerificationError",
    "Writer",
    "compress",
    "decompress",
    "open",
    "open_salvaged",
    "open_source",
    "tail",
    "verify",
]
