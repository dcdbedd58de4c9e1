"""The codec for numcodecs, so that Zarr arrays can be compressed with it.

    import zarr
    from shared.codec.numcodec import FornixCodec

    zarr.create_array(..., chunks=(30_000, 385), compressors=..., filters=...)

A buffer must be a block of samples × channels of int16, uint16 or int32, as a Zarr chunk is. Each
encoded buffer is one chunk of FORMAT.md, section 1.2, number 0, so it is checked when it is read.
"""

from typing import Any, ClassVar

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray, ndarray_copy
from numcodecs.registry import register_codec

from shared.codec import container, encoder
from shared.codec.container import Index
from shared.codec.levels import DEFAULT_LEVEL, LEVELS
from shared.codec.source import as_samples


class FornixCodec(Codec):
    """Lossless compression of blocks of samples × channels.

    Parameters
    ----------
    level : {'default', 'fast', 'high'}

    Raises
    ------
    CodecError
        When a buffer holds another type, or was damaged.
    """

    codec_id: ClassVar[str] = "fornix"

    def __init__(self, level: str = DEFAULT_LEVEL) -> None:
        if level not in LEVELS:
            raise ValueError(f"there is no level {level!r}; choose from {', '.join(LEVELS)}")
        self.level = level

    def encode(self, buf: Any) -> bytes:
        """Compress one block."""
        samples = as_samples(ensure_ndarray(buf), "the buffer")
        native = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
        if not native.size:
            return b""
        stored = container.seal(encoder.encode(native, LEVELS[self.level]), 0, 0, native)
        return b"".join(stored.pieces)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress one block, into `out` where it is given."""
        data = bytes(ensure_ndarray(buf))
        if not data:
            return b"" if out is None else out
        header = container.unpack_chunk_header(data, "the buffer")
        index = Index(header.channels, 1.0, header.dtype, [0, header.length])
        index.raw_crcs = [header.raw_crc]
        samples = container.open_chunk(data, index, 0, "the buffer").restore()
        return samples if out is None else ndarray_copy(samples, out)


register_codec(FornixCodec)
