"""The codec for numcodecs: Zarr 2 arrays, HDF5 references, LINDI and kerchunk.

numcodecs finds it by its name, `fornix`, once Fornix is installed. A buffer must be a block of
samples × channels of int16, uint16 or int32, as a Zarr chunk is. Each encoded buffer is one chunk
of FORMAT.md, section 1.2, so any chunk of an `.ebin` file can be read by reference, too.
"""

from typing import Any, ClassVar

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray, ndarray_copy
from numcodecs.registry import register_codec
from numpy.typing import NDArray

from shared.codec.chunk import as_samples, seal
from shared.codec.encoder import encode
from shared.codec.levels import DEFAULT_LEVEL, LEVELS
from shared.codec.opened import open_lone


def encode_block(block: object, level: str) -> bytes:
    """Return a block of samples as one chunk; empty bytes for an empty block."""
    samples = as_samples(block, "the buffer")
    native = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
    if not native.size:
        return b""
    return b"".join(seal(encode(native, LEVELS[level]), 0, 0, native).pieces)


def decode_block(data: bytes, length: int | None) -> NDArray[Any]:
    """Return the samples of one chunk, filled with zeros up to a length.

    Bytes after the chunk are padding, and ignored.
    """
    samples = open_lone(data, "the buffer").restore()
    if length is None or len(samples) >= length:
        return samples
    return np.concatenate(
        [samples, np.zeros((length - len(samples), samples.shape[1]), samples.dtype)]
    )


class FornixCodec(Codec):
    """Lossless compression of blocks of samples × channels.

    Parameters
    ----------
    level : {'default', 'fast', 'high'}
    length : int, optional
        Samples of every block. Zarr requires equal lengths, but the last chunk of an `.ebin` file
        is shorter; it is filled with zeros.
    channels : int, optional
        Number of channels to return, the first ones of every block. The others, such as the
        synchronisation line of a probe, may not belong to the array.

    Raises
    ------
    CodecError
        If a buffer has another type, or is damaged.
    """

    codec_id: ClassVar[str] = "fornix"

    def __init__(
        self,
        level: str = DEFAULT_LEVEL,
        length: int | None = None,
        channels: int | None = None,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"there is no level {level!r}; choose from {', '.join(LEVELS)}")
        self.level, self.length, self.channels = level, length, channels

    def get_config(self) -> dict[str, object]:
        """Return the configuration that makes the same codec again."""
        config: dict[str, object] = {"id": self.codec_id, "level": self.level}
        options = {"length": self.length, "channels": self.channels}
        return config | {name: value for name, value in options.items() if value is not None}

    def encode(self, buf: Any) -> bytes:
        """Compress one block."""
        return encode_block(ensure_ndarray(buf), self.level)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress one block, into `out` if it is given."""
        data = bytes(ensure_ndarray(buf))
        if not data:
            return b"" if out is None else out
        samples = decode_block(data, self.length)
        if self.channels is not None:
            samples = np.ascontiguousarray(samples[:, : self.channels])
        return samples if out is None else ndarray_copy(samples, out)


register_codec(FornixCodec)
