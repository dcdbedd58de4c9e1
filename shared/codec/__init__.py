"""Lossless electrophysiology codec: bytes and arrays only.

    from shared import codec

    codec.compress("ap.bin", "ap.ebin", n_channels=385, dtype="int16", sample_rate=30_000)
    with codec.open("ap.ebin") as recording:
        second = recording[30_000:60_000]

The format is documented to the byte in FORMAT.md.
"""

from shared.codec.container import Index
from shared.codec.errors import (
    CodecError,
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
    VerificationError,
)
from shared.codec.levels import DEFAULT_LEVEL, LEVELS
from shared.codec.reader import Reader, decompress, open, open_salvaged, verify
from shared.codec.source import tail
from shared.codec.writer import Writer, compress

__all__ = [
    "DEFAULT_LEVEL",
    "LEVELS",
    "CodecError",
    "CorruptionError",
    "FormatError",
    "Index",
    "Reader",
    "TruncationError",
    "UnsupportedVersionError",
    "VerificationError",
    "Writer",
    "compress",
    "decompress",
    "open",
    "open_salvaged",
    "tail",
    "verify",
]
