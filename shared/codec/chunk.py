"""One chunk: samples × channels to bytes and back.

A chunk is decodable by itself: it holds its models beside its samples. FORMAT.md documents every
byte; this module writes and reads exactly that.
"""

import struct
import threading
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec import entropy
from shared.codec.errors import FormatError
from shared.codec.levels import DIFFERENCE, FEW_CHANNELS, Level
from shared.codec.predict import (
    Ints,
    SpaceModel,
    TimeModel,
    excerpt,
    fit_space,
    fit_time,
    time_residual,
    time_restore,
)

DTYPES = {1: np.dtype("int16"), 2: np.dtype("uint16"), 3: np.dtype("int32")}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

#: A chunk never holds more raw bytes than this; a header that claims more is refused.
MAX_CHUNK_BYTES = 1 << 28
MAX_CHANNELS = 1 << 16

RAW, CODED = 0, 1
DIRECT, SHIFTED, TABLE = 0, 1, 2

#: Symbols per zstandard frame aimed at: shorter rows share a frame, and so a Huffman table.
FRAME_SYMBOLS = 16_384
#: Lanes of the decoder's recursion aimed at, and the least samples of a segment.
LANES = 8192
MIN_SEGMENT = 256

MAX_TAPS = 16
MAX_PARTS = 128
#: What is used when a model overflows: it cannot.
SAFE = Level((DIFFERENCE,), (DIFFERENCE,), 0, False)
NOTHING = np.zeros(0, np.int64)

META = struct.Struct("<BBBBBBHIIIIIq")


@dataclass
class Model:
    """What is fitted once and used for a run of chunks."""

    time: TimeModel
    space: SpaceModel
    parts: int
    frames: list["Frame"]
    sparse: bool
    bits_per_sample: float


@dataclass(frozen=True)
class Encoded:
    """A coded chunk without its header."""

    mode: int
    meta: bytes
    meta_size: int
    body: bytes
    model: Model | None


class Workspace(threading.local):
    """Buffers and coders kept from chunk to chunk, one set per thread."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}
        self.coder = entropy.compressor()
        self.meta_coder = zstandard.ZstdCompressor(level=9, write_content_size=True)
        self.decoder = zstandard.ZstdDecompressor()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[np.generic]:
        """Return an uninitialised array, of memory that is used again."""
        size = int(np.prod(shape)) * dtype.itemsize
        held = self.arrays.get(name)
        if held is None or len(held) < size:
            held = self.arrays[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype).reshape(shape)


WORKSPACE = Workspace()


# ---- encoding ---------------------------------------------------------------------------------


def encode(samples: NDArray[np.generic], level: Level, model: Model | None = None) -> Encoded:
    """Code one chunk.

    Parameters
    ----------
    samples : array, shape (samples, channels)
        int16, uint16 or int32 in native byte order; at least one sample.
    level : Level
    model : Model, optional
        The model of an earlier chunk of the same recording; without it one is fitted.

    Returns
    -------
    Encoded
        With the model used, unless the samples had to be stored as they are.
    """
    length, channels = samples.shape
    sparse = model is None or model.sparse
    kind, base, table, rows = _prepare(samples, sparse)
    if model is not None and not _fits(model, rows):
        model = None
    fitted = model or _fit_time_model(rows, level)
    residual = WORKSPACE.array("residual", rows.shape, rows.dtype)
    if not time_residual(rows, fitted.time, residual):
        model = None
        fitted = _fit_time_model(rows, SAFE)
        time_residual(rows, fitted.time, residual)
    fitting = model is None
    if fitting:
        fitted.space = fit_space(residual, level.terms, level.lags)
        fitted.parts = _choose_parts(residual)
    frames = _code_rows(residual, fitted, fitting)
    header = META.pack(
        kind,
        fitted.time.order | fitted.time.wide << 1,
        fitted.time.shift,
        fitted.time.taps.shape[1],
        fitted.space.shift,
        rows.dtype.itemsize,
        0,
        fitted.time.segment,
        fitted.parts,
        _group(length, fitted.parts),
        len(fitted.space.weights),
        len(table),
        base,
    )
    meta = b"".join(
        [
            header,
            entropy.shuffle(np.diff(table, prepend=table.dtype.type(0))) if len(table) else b"",
            entropy.shuffle(fitted.time.taps.T),
            fitted.space.counts.tobytes(),
            entropy.shuffle(fitted.space.distances),
            fitted.space.lags.tobytes(),
            fitted.space.weights.tobytes(),
            bytes(frame.shift for frame in frames),
            entropy.shuffle(_cells(frames).astype(rows.dtype)),
            entropy.shuffle(np.array([len(frame.symbols) for frame in frames], np.uint32)),
            entropy.shuffle(np.array([len(frame.far) for frame in frames], np.uint32)),
            entropy.shuffle(np.concatenate([_gaps(frame.far) for frame in frames])),
            entropy.shuffle(np.concatenate([frame.highs.astype("u4") for frame in frames])),
        ]
    )
    body = b"".join(
        [*(frame.symbols for frame in frames), *(low for frame in frames for low in frame.low)]
    )
    packed = WORKSPACE.meta_coder.compress(meta)
    raw = samples.nbytes
    if len(packed) + len(body) >= raw:
        little = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
        return Encoded(RAW, b"", 0, little.tobytes(), None)
    if fitting:
        fitted.frames = frames
        fitted.sparse = kind == TABLE
        fitted.bits_per_sample = 8 * len(body) / samples.size
    return Encoded(CODED, packed, len(meta), body, fitted)


def _prepare(
    samples: NDArray[np.generic], sparse: bool
) -> tuple[int, int, NDArray[np.generic], Ints]:
    """Bring samples to channel-major signed integers, as narrow as they can be."""
    length, channels = samples.shape
    empty = np.zeros(0, samples.dtype)
    table = _sparse_values(samples) if sparse else None
    if table is not None:
        rows = WORKSPACE.array("rows", (channels, length), np.dtype(np.int16))
        middle = len(table) // 2
        if samples.dtype.itemsize == 2:
            ranks = np.zeros(1 << 16, np.int16)
            ranks[table.view(np.uint16)] = np.arange(-middle, len(table) - middle)
            unsigned = np.ascontiguousarray(samples).view(np.uint16)
            transpose_into(ranks[unsigned], rows)
        else:
            rows[:] = (np.searchsorted(table, samples) - middle).T
        return TABLE, 0, table, rows
    if samples.dtype == np.int32:
        low, high = int(samples.min()), int(samples.max())
        if high - low < 1 << 16:
            base = low + (1 << 15)
            rows = WORKSPACE.array("rows", (channels, length), np.dtype(np.int16))
            transpose_into((samples - np.int64(base)).astype(np.int16), rows)
            return SHIFTED, base, empty, rows
    dtype = np.dtype(f"i{samples.dtype.itemsize}")
    rows = WORKSPACE.array("rows", (channels, length), dtype)
    transpose_into(samples.view(dtype), rows)
    if samples.dtype == np.uint16:
        np.bitwise_xor(rows, np.int16(-32768), out=rows)
    return DIRECT, 0, empty, rows


def transpose_into(source: NDArray[np.generic], out: NDArray[np.generic]) -> None:
    """Write the transpose in tiles that stay in the cache."""
    for start in range(0, source.shape[0], 1024):
        out[:, start : start + 1024] = source[start : start + 1024].T


def _sparse_values(samples: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """Return the sorted values in use when they leave most of their range unused.

    Converters of few bits are often stored stretched to 16: the values in use are then few, and
    their ranks code much shorter than they do. The excerpt decides whether to look closer.
    """
    pieces = np.concatenate([samples[piece] for piece in excerpt(len(samples))]).ravel()
    some = np.unique(pieces)
    if len(some) < 3:
        return None
    low, high = np.percentile(pieces, [5, 95])
    inside = np.count_nonzero((some >= low) & (some <= high))
    span = float(high) - float(low) + 1
    if span < 16 or inside > 0.6 * span or len(pieces) < 8 * inside:
        return None
    if samples.dtype.itemsize == 2:
        flat = np.ascontiguousarray(samples).view(np.uint16).ravel()
        used = np.flatnonzero(np.bincount(flat, minlength=1 << 16)).astype(np.uint16)
        table = np.sort(used.view(samples.dtype))
    else:
        table = np.unique(samples)
    if len(table) > 1 << 15:
        return None
    within = np.count_nonzero((table >= low) & (table <= high))
    return table if within <= 0.6 * span and samples.size >= 8 * len(table) else None


def _fits(model: Model, rows: Ints) -> bool:
    """Tell whether a model of an earlier chunk can be used for these rows."""
    return (
        len(model.time.taps) == len(rows)
        and model.time.segment == segment_length(*rows.shape)
        and len(model.frames) == _frame_count(*rows.shape, model.parts)
    )


def segment_length(channels: int, length: int) -> int:
    """Choose segments long enough to code well and short enough to decode in parallel lanes."""
    segments = max(1, min(LANES // channels, length // MIN_SEGMENT))
    return -(-length // segments)


def _fit_time_model(rows: Ints, level: Level) -> Model:
    channels, length = rows.shape
    candidates = level.few if channels < FEW_CHANNELS else level.many
    time = fit_time(rows, candidates, segment_length(channels, length))
    return Model(time, fit_space(rows, 0, False), 1, [], False, 0.0)


def _choose_parts(residual: Ints) -> int:
    """Decide in how many parts of time symbols are coded, each with its own scale.

    Parts pay when the size of the residual varies (bursts, artefacts) by more bits than further
    Huffman tables cost.
    """
    channels, length = residual.shape
    best, parts = 0.0, 1
    some = residual[:: max(1, channels // 16)].astype(np.float32)
    np.abs(some, out=some)
    for count in (2, 4, 8, 16, 32, 64, 128):
        size = -(-length // count)
        if size < 2048:
            break
        whole = some[:, : (length // size) * size].reshape(len(some), -1, size)
        sizes = np.log2(whole.mean(axis=2) + 0.3)
        gain = np.log2(whole.mean(axis=(1, 2)) + 0.3) - sizes.mean(axis=1)
        worth = float(gain.mean()) - 8 * 70 / size
        if worth > best + 0.01:
            best, parts = worth, count
    return parts


def _cells(frames: list["Frame"]) -> NDArray[np.int64]:
    """Return the offsets of all frames, channel by channel and part by part."""
    return np.concatenate([frame.offsets for frame in frames])


def _gaps(far: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return positions as differences from the one before."""
    return np.diff(far, prepend=0).astype(np.uint32)


def _group(length: int, parts: int) -> int:
    """Return how many channels share a frame."""
    return 1 if parts > 1 else max(1, FRAME_SYMBOLS // length)


def _frame_count(channels: int, length: int, parts: int) -> int:
    return -(-channels // _group(length, parts)) * parts


@dataclass
class Frame:
    """Some rows, or one part of one row, as coded."""

    shift: int
    offsets: NDArray[np.int64]
    symbols: bytes
    low: list[NDArray[np.uint8]]
    far: NDArray[np.int64]
    highs: NDArray[np.unsignedinteger]

    def stale(self, count: int) -> bool:
        """Tell whether the scale of an earlier chunk suits these samples badly."""
        return len(self.far) * 128 > count or (self.shift > 0 and 3 * len(self.symbols) < count)


def _code_rows(residual: Ints, model: Model, fitting: bool) -> list[Frame]:
    """Predict each row from its neighbours, and code what is left frame by frame."""
    channels, length = residual.shape
    group = _group(length, model.parts)
    size = -(-length // model.parts)
    scratch = WORKSPACE.array("scratch", (2, length), residual.dtype)
    block = WORKSPACE.array("block", (group, length), residual.dtype)
    terms = space_terms(model.space, residual.dtype)
    frames: list[Frame] = []
    for first in range(0, channels, group):
        rows = block[: min(group, channels - first)]
        for channel, row in enumerate(rows, first):
            if terms[channel]:
                predict_row(residual, channel, terms[channel], model.space.shift, scratch)
                np.subtract(residual[channel], scratch[0], out=row)
            else:
                row[:] = residual[channel]
        for part in range(model.parts):
            piece = rows[:, part * size : (part + 1) * size]
            if not fitting:
                held = model.frames[len(frames)]
                frame = _code_frame(piece, held.shift, held.offsets)
            if fitting or frame.stale(piece.size):
                frame = _code_frame(piece, *_choose_scale(piece))
            frames.append(frame)
    return frames


def _code_frame(piece: Ints, shift: int, offsets: NDArray[np.int64]) -> Frame:
    """Turn residuals, rows × samples, into symbols, low bits and exceptions."""
    unsigned = np.dtype(f"u{piece.itemsize}")
    values = WORKSPACE.array("values", (piece.size,), unsigned)
    grid = values.view(piece.dtype).reshape(piece.shape)
    np.add(piece, offsets.astype(piece.dtype)[:, None], out=grid)
    low = entropy.pack_low(values, shift)
    if shift:
        np.right_shift(values, unsigned.type(shift), out=values)
    far, highs = NOTHING, values[:0]
    if values.max(initial=0) > 255:
        far = np.flatnonzero(values > 255)
        highs = values[far] >> unsigned.type(8)
    symbols = WORKSPACE.array("symbols", (piece.size,), np.dtype(np.uint8))
    symbols[:] = values
    return Frame(shift, offsets, WORKSPACE.coder.compress(symbols), low, far, highs)


def _choose_scale(piece: Ints) -> tuple[int, NDArray[np.int64]]:
    """Choose how many low bits to set aside, by the cost of an excerpt, and centre each row."""
    step = max(1, piece.size // 2048)
    some = piece[:, ::step].astype(np.int64)
    centres = np.median(some[:, ::2], axis=1).astype(np.int64)
    some -= centres[:, None]
    size = float(np.abs(some).mean()) + 0.01
    if size < 5:  # well within a byte
        return 0, 128 - centres
    start = int(np.clip(np.rint(np.log2(size / 12)), 0, 8 * piece.itemsize - 8))
    best = None
    for shift in range(max(0, start - 1), min(start + 1, 8 * piece.itemsize - 8) + 1):
        symbols = (some >> shift) + 128
        inside = (symbols >= 0) & (symbols <= 255)
        counts = np.bincount(symbols[inside], minlength=256)
        counts = counts[counts > 0]
        bits = -float((counts * np.log2(counts / counts.sum())).sum()) / some.size
        table = 4 * min(256.0, 10 * size / (1 << shift)) / piece.size
        cost = shift + bits + 24 * (1 - inside.mean()) + table
        if best is None or cost < best[0]:
            best = (cost, shift)
    assert best is not None  # the range is never empty
    return best[1], (128 << best[1]) - centres


def space_terms(
    model: SpaceModel, dtype: np.dtype
) -> list[list[tuple[int, int, np.signedinteger]]]:
    """List the (distance, lag, weight) of each channel."""
    ends = np.cumsum(model.counts, dtype=np.int64)
    all_terms = list(
        zip(
            model.distances.tolist(),
            model.lags.tolist(),
            list(model.weights.astype(dtype)),
            strict=True,
        )
    )
    return [all_terms[end - count : end] for end, count in zip(ends, model.counts.tolist(), strict=True)]


def predict_row(
    residual: Ints,
    channel: int,
    terms: list[tuple[int, int, np.signedinteger]],
    shift: int,
    scratch: Ints,
) -> None:
    """Write the prediction of a channel's residual from earlier channels to `scratch[0]`."""
    total, product = scratch
    fresh = True
    for distance, lag, weight in terms:
        row = residual[channel - distance]
        if fresh and lag == 0:
            np.multiply(row, weight, out=total)
        elif lag == 0:
            np.multiply(row, weight, out=product)
            np.add(total, product, out=total)
        else:
            if fresh:
                total[:] = 0
            here, there = (slice(None, -lag), slice(lag, None)) if lag > 0 else (
                slice(-lag, None),
                slice(None, lag),
            )
            np.multiply(row[there], weight, out=product[here])
            np.add(total[here], product[here], out=total[here])
        fresh = False
    np.right_shift(total, total.dtype.type(shift), out=total)


# ---- decoding ---------------------------------------------------------------------------------


class MetaReader:
    """Takes arrays off the meta block, refusing to read past its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = 0

    def take(self, count: int, dtype: str) -> NDArray[np.generic]:
        """Return the next `count` elements."""
        kind = np.dtype(dtype)
        size = count * kind.itemsize
        if count < 0 or self.start + size > len(self.data):
            raise FormatError("the chunk's parameters end too early")
        piece = self.data[self.start : self.start + size]
        self.start += size
        return entropy.unshuffle(piece, kind)


def meta_limit(channels: int, length: int) -> int:
    """Return the most bytes the parameters of a chunk can take, before compression."""
    frames = channels * MAX_PARTS
    return META.size + (1 << 18) + channels * (3 + 2 * MAX_TAPS + 4 * 255) + 13 * frames + 8 * channels * length


def decode(
    mode: int, meta: bytes, meta_size: int, body: bytes, length: int, channels: int, dtype: np.dtype
) -> NDArray[np.generic]:
    """Decode one chunk.

    Returns
    -------
    array, shape (length, channels)

    Raises
    ------
    FormatError
        If the bytes contradict themselves. Memory stays within a small multiple of the chunk.
    """
    if mode == RAW:
        if len(body) != length * channels * dtype.itemsize or meta:
            raise FormatError("a chunk stored as it is has the wrong size")
        stored = np.frombuffer(body, dtype.newbyteorder("<")).reshape(length, channels)
        return stored.astype(dtype)
    if mode != CODED:
        raise FormatError(f"unknown chunk mode {mode}")
    if not META.size <= meta_size <= meta_limit(channels, length):
        raise FormatError("the chunk's parameters have an impossible size")
    take = MetaReader(entropy.inflate(meta, meta_size, WORKSPACE.decoder))
    head = META.unpack(take.take(META.size, "u1").tobytes())
    kind, flags, shift, width, space_shift, itemsize, _, segment, parts, group, terms, used, base = head
    work = _check_head(head, length, channels, dtype)
    table = np.cumsum(take.take(used, dtype.str[1:]), dtype=dtype)
    taps = take.take(width * channels, "i2").reshape(width, channels).T
    counts = take.take(channels, "u1")
    distances = take.take(terms, "u2")
    lags = take.take(terms, "i1")
    weights = take.take(terms, "i1")
    if int(counts.sum(dtype=np.int64)) != terms:
        raise FormatError("the chunk's neighbours do not add up")
    reach = np.repeat(np.arange(channels), counts)
    if np.any(distances == 0) or np.any(distances > reach) or np.any(np.abs(lags) > 1):
        raise FormatError("the chunk names a neighbour that does not exist")
    time = TimeModel(flags & 1, shift, bool(flags & 2), taps, segment)
    space = SpaceModel(space_shift, counts, distances, lags, weights)
    residual = WORKSPACE.array("residual", (channels, length), work)
    _decode_rows(take, body, residual, space, parts, group)
    padded = -(-length // segment) * segment
    samples = np.empty((padded, channels), work)
    time_restore(residual, time, samples)
    return _unprepare(samples[:length], kind, base, table, dtype)


def _check_head(
    head: tuple[int, ...], length: int, channels: int, dtype: np.dtype
) -> np.dtype:
    """Check the fixed part of the parameters, and return the type the samples are coded in."""
    kind, flags, shift, width, space_shift, itemsize, spare, segment, parts, group, terms, used, _ = head
    work = np.dtype(np.int16) if itemsize == 2 else np.dtype(np.int32)
    bits = 8 * itemsize
    sound = (
        kind in (DIRECT, SHIFTED, TABLE)
        and itemsize in (2, 4)
        and itemsize <= dtype.itemsize
        and (kind != DIRECT or itemsize == dtype.itemsize)
        and (kind != SHIFTED or dtype == np.int32)
        and (kind == TABLE) == (used > 0)
        and used <= 1 << 15
        and flags <= 3
        and shift < bits
        and space_shift < bits
        and width <= MAX_TAPS
        and spare == 0
        and 1 <= segment <= max(length, 1)
        and 1 <= parts <= min(MAX_PARTS, length)
        and 1 <= group <= max(1, FRAME_SYMBOLS)
        and (group == 1 or parts == 1)
        and terms <= 255 * channels
    )
    if not sound:
        raise FormatError("the chunk's parameters contradict its header")
    return work


def _decode_rows(
    take: MetaReader, body: bytes, residual: Ints, space: SpaceModel, parts: int, group: int
) -> None:
    """Decode every frame, and add the prediction from the neighbours to each row."""
    channels, length = residual.shape
    bits = 8 * residual.itemsize
    unsigned = np.dtype(f"u{residual.itemsize}")
    size = -(-length // parts)
    count = -(-channels // group) * parts
    shifts = take.take(count, "u1")
    offsets = take.take(channels * parts, f"i{residual.itemsize}").reshape(channels, parts)
    sizes = take.take(count, "u4").tolist()
    exceptions = take.take(count, "u4")
    total = int(exceptions.sum(dtype=np.int64))
    if total > residual.size:
        raise FormatError("the chunk has more exceptions than samples")
    gaps = take.take(total, "u4").astype(np.int64)
    highs = take.take(total, "u4")
    if take.start != len(take.data):
        raise FormatError("the chunk's parameters end too late")
    if np.any(shifts > bits - 8):
        raise FormatError("a frame's scale is out of range")
    data = memoryview(body)
    position, low_position = 0, sum(sizes)
    far_position = 0
    scratch = WORKSPACE.array("scratch", (2, length), residual.dtype)
    terms = space_terms(space, residual.dtype)
    frame = 0
    for first in range(0, channels, group):
        rows = residual[first : first + group]
        for part in range(parts):
            piece = rows[:, part * size : (part + 1) * size]
            shift = int(shifts[frame])
            symbols = entropy.inflate(
                data[position : position + sizes[frame]], piece.size, WORKSPACE.decoder
            )
            position += sizes[frame]
            contiguous = piece.flags.c_contiguous
            values = piece.view(unsigned).reshape(-1) if contiguous else WORKSPACE.array("values", (piece.size,), unsigned)
            values[:] = np.frombuffer(symbols, np.uint8)
            if shift:
                np.left_shift(values, unsigned.type(shift), out=values)
                low = entropy.packed_size(piece.size, shift)
                packed = np.frombuffer(data[low_position : low_position + low], np.uint8)
                if len(packed) != low:
                    raise FormatError("the chunk's low bits end too early")
                low_position += low
                entropy.unpack_low(packed, shift, values)
            far = int(exceptions[frame])
            if far:
                where = np.cumsum(gaps[far_position : far_position + far])
                if where[-1] >= piece.size:
                    raise FormatError("an exception lies outside its frame")
                high = highs[far_position : far_position + far].astype(unsigned)
                values[where] += high << unsigned.type(shift + 8)
                far_position += far
            grid = values.view(residual.dtype).reshape(piece.shape)
            np.subtract(grid, offsets[first : first + group, part, None], out=piece)
            frame += 1
        for channel in range(first, first + len(rows)):
            if terms[channel]:
                predict_row(residual, channel, terms[channel], space.shift, scratch)
                np.add(residual[channel], scratch[0], out=residual[channel])
    if low_position != len(body):
        raise FormatError("the chunk's body has bytes that belong to nothing")


def _unprepare(
    samples: Ints, kind: int, base: int, table: NDArray[np.generic], dtype: np.dtype
) -> NDArray[np.generic]:
    """Invert `_prepare`, but for the transposition."""
    if kind == TABLE:
        ranks = samples.astype(np.int64) + len(table) // 2
        if ranks.min(initial=0) < 0 or ranks.max(initial=0) >= len(table):
            raise FormatError("a rank lies outside the table of values")
        return table[ranks]
    if kind == SHIFTED:
        wide = samples.astype(np.int64) + base
        return wide.astype(dtype)
    if dtype == np.uint16:
        np.bitwise_xor(samples, np.int16(-32768), out=samples)
    return samples.view(dtype)
