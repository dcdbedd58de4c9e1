"""One chunk: samples × channels to bytes and back.

A chunk is decodable by itself: it holds its models beside its samples. FORMAT.md documents every
byte; this module writes and reads exactly that.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, fit, values
from shared.codec.errors import FormatError
from shared.codec.fit import Level, Model
from shared.codec.predict import (
    MANY_CHANNELS,
    Ints,
    SpaceModel,
    TimeModel,
    lag_reach,
    neighbour_sums,
    predict_row,
    row_residuals,
    same,
)
from shared.codec.restore import Piece, time_restore
from shared.codec.workspace import WORKSPACE

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("int16"),
    2: np.dtype("uint16"),
    3: np.dtype("int32"),
}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

#: A chunk never holds more raw bytes than this; a header that claims more is refused.
MAX_CHUNK_BYTES = 1 << 28
MAX_CHANNELS = 1 << 16

RAW, CODED = 0, 1

#: Symbols per zstandard frame aimed at: shorter rows share a frame, and so a Huffman table.
FRAME_SYMBOLS = 16_384
#: Symbols that another thread inflates at a time: about a millisecond's.
SHARE_SYMBOLS = 1 << 19
#: Shares of a chunk inflated ahead: their memory is used again, which fresh memory would slow.
SHARES_AHEAD = 2

MAX_TAPS = 16
#: Samples of a part of a row that has a class of its own, and the most classes of a row.
PART = 1024
MAX_CLASSES = 16
#: The share of segment heads out of a byte's range from which all are kept apart.
FAR_HEADS = 0.15
#: What a further frame costs: its Huffman table and its place in the lists, in bits.
TABLE_BITS = 500.0
NOTHING = np.zeros(0, np.int64)

META = struct.Struct("<BBBBBBHIIIIIq")


@dataclass(frozen=True)
class Encoded:
    """A coded chunk without its header."""

    mode: int
    meta: bytes
    meta_size: int
    body: bytes


# ---- encoding ---------------------------------------------------------------------------------


def encode(samples: NDArray[Any], level: Level, model: Model | None = None) -> Encoded:
    """Code one chunk.

    Parameters
    ----------
    samples : array, shape (samples, channels)
        int16, uint16 or int32 in native byte order; at least one sample.
    level : Level
    model : Model, optional
        Fitted on this chunk, or on another of the same recording; by default on this one.

    Returns
    -------
    Encoded
    """
    own = model is None
    if model is None or len(model.offsets) != samples.shape[1]:
        model = fit.fit(samples, level)
    coded, stale = _encode(samples, model)
    if stale and not own:
        # The recording is no longer what the model was fitted on.
        other, _ = _encode(samples, fit.fit(samples, level))
        coded = min(coded, other, key=lambda each: len(each.meta) + len(each.body))
    if len(coded.meta) + len(coded.body) >= samples.nbytes:
        little = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
        return Encoded(RAW, b"", 0, little.tobytes())
    return coded


def _encode(samples: NDArray[Any], model: Model) -> tuple[Encoded, bool]:
    """Code one chunk with a given model, and tell whether the model suits it badly."""
    length, channels = samples.shape
    tables = values.tables_of(samples, model.kind)
    kind, base, rows = values.prepare(samples, tables, model.base)
    if len(model.baseline) and rows.dtype == model.baseline.dtype:
        np.subtract(rows, model.baseline[:, None], out=rows)
        baseline = model.baseline
    else:
        baseline = rows[:0, 0]
    time = fit.cut(model.time, channels, length)
    heads = rows[:, :: time.segment].copy()
    # Segment heads are not predicted: where many would be exceptions, they are kept apart.
    far = np.abs(heads.astype(np.int64)) >> model.shifts[:, None] > 127
    if far.mean() <= FAR_HEADS:
        heads = heads[:0]
    rows_coded = _code_rows(rows, time, model, len(heads) > 0)
    frames = rows_coded.frames
    table = NOTHING.astype(samples.dtype) if tables is None else tables.packed()
    space = model.space
    header = META.pack(
        kind,
        time.order
        | time.wide << 1
        | (len(baseline) > 0) << 2
        | rows_coded.wraps << 3
        | (len(heads) > 0) << 4
        | (time.warm.size > 0) << 5,
        time.shift,
        time.taps.shape[1],
        space.shift,
        rows.dtype.itemsize,
        0,
        time.segment,
        rows_coded.part,
        rows_coded.group,
        len(space.weights),
        len(table),
        base,
    )
    meta = b"".join(
        [
            header,
            entropy.shuffle(_lengths(tables)),
            entropy.shuffle(table),
            entropy.shuffle(baseline),
            entropy.shuffle(heads),
            entropy.shuffle(time.taps.T),
            entropy.shuffle(time.warm.T),
            space.counts.tobytes(),
            entropy.shuffle(space.distances),
            space.lags.tobytes(),
            space.weights.tobytes(),
            rows_coded.classes.tobytes(),
            bytes(frame.shift for frame in frames),
            entropy.shuffle(np.array(rows_coded.offsets).astype(rows.dtype)),
            entropy.shuffle(np.array([len(frame.symbols) for frame in frames], np.uint32)),
            entropy.shuffle(np.array([len(frame.far) for frame in frames], np.uint32)),
            entropy.shuffle(_gaps(frames)),
            entropy.shuffle(np.concatenate([frame.highs for frame in frames]).astype("u4")),
        ]
    )
    body = b"".join(
        [
            *(frame.symbols for frame in frames),
            *(low.tobytes() for frame in frames for low in frame.low),
        ]
    )
    packed = WORKSPACE.meta_coder.compress(meta)
    unsuited = tables is None and model.kind != values.DIRECT
    stale = unsuited or rows_coded.stale * 4 > len(frames)
    return Encoded(CODED, packed, len(meta), body), stale


def _lengths(tables: values.Tables | None) -> NDArray[np.uint16]:
    """Return how many values the table of each channel has, if each has its own."""
    if tables is None or tables.kind != values.TABLES:
        return NOTHING.astype(np.uint16)
    return tables.lengths.astype(np.uint16)


def _gaps(frames: list["Frame"]) -> NDArray[np.uint32]:
    """Return the exceptions' positions as differences from the one before in their frame."""
    far = np.concatenate([frame.far for frame in frames])
    before = np.zeros_like(far)
    before[1:] = far[:-1]
    starts = np.cumsum([0, *(len(frame.far) for frame in frames)])
    before[starts[starts < len(far)]] = 0
    return (far - before).astype(np.uint32)


@dataclass
class CodedRows:
    """The frames of a chunk, and how its rows are cut into them."""

    frames: list["Frame"]
    offsets: list[int]
    classes: NDArray[np.uint8]
    part: int
    group: int
    stale: int = 0
    wraps: bool = False


@dataclass
class Frame:
    """Some rows, or one part of one row, as coded."""

    shift: int
    symbols: bytes
    low: list[NDArray[np.uint8]]
    far: NDArray[np.int64]
    highs: NDArray[Any]

    def stale(self, count: int) -> bool:
        """Tell whether the scale of an earlier chunk suits these samples badly."""
        return len(self.far) * 128 > count or (self.shift > 0 and 3 * len(self.symbols) < count)


def _code_rows(samples: Ints, time: TimeModel, model: Model, blank: bool) -> CodedRows:
    """Predict each row in time, then from its neighbours, and code what is left.

    In place of the samples is then what time leaves of them, without the heads if `blank`.
    """
    channels, length = samples.shape
    group = max(1, FRAME_SYMBOLS // length)
    by_class = channels < MANY_CHANNELS and group == 1 and length > 2 * PART
    part = PART if by_class else 0
    coded = CodedRows([], [], np.zeros(0, np.uint8), part, group)
    block = WORKSPACE.array("block", (group, length), samples.dtype)
    predicted, residuals = neighbour_sums(samples, model.space), row_residuals(samples, time)
    classes = []
    for first in range(0, channels, group):
        rows = block[: min(group, channels - first)]
        for channel, row in enumerate(rows, first):
            coded.wraps |= next(residuals)
            if blank:
                samples[channel, :: time.segment] = 0
            predict_row(samples[channel], predicted(channel), row)
        if by_class:
            classes.append(_code_by_class(rows[0], coded))
        else:
            _code_group(rows, first, model, coded)
    if by_class:
        coded.classes = np.concatenate(classes)
    return coded


def _code_group(rows: Ints, first: int, model: Model, coded: CodedRows) -> None:
    """Code rows that share a frame, and with it a scale."""
    shifts, offsets = model.shifts[first:], model.offsets[first:]
    if len(rows) == 1:
        shift, offsets = int(shifts[0]), offsets[:1]
    else:
        shift = int(np.median(shifts[: len(rows)]))
        offsets = (128 << shift) - (128 << shifts[: len(rows)]) + offsets[: len(rows)]
    frame = _code_frame(rows, shift, offsets)
    if frame.stale(rows.size):
        coded.stale += 1
        shift, offset = fit.choose_scale(rows, rows.size)
        offsets = np.full(len(rows), offset)
        frame = _code_frame(rows, shift, offsets)
    coded.frames.append(frame)
    coded.offsets += offsets.tolist()


def _code_by_class(row: Ints, coded: CodedRows) -> NDArray[np.uint8]:
    """Code parts of like size together: bursts and artefacts apart from the rest."""
    classes = _classify(row)
    ordered, sizes = gather_parts(row, classes)
    start = 0
    for size in sizes:
        piece = ordered[None, start : start + size]
        shift, offset = fit.choose_scale(piece, size)
        coded.frames.append(_code_frame(piece, shift, np.array([offset])))
        coded.offsets.append(offset)
        start += size
    return classes


def gather_parts(row: Ints, classes: NDArray[np.uint8]) -> tuple[Ints, list[int]]:
    """Return a row with its parts sorted by class, and the number of samples of each class."""
    parts = [row[index * PART : (index + 1) * PART] for index in range(len(classes))]
    ordered = [parts[index] for index in np.argsort(classes, kind="stable")]
    sizes = np.bincount(classes, weights=[len(part) for part in parts]).astype(np.int64)
    return np.concatenate(ordered), sizes.tolist()


def _classify(row: Ints) -> NDArray[np.uint8]:
    """Sort the parts of a row into classes of like size, as many as pay for their tables."""
    count = -(-len(row) // PART)
    padded = np.zeros(count * PART, np.float32)
    padded[: len(row)] = np.abs(row.astype(np.float32))
    sums = padded.reshape(count, PART).sum(axis=1, dtype=np.float64)
    lengths = np.full(count, float(PART))
    lengths[-1] = len(row) - (count - 1) * PART
    steps = np.floor(2 * np.log2(sums / lengths + 0.3)).astype(np.int64)
    values, classes = np.unique(steps, return_inverse=True)
    totals = [
        (float(lengths[classes == i].sum()), float(sums[classes == i].sum()), [i])
        for i in range(len(values))
    ]

    def bits(samples: float, total: float) -> float:
        return samples * float(np.log2(total / samples + 0.3))

    while len(totals) > 1:
        losses = [
            bits(one[0] + two[0], one[1] + two[1]) - bits(*one[:2]) - bits(*two[:2])
            for one, two in pairwise(totals)
        ]
        least = int(np.argmin(losses))
        if losses[least] > TABLE_BITS and len(totals) <= MAX_CLASSES:
            break
        one, two = totals[least], totals[least + 1]
        totals[least : least + 2] = [(one[0] + two[0], one[1] + two[1], one[2] + two[2])]
    final = np.zeros(len(values), np.uint8)
    for index, (_, _, members) in enumerate(totals):
        final[members] = index
    return final[classes]


def _code_frame(piece: Ints, shift: int, offsets: NDArray[np.int64]) -> Frame:
    """Turn residuals, rows × samples, into symbols, low bits and exceptions."""
    unsigned = np.dtype(f"u{piece.itemsize}")
    wide = WORKSPACE.array("values", (piece.size,), unsigned)
    grid = wide.view(piece.dtype).reshape(piece.shape)
    if len(piece) == 1:
        np.add(piece[0], offsets.astype(piece.dtype)[0], out=grid[0])
    else:
        np.add(piece, offsets.astype(piece.dtype)[:, None], out=grid)
    low = []
    if shift:
        low = entropy.pack_low(wide, shift)
        np.right_shift(wide, unsigned.type(shift), out=wide)
    far, highs = NOTHING, wide[:0]
    if np.maximum.reduce(wide) > 255:
        far = np.flatnonzero(wide > 255)
        highs = wide[far] >> unsigned.type(8)
    symbols = WORKSPACE.array("symbols", (piece.size,), np.dtype(np.uint8))
    symbols[:] = wide
    return Frame(shift, WORKSPACE.coder.compress(symbols.data), low, far, highs)


# ---- decoding ---------------------------------------------------------------------------------


class MetaReader:
    """Takes arrays off the meta block, refusing to read past its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = 0

    def take(self, count: int, dtype: str) -> NDArray[Any]:
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
    per_channel = 8 + MAX_TAPS * (MAX_TAPS + 1) + 4 * 255 + 13 * MAX_CLASSES
    return META.size + (1 << 18) + channels * (per_channel + 17 * length)


def decode(
    mode: int,
    meta: bytes | memoryview,
    meta_size: int,
    body: bytes | memoryview,
    length: int,
    channels: int,
    dtype: np.dtype,
    scratch: bool = False,
    window: tuple[int, int] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Decode one chunk, or a window of it: `unpack` and `Unpacked.restore` in one.

    Raises
    ------
    FormatError
        If the bytes contradict themselves. Memory stays within a small multiple of the chunk.
    """
    unpacked = unpack(mode, meta, meta_size, body, length, channels, dtype, window)
    return unpacked.restore(scratch, out)


#: Has another thread call a function, as `Executor.submit`.
Submit = Callable[..., Future[Any]]


class Unpacked(Protocol):
    """A chunk whose parameters are known, and whose samples are still to be restored."""

    def inflate_by(self, submit: Submit) -> None:
        """Have other threads inflate the chunk ahead of `restore`.

        What none of them has begun by then, `restore` inflates itself.
        """
        ...

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the samples, (samples of the window, channels).

        With `scratch`, the array returned is the thread's own and holds until the next call.
        Where `out` is given, it receives the samples and is returned.
        """
        ...


def unpack(
    mode: int,
    meta: bytes | memoryview,
    meta_size: int,
    body: bytes | memoryview,
    length: int,
    channels: int,
    dtype: np.dtype,
    window: tuple[int, int] | None = None,
) -> Unpacked:
    """Read the parameters of one chunk, to restore all of it or a window.

    With a `window` of first sample and end, only the segments it touches are restored.

    Raises
    ------
    FormatError
        If they contradict themselves.
    """
    start, stop = window or (0, length)
    if mode == RAW:
        if len(body) != length * channels * dtype.itemsize or meta:
            raise FormatError("a chunk stored as it is has the wrong size")
        stored = np.frombuffer(body, dtype.newbyteorder("<")).reshape(length, channels)
        return StoredChunk(stored[start:stop], dtype)
    if mode != CODED:
        raise FormatError(f"unknown chunk mode {mode}")
    if not META.size <= meta_size <= meta_limit(channels, length):
        raise FormatError("the chunk's parameters have an impossible size")
    take = MetaReader(entropy.inflate(meta, meta_size, WORKSPACE.decoder))
    head = META.unpack(take.take(META.size, "u1").tobytes())
    (
        kind,
        flags,
        shift,
        width,
        space_shift,
        itemsize,
        _,
        segment,
        part,
        group,
        terms,
        used,
        base,
    ) = head
    work = _check_head(head, length, channels, dtype)
    tables = _take_tables(take, kind, used, channels, dtype)
    baseline = take.take(channels if flags & 4 else 0, f"i{itemsize}")
    segments = -(-length // segment)
    heads = take.take(channels * segments if flags & 16 else 0, f"i{itemsize}")
    taps = take.take(width * channels, "i2").reshape(width, channels).T
    early = width * (width - 1) // 2 if flags & 32 else 0
    warm = take.take(early * channels, "i2").reshape(early, channels).T
    counts = take.take(channels, "u1")
    distances = take.take(terms, "u2")
    lags = take.take(terms, "i1")
    weights = take.take(terms, "i1")
    if int(counts.sum(dtype=np.int64)) != terms:
        raise FormatError("the chunk's neighbours do not add up")
    reach = np.repeat(np.arange(channels), counts)
    if np.any(distances == 0) or np.any(distances > reach) or np.any((lags < -1) | (lags > 1)):
        raise FormatError("the chunk names a neighbour that does not exist")
    time = TimeModel(flags & 1, shift, bool(flags & 2), taps, segment, bool(flags & 8), warm)
    space = SpaceModel(space_shift, counts, distances, lags, weights)
    # Segments are restored whole; rows reach over their ends as far as lags carry errors inwards.
    first = start // segment * segment
    last = min(length, -(-stop // segment) * segment)
    low, high = 0, length
    if (first, last) != (0, length) and group == 1:
        margin, step = lag_reach(space), part or 8
        low = max(0, first - margin) // step * step
        high = min(length, -(-(last + margin) // step) * step)
    parts = -(-length // part) if part else 0
    classes = take.take(channels * parts, "u1").reshape(channels, parts)
    sizes = _frame_sizes(classes, channels, length, part, group)
    frames = Frames(take, body, sizes, channels, bool(part), work)
    return CodedChunk(
        dtype, kind, base, tables, baseline, heads.reshape(-1, segments), time, space, classes,
        frames, group, (start, stop), (first, last), (low, high),
    )  # fmt: skip


@dataclass(frozen=True)
class StoredChunk:
    """Samples of a chunk stored as they are."""

    samples: NDArray[Any]
    dtype: np.dtype

    def inflate_by(self, submit: Submit) -> None:
        """Do nothing."""

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the samples."""
        if out is None:
            return self.samples.astype(self.dtype)
        out[:] = self.samples
        return out


@dataclass(frozen=True)
class CodedChunk:
    """The parameters of a coded chunk, and which of its samples are wanted.

    `window` is what is wanted, `inside` the segments that hold it, and `span` the samples of each
    row that these need: first sample and end.
    """

    dtype: np.dtype
    kind: int
    base: int
    tables: values.Tables | None
    baseline: Ints
    heads: Ints
    time: TimeModel
    space: SpaceModel
    classes: NDArray[np.uint8]
    frames: "Frames"
    group: int
    window: tuple[int, int]
    inside: tuple[int, int]
    span: tuple[int, int]

    @cached_property
    def firsts(self) -> list[int]:
        """The first frame of each row that has frames by class."""
        return _running_sum((self.classes.max(axis=1).astype(int) + 1).tolist())

    def inflate_by(self, submit: Submit) -> None:
        """Have other threads inflate the frames."""
        self.frames.inflate_by(submit)

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Restore the samples of the window."""
        shape, work = (self.window[1] - self.window[0], len(self.space.counts)), self.frames.dtype
        in_place = self.in_place(out)
        if out is not None and in_place:
            samples = out.view(work)
        else:
            samples = WORKSPACE.array("samples", shape, work) if scratch else np.empty(shape, work)
        _restore_windows([self], [samples])
        restored = values.restore(samples, self.kind, self.base, self.tables, self.dtype)
        if out is None:
            return restored
        if not in_place:
            out[:] = restored
        return out

    def in_place(self, out: NDArray[Any] | None) -> bool:
        """Tell whether samples can be restored where they are wanted."""
        return self.kind == values.DIRECT and out is not None and out.flags.c_contiguous

    def like(self, other: "CodedChunk") -> bool:
        """Tell whether the models are the same, and rows have frames of their own."""
        return (
            self.group == other.group == 1
            and self.frames.dtype == other.frames.dtype
            and np.array_equal(self.baseline, other.baseline)
            and same(self.time, other.time)
            and same(self.space, other.space)
        )

    def read_rows(self, first: int, rows: Ints) -> None:
        """Decode the rows of a group, before the prediction from the neighbours is added.

        They start at a multiple of eight, with parts of their size, and at zero where they share
        frames.
        """
        low, frames = self.span[0], self.frames
        if self.classes.size:
            _decode_by_class(frames, self.firsts[first], self.classes[first], rows[0], low)
        elif self.group == 1:
            row = rows[0]
            frames.read(first, row, low)
            np.subtract(row, frames.offsets[first], row)
        else:
            frames.read(first // self.group, rows.reshape(-1), low)
            np.subtract(rows, frames.offsets[first : first + self.group, None], rows)


def restore_together(chunks: Sequence[Unpacked], outs: Sequence[NDArray[Any]]) -> None:
    """Write the windows of some chunks to `outs`, in one pass where the chunks are alike.

    A pass is thousands of calls, which on short windows cost more than what they do.
    """
    coded = [each for each in chunks if isinstance(each, CodedChunk)]
    alike = len(coded) == len(chunks) and all(
        each.like(coded[0]) and each.in_place(out) for each, out in zip(coded, outs, strict=True)
    )
    if not alike:
        for chunk, out in zip(chunks, outs, strict=True):
            chunk.restore(True, out)
        return
    samples = [out.view(each.frames.dtype) for each, out in zip(coded, outs, strict=True)]
    _restore_windows(coded, samples)
    for each, window in zip(coded, samples, strict=True):
        values.restore(window, each.kind, each.base, each.tables, each.dtype)


def _restore_windows(chunks: Sequence[CodedChunk], samples: Sequence[Ints]) -> None:
    """Restore the windows of chunks that are alike, each as samples yet to be given their values.

    Their rows lie one behind the other with a zero between them, as outside of a chunk.
    """
    model, segment = chunks[0], chunks[0].time.segment
    ends = list(accumulate(high - low + 1 for low, high in (each.span for each in chunks)))
    channels, work = len(model.space.counts), model.frames.dtype
    if model.group == 1:
        residual = WORKSPACE.rows("residual", channels, ends[-1] - 1, work)
    else:  # rows of a frame are read as one
        residual = WORKSPACE.array("residual", (channels, ends[-1] - 1), work)
    spans = [residual[:, start : end - 1] for start, end in pairwise([0, *ends])]
    predicted = neighbour_sums(residual, model.space)
    zeros = [end - 1 for end in ends[:-1]]
    for first in range(0, len(residual), model.group):
        for chunk, span in zip(chunks, spans, strict=True):
            chunk.read_rows(first, span[first : first + model.group])
        for channel, row in enumerate(residual[first : first + model.group], first):
            total = predicted(channel)
            if total is not None:
                np.add(row, total, row)
            for place in zeros:
                row[place] = 0
    pieces = []
    for chunk, span, out in zip(chunks, spans, samples, strict=True):
        (start, _), (first, last), (low, _) = chunk.window, chunk.inside, chunk.span
        inside = span[:, first - low : last - low]
        if len(chunk.heads):
            inside[:, ::segment] = chunk.heads[:, first // segment : -(-last // segment)]
        pieces.append(Piece(inside, out, start - first))
    time_restore(pieces, model.time, model.baseline)


def _check_head(head: tuple[int, ...], length: int, channels: int, dtype: np.dtype) -> np.dtype:
    """Check the fixed part of the parameters, and return the type the samples are coded in."""
    (
        kind,
        flags,
        shift,
        width,
        space_shift,
        itemsize,
        spare,
        segment,
        part,
        group,
        terms,
        used,
        _,
    ) = head
    work = np.dtype(np.int16) if itemsize == 2 else np.dtype(np.int32)
    bits = 8 * itemsize
    most = {values.TABLE: values.MAX_TABLE, values.TABLES: length * channels}.get(kind, 0)
    sound = (
        kind in (values.DIRECT, values.SHIFTED, values.TABLE, values.TABLES)
        and itemsize in (2, 4)
        and itemsize <= dtype.itemsize
        and (kind != values.DIRECT or itemsize == dtype.itemsize)
        and (kind != values.SHIFTED or dtype == np.int32)
        and (kind != values.TABLES or itemsize == 2)
        and used <= most
        and flags <= 63
        and shift < bits
        and space_shift < bits
        and width <= MAX_TAPS
        and spare == 0
        and 1 <= segment <= max(length, 1)
        and part in (0, PART)
        and 1 <= group <= FRAME_SYMBOLS
        and (group == 1 or part == 0)
        and terms <= 255 * channels
    )
    if not sound:
        raise FormatError("the chunk's parameters contradict its header")
    return work


def _take_tables(
    take: MetaReader, kind: int, count: int, channels: int, dtype: np.dtype
) -> values.Tables | None:
    """Take off the tables of values, if there are any."""
    if kind == values.TABLES:
        lengths = take.take(channels, "u2").astype(np.int64)
    elif kind == values.TABLE:
        lengths = np.array([count])
    else:
        return None
    if lengths.sum() != count or lengths.min() == 0 or lengths.max() > values.MAX_TABLE:
        raise FormatError("the chunk's tables do not add up, or one is empty or too long")
    return values.Tables.unpack(take.take(count, dtype.str[1:]), lengths)


def _frame_sizes(
    classes: NDArray[np.uint8], channels: int, length: int, part: int, group: int
) -> list[int]:
    """Return the number of symbols of each frame."""
    if not part:
        return [length * min(group, channels - first) for first in range(0, channels, group)]
    lengths = np.full(classes.shape[1], part)
    lengths[-1] = length - (classes.shape[1] - 1) * part
    sizes: list[int] = []
    for row in classes:
        if row.max() >= MAX_CLASSES:
            raise FormatError("a part has a class out of range")
        row_sizes = np.bincount(row, weights=lengths).astype(np.int64).tolist()
        if 0 in row_sizes:
            raise FormatError("a class has no parts")
        sizes += row_sizes
    return sizes


def _decode_by_class(
    frames: "Frames", frame: int, classes: NDArray[np.uint8], row: Ints, low: int
) -> None:
    """Decode the frames of one row, the first of them `frame`, and put its parts in order.

    The row starts at sample `low`.
    """
    first, last = low // PART, -(-(low + len(row)) // PART)
    wanted, kinds = classes[first:last], int(classes.max()) + 1
    if kinds == 1:
        frames.read(frame, row, low)
        np.subtract(row, frames.offsets[frame], out=row)
        return
    ordered = WORKSPACE.array("ordered", (last - first, PART), row.dtype)
    place = 0
    for member in np.unique(wanted).tolist():
        # The parts wanted of a frame follow each other in it; only the row's last may be short.
        count = int(np.count_nonzero(wanted == member))
        begin = int(np.count_nonzero(classes[:first] == member)) * PART
        index = frame + member
        size = min(frames.sizes[index] - begin, count * PART)
        piece = ordered[place : place + count].reshape(-1)[:size]
        frames.read(index, piece, begin)
        np.subtract(piece, frames.offsets[index], out=piece)
        place += count
    order = np.argsort(wanted, kind="stable")
    whole = len(row) // PART
    inside = order < whole
    row[: whole * PART].reshape(-1, PART)[order[inside]] = ordered[inside]
    if whole < len(order):
        row[whole * PART :] = ordered[~inside][0, : len(row) - whole * PART]


class Share(NamedTuple):
    """Frames that another thread was asked to inflate."""

    frames: range
    future: Future[None]


class Frames:
    """The frames of a chunk: where they are in its body, and what they say.

    Attributes
    ----------
    sizes : list of int
        Symbols of each.
    offsets : array
        Of each frame with parts, else of each channel.
    """

    def __init__(
        self,
        take: MetaReader,
        body: bytes | memoryview,
        sizes: list[int],
        channels: int,
        by_class: bool,
        dtype: np.dtype,
    ) -> None:
        count = len(sizes)
        self.sizes, self.dtype = sizes, dtype
        self.unsigned = np.dtype(f"u{dtype.itemsize}")
        self.shifts: list[int] = take.take(count, "u1").tolist()
        self.offsets = take.take(count if by_class else channels, f"i{dtype.itemsize}")
        self.starts = _running_sum(take.take(count, "u4").tolist())
        self.exceptions = _running_sum(take.take(count, "u4").tolist())
        total = self.exceptions[-1]
        self.gaps = take.take(total, "u4").astype(np.int64)
        self.highs = take.take(total, "u4").astype(self.unsigned)
        if take.start != len(take.data):
            raise FormatError("the chunk's parameters end too late")
        if max(self.shifts, default=0) > 8 * dtype.itemsize - 8:
            raise FormatError("a frame's scale is out of range")
        packed = map(entropy.packed_size, sizes, self.shifts)
        self.low_starts = _running_sum(packed, self.starts[-1])
        self.data = memoryview(body)
        if self.low_starts[-1] != len(self.data):
            raise FormatError("the chunk's body has bytes too many or too few")
        self.ahead: dict[int, Any] = {}
        self.coming: deque[Share] = deque()
        self.submit: Submit | None = None
        self.ordered = 0

    def inflate_by(self, submit: Submit) -> None:
        """Have other threads inflate frames ahead of `read`, some at a time."""
        self.submit = submit
        self._order_ahead()

    def _order_ahead(self) -> None:
        """Keep other threads busy with the next shares, but not too far ahead of `read`."""
        while self.submit and len(self.coming) < SHARES_AHEAD and self.ordered < len(self.sizes):
            share = self._share_from(self.ordered)
            self.ordered = share.stop
            self.coming.append(Share(share, self.submit(self._inflate, share)))

    def _share_from(self, first: int) -> range:
        """Return as many frames, from the first on, as are inflated at a time."""
        symbols, last = 0, first
        while last < len(self.sizes) and symbols < SHARE_SYMBOLS:
            symbols += self.sizes[last]
            last += 1
        return range(first, last)

    def _inflate(self, share: range) -> None:
        """Inflate some frames in one call that leaves other threads at work."""
        pieces = [self.data[self.starts[i] : self.starts[i + 1]] for i in share]
        contents = entropy.inflate_all(pieces, [self.sizes[i] for i in share], WORKSPACE.decoder)
        self.ahead.update(zip(share, contents, strict=True))

    def _await(self, share: "Share") -> None:
        """Wait for a share; meanwhile inflate others that nobody has begun."""
        while not share.future.done():
            spare = next((each for each in self.coming if each.future.cancel()), None)
            if spare is None:
                break
            self.coming.remove(spare)
            self._inflate(spare.frames)
        share.future.result()

    def read(self, index: int, out: Ints, begin: int = 0) -> None:
        """Decode a frame into `out`, contiguous, but for the offsets.

        Of a frame that holds more, `out` gets what starts at symbol `begin`, a multiple of 8.
        """
        while self.coming and self.coming[0].frames[0] <= index:
            share = self.coming.popleft()
            if not share.future.cancel():
                self._await(share)
            self._order_ahead()
        size, shift = self.sizes[index], self.shifts[index]
        symbols = self.ahead.pop(index, None)
        if symbols is None:
            frame = self.data[self.starts[index] : self.starts[index + 1]]
            symbols = entropy.inflate(frame, size, WORKSPACE.decoder)
        wide = out.view(self.unsigned)
        wide[:] = np.frombuffer(symbols, np.uint8, len(wide), begin)
        if shift:
            np.left_shift(wide, self.unsigned.type(shift), out=wide)
            low = self.data[self.low_starts[index] : self.low_starts[index + 1]]
            entropy.unpack_low(np.frombuffer(low, np.uint8), shift, wide, size, begin)
        first, last = self.exceptions[index], self.exceptions[index + 1]
        if first < last:
            where = np.cumsum(self.gaps[first:last])
            if where[-1] >= size:
                raise FormatError("an exception lies outside its frame")
            highs = self.highs[first:last]
            if len(wide) < size:
                inside = (where >= begin) & (where < begin + len(wide))
                where, highs = where[inside] - begin, highs[inside]
            wide[where] += highs << self.unsigned.type(shift + 8)


def _running_sum(counts: Iterable[int], start: int = 0) -> list[int]:
    """Return where each of the pieces starts that have these sizes, and where the last ends."""
    return list(accumulate(counts, initial=start))
