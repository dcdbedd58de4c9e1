"""Residuals to bytes and back: the entropy stage.

A residual is offset to be non-negative, its low bits are set aside, and zstandard codes the
remaining byte. The parameters here turn zstandard into a fast Huffman coder that still finds long
repeats (a synchronisation line, a dead channel). FORMAT.md, section "Symbols".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec.errors import FormatError

Bytes = NDArray[np.uint8]

#: Matching is almost off: residuals are noise, and spurious matches cost more than they save.
FRAME_PARAMETERS = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    min_match=7,
    hash_log=6,
    window_log=17,
    write_content_size=True,
    write_checksum=False,
)


def compressor() -> zstandard.ZstdCompressor:
    """Return a coder of symbol frames; one per thread."""
    return zstandard.ZstdCompressor(compression_params=FRAME_PARAMETERS)


def inflate(frame: bytes | memoryview, size: int, coder: zstandard.ZstdDecompressor) -> bytes:
    """Decode one zstandard frame that must hold exactly `size` bytes, or raise `FormatError`.

    Nothing larger than `size` is ever allocated.
    """
    check_size(frame, size)
    try:
        content = coder.decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise FormatError(f"a frame does not decode: {error}") from error
    if len(content) != size:
        raise FormatError(f"a frame holds {len(content)} bytes, not {size}")
    return content


def inflate_all(
    frames: Sequence[bytes | memoryview],
    sizes: Sequence[int],
    coder: zstandard.ZstdDecompressor,
    threads: int,
) -> list[Any]:
    """Decode frames as `inflate` does, in one call with several threads."""
    for frame, size in zip(frames, sizes, strict=True):
        check_size(frame, size)
    declared = np.array(sizes, np.uint64).tobytes()
    try:
        contents = coder.multi_decompress_to_buffer(
            list(frames), decompressed_sizes=declared, threads=threads
        )
    except zstandard.ZstdError as error:
        raise FormatError(f"a frame does not decode: {error}") from error
    return [contents[number] for number in range(len(sizes))]


def check_size(frame: bytes | memoryview, size: int) -> None:
    """Refuse a frame that declares another size, before anything is allocated."""
    try:
        if zstandard.frame_content_size(frame) == size:
            return
    except zstandard.ZstdError as error:
        raise FormatError(f"a frame does not decode: {error}") from error
    raise FormatError(f"a frame does not declare the {size} bytes expected")


def packed_size(count: int, bits: int) -> int:
    """Return the number of bytes of `pack_low` for `count` values with `bits` low bits."""
    return count * (bits >> 3) + -(-count // 8) * (bits & 7)


def pack_low(values: NDArray[Any], bits: int) -> list[Bytes]:
    """Pack the `bits` low bits of each value: whole bytes first, then the rest as bit planes.

    Within a plane, value i is bit i mod 8 (from the least significant) of byte i div 8.
    """
    packed = [(values >> values.dtype.type(8 * i)).astype(np.uint8) for i in range(bits >> 3)]
    if bits & 7:
        part = (values >> values.dtype.type(bits & ~7)).astype(np.uint8)
        packed += [
            np.packbits(part & np.uint8(1 << plane), bitorder="little")
            for plane in range(bits & 7)
        ]
    return packed


def unpack_low(packed: Bytes, bits: int, out: NDArray[Any], size: int, begin: int = 0) -> None:
    """Invert `pack_low`: OR the low bits into `out`, whose low bits are zero.

    `out` gets the values from `begin` on, of `size` packed ones.
    """
    count, start = len(out), 0
    for index in range(bits >> 3):
        whole = packed[start + begin : start + begin + count]
        out |= whole.astype(out.dtype) << out.dtype.type(8 * index)
        start += size
    if bits & 7:
        planes = packed[start:].reshape(bits & 7, -(-size // 8))[:, begin >> 3 :]
        skip = begin & 7
        low = np.zeros(count, np.uint8)
        for plane, row in enumerate(planes):
            plane_bits = np.unpackbits(row, count=skip + count, bitorder="little")[skip:]
            low |= plane_bits << np.uint8(plane)
        out |= low.astype(out.dtype) << out.dtype.type(bits & ~7)


def shuffle(array: NDArray[Any]) -> bytes:
    """Return the bytes of an array, all first bytes of its elements first."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def unshuffle(data: bytes, dtype: np.dtype) -> NDArray[Any]:
    """Invert `shuffle`."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    little = np.ascontiguousarray(planes.T).reshape(-1).view(dtype.newbyteorder("<"))
    return little.astype(dtype)
