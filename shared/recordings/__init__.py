"""Recordings of any kind: raw, mtscomp's, our own; local or at an address; in other programs.

    from shared import recordings

    recordings.compress("ap.bin", "ap.ebin", n_channels=385, sample_rate=30_000)
    with recordings.open("ap.ebin") as recording:
        second = recording[30_000:60_000]

Every failure is a `shared.codec.CodecError`.
"""

from shared.recordings.compress import compress
from shared.recordings.decompress import decompress, open_salvaged, verify
from shared.recordings.opening import open, open_source
from shared.recordings.source import tail

__all__ = [
    "compress",
    "decompress",
    "open",
    "open_salvaged",
    "open_source",
    "tail",
    "verify",
]
