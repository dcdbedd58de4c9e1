"""Lossless electrophysiology codec: arrays to chunks, chunks to files and back. See FORMAT.md.

`shared.recordings` compresses and opens whole recordings; here is what they are made of.
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
from shared.codec.reader import Reader
from shared.codec.writer import Writer

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
]
