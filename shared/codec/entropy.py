"""Residuals to bytes and back: the entropy stage.

A residual is offset to be non-negative, its low bits are set aside, and what is left is one byte
that zstandard codes. The parameters chosen here make of zstandard a fast Huffman coder that still
finds long repeats (a synchronisation line, a dead channel). FORMAT.md, section "Symbols".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec.errors import FormatError

Bytes = NDArray[np.uint8]

#: Matching is all but off: residuals are noise, and spurious matches cost more than they save.
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
    """Decode one zstandard frame that must hold exactly `size` bytes.

    Raises
    ------
    FormatError
        If the frame is not one, or holds another number of bytes; nothing larger than `size` is
        ever allocated.
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
    frames: Sequence[bytes | memoryview], sizes: list[int], coder: zstandard.ZstdDecompressor
) -> Sequence[Any]:
    """Decode frames as `inflate` does, in one call during which other threads go on.

    Raises
    ------
    FormatError
        As by `inflate`.
    """
    for frame, size in zip(frames, sizes, strict=True):
        check_size(frame, size)
    if not frames:
        return ()
    try:
        declared = np.array(sizes, np.uint64).tobytes()
        contents = coder.multi_decompress_to_buffer(
            list(frames), decompressed_sizes=declared, threads=1
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


def symbols_in(packing: int) -> int:
    """Return how many values a symbol can have when 2 ** packing of them share a byte."""
    return 1 << (8 >> packing)


def pack(symbols: Bytes, packing: int) -> Bytes:
    """Put 2 ** packing symbols in each byte, the first in its lowest bits; zeros fill the last."""
    if packing == 0:
        return symbols
    missing = -len(symbols) % (1 << packing)
    if missing:
        symbols = np.append(symbols, np.zeros(missing, np.uint8))
    if packing == 1:
        pairs = symbols.view("<u2")
        return (pairs | (pairs >> 4)).astype(np.uint8)
    fours = symbols.view("<u4")
    fours = fours | (fours >> 6)
    return (fours | (fours >> 12)).astype(np.uint8)


def unpack(packed: Bytes, packing: int, count: int) -> Bytes:
    """Return the first `count` symbols packed so."""
    packed = packed[: -(-count >> packing)]
    if packing == 0:
        return packed
    if packing == 1:
        pairs = packed.astype("<u2")
        pairs |= pairs << 4
        pairs &= 0x0F0F
        return pairs.view(np.uint8)[:count]
    fours = packed.astype("<u4")
    fours |= fours << 12
    fours &= 0x000F000F
    fours |= fours << 6
    fours &= 0x03030303
    return fours.view(np.uint8)[:count]


def packed_size(count: int, bits: int) -> int:
    """Return how many bytes `pack_low` makes of `count` values of `bits` low bits."""
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

    Of `size` values packed, `out` gets those from `begin`, a multiple of eight, on.
    """
    count, start = len(out), 0
    for index in range(bits >> 3):
        whole = packed[start + begin : start + begin + count]
        out |= whole.astype(out.dtype) << out.dtype.type(8 * index)
        start += size
    if bits & 7:
        step = -(-size // 8)
        planes = packed[start:].reshape(bits & 7, step)[:, begin // 8 :]
        low = np.unpackbits(planes[0], count=count, bitorder="little")
        for plane in range(1, bits & 7):
            plane_bits = np.unpackbits(planes[plane], count=count, bitorder="little")
            plane_bits <<= np.uint8(plane)
            low |= plane_bits
        if bits > 8:
            out |= low.astype(out.dtype) << out.dtype.type(bits & ~7)
        else:
            out |= low


def shuffle(array: NDArray[Any]) -> bytes:
    """Return the bytes of an array, all first bytes of its elements first."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def unshuffle(data: bytes, dtype: np.dtype) -> NDArray[Any]:
    """Invert `shuffle`."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    little = np.ascontiguousarray(planes.T).reshape(-1).view(dtype.newbyteorder("<"))
    return little.astype(dtype)
