"""CRC-32 as zip files and chunks have it, by the processor's own instructions where possible."""

import zlib

try:
    from isal.isal_zlib import crc32
except ImportError:  # pragma: no cover - isal has no wheel everywhere
    crc32 = zlib.crc32

__all__ = ["crc32"]
