"""Files on their way to a session: hashed, sent, validated."""

from lab.transfer.hashes import BLOCK, Changed, HashCache, Hashes
from lab.transfer.progress import Notice, Result, TransferStep, silent
from lab.transfer.upload import Transfer

__all__ = [
    "BLOCK",
    "Changed",
    "HashCache",
    "Hashes",
    "Notice",
    "Result",
    "Transfer",
    "TransferStep",
    "silent",
]
