"""The codec for Zarr 3, which finds it by the name `fornix` once Fornix is installed.

zarr.create_array(store, shape=…, chunks=(30_000, 385), dtype="int16",
                  serializer=FornixArrayCodec(), compressors=None)
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.registry import register_codec

from shared.codec.levels import DEFAULT_LEVEL, LEVELS
from shared.recordings.numcodec import decode_block, encode_block


@dataclass(frozen=True)
class FornixArrayCodec(ArrayBytesCodec):
    """Lossless compression of chunks of samples × channels of int16, uint16 or int32.

    Attributes
    ----------
    level : {'default', 'fast', 'high'}
    """

    is_fixed_size = False
    level: str = DEFAULT_LEVEL

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"there is no level {self.level!r}; choose from {', '.join(LEVELS)}")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FornixArrayCodec":
        """Make the codec from the array's metadata."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's entry in the array's metadata."""
        return {"name": "fornix", "configuration": {"level": self.level}}

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        data = await asyncio.to_thread(encode_block, chunk_array.as_numpy_array(), self.level)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        length = chunk_spec.shape[0]
        samples = await asyncio.to_thread(decode_block, chunk_bytes.to_bytes(), length)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(samples.reshape(chunk_spec.shape))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise an error, because the size is not known before encoding."""
        raise NotImplementedError


register_codec("fornix", FornixArrayCodec)
