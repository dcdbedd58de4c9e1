"""Samples to a coded chunk."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, fit, values
from shared.codec.chunk import (
    CODED,
    MAX_CLASSES,
    META,
    PART,
    RAW,
    REPEATS,
    Encoded,
    rows_per_frame,
)
from shared.codec.fit import Level, Model
from shared.codec.fit_time import cut
from shared.codec.predict import (
    MANY_CHANNELS,
    Ints,
    SpaceModel,
    TimeModel,
    neighbour_sums,
    predict_row,
    row_residuals,
)
from shared.codec.scale import Scale, choose_scale, choose_scales
from shared.codec.workspace import WORKSPACE

#: The share of segment heads out of a byte's range from which all are kept apart.
FAR_HEADS = 0.15
#: Bits per sample below which a frame is searched for repeats, too.
THIN = 2.2
#: What a further frame costs: its Huffman table and its place in the lists, in bits.
TABLE_BITS = 500.0
NOTHING = np.zeros(0, np.int64)


def encode(
    samples: NDArray[Any], level: Level, model: Model | None = None, fresh: bool = False
) -> Encoded:
    """Code one chunk.

    Parameters
    ----------
    samples : array, shape (samples, channels)
        int16, uint16 or int32 in native byte order; at least one sample.
    level : Level
    model : Model, optional
        Fitted on this chunk, or on another of the same recording; by default on this one.
    fresh : bool
        Whether it was fitted on this chunk.

    Returns
    -------
    Encoded
    """
    fresh = fresh or model is None
    if model is None or len(model.scales) != samples.shape[1]:
        model = fit.fit(samples, level)
    coded, stale = _encode(samples, model)
    if stale and not fresh:
        # The recording is no longer what the model was fitted on.
        other, _ = _encode(samples, fit.fit(samples, level))
        coded = min(coded, other, key=lambda each: each.size)
    if model.repeats:
        coded = min(coded, _compress_steps(samples), key=lambda each: each.size)
    if coded.size >= samples.nbytes:
        return Encoded(RAW, b"", 0, _little(samples).tobytes())
    return coded


def _little(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as little-endian, its elements one after the other."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _compress_steps(samples: NDArray[Any]) -> Encoded:
    """Code a chunk that repeats itself: no prediction comes near to finding that."""
    steps = _little(values.steps_of(samples).T)
    return Encoded(REPEATS, b"", 0, WORKSPACE.repeat_coder.compress(steps.data))


def _encode(samples: NDArray[Any], model: Model) -> tuple[Encoded, bool]:
    """Code one chunk with a given model, and tell whether the model suits it badly."""
    length, channels = samples.shape
    ranked = values.steps_of(samples) if model.kind == values.STEPS else samples
    tables = values.tables_of(ranked, model.kind)
    unsuited = tables is None and model.kind != values.DIRECT
    kind, base, rows = values.prepare(samples if unsuited else ranked, tables, model.base)
    if len(model.baseline) and rows.dtype == model.baseline.dtype:
        np.subtract(rows, model.baseline[:, None], out=rows)
        baseline = model.baseline
    else:
        baseline = rows[:0, 0]
    time = cut(model.time, channels, length)
    heads = rows[:, :: time.segment].copy()
    # Segment heads are not predicted: where many would be exceptions, they are kept apart.
    scales = [Scale(*each) for each in model.scales.tolist()]
    reach = np.array([entropy.symbols_in(each.packing) // 2 << each.shift for each in scales])
    far = np.abs(heads.astype(np.int64)) >= reach[:, None]
    if far.mean() <= FAR_HEADS:
        heads = heads[:0]
    rows_coded = _code_rows(rows, time, model.space, scales, len(heads) > 0)
    frames, space = rows_coded.frames, model.space
    table = NOTHING.astype(samples.dtype) if tables is None else tables.packed()
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
            b"".join(each.tobytes() for each in rows_coded.classes),
            bytes(frame.shift | frame.packing << 6 for frame in frames),
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
    classes: list[NDArray[np.uint8]]
    part: int
    group: int
    stale: int = 0
    wraps: bool = False


@dataclass(frozen=True)
class Frame:
    """Some rows, or some parts of one row, as coded."""

    shift: int
    packing: int
    symbols: bytes
    low: list[NDArray[np.uint8]]
    far: NDArray[np.int64]
    highs: NDArray[Any]

    @property
    def size(self) -> int:
        """Number of bytes, as a rule: an exception takes three."""
        return len(self.symbols) + sum(map(len, self.low)) + 3 * len(self.far)

    def suspect(self, count: int) -> bool:
        """Tell whether the scale of an earlier chunk may suit these samples badly."""
        thin = self.packing == 0 and 3 * len(self.symbols) < count
        return thin or len(self.far) * 128 > count


def _code_rows(
    samples: Ints, time: TimeModel, space: SpaceModel, scales: list[Scale], blank: bool
) -> CodedRows:
    """Predict each row in time, then from its neighbours, and code what is left.

    In place of the samples is then what time leaves of them, without the heads if `blank`.
    """
    channels, length = samples.shape
    group = rows_per_frame(length)
    by_class = channels < MANY_CHANNELS and group == 1 and length > 2 * PART
    coded = CodedRows([], [], [], PART if by_class else 0, group)
    block = WORKSPACE.array("block", (group, length), samples.dtype)
    predicted, residuals = neighbour_sums(samples, space), row_residuals(samples, time)
    for first in range(0, channels, group):
        rows = block[: min(group, channels - first)]
        for channel, row in enumerate(rows, first):
            coded.wraps |= next(residuals)
            if blank:
                samples[channel, :: time.segment] = 0
            predict_row(samples[channel], predicted(channel), row)
        if by_class:
            _code_by_class(rows[0], coded)
        else:
            _code_group(rows, scales[first : first + group], coded)
    return coded


def _code_group(rows: Ints, scales: list[Scale], coded: CodedRows) -> None:
    """Code rows that share a frame, and with it a scale, but not the centre."""
    if any(each[:2] != scales[0][:2] for each in scales):  # chosen for longer rows
        scales = _scales_of(rows)
    frame = _code_frame(rows, scales)
    if frame.suspect(rows.size):
        others = _scales_of(rows)
        if len(frame.far) or others[0][:2] != scales[0][:2]:
            coded.stale += 1
            scales = others
            frame = _code_frame(rows, scales)
    coded.frames.append(frame)
    coded.offsets += [scale.offset for scale in scales]


def _scales_of(rows: Ints) -> list[Scale]:
    """Return the scales that suit rows of a frame."""
    return choose_scales(rows, rows.mean(axis=1), rows.shape[1])


def _code_by_class(row: Ints, coded: CodedRows) -> None:
    """Code parts of like size together, bursts and artefacts apart from the rest, if it pays."""
    classes = _classify(row)
    ways = [np.zeros_like(classes), classes] if classes.any() else [classes]
    coded_ways = [(way, *_code_classes(row, way)) for way in ways]
    chosen, frames, offsets = min(coded_ways, key=lambda way: _size(way[1]))
    coded.classes.append(chosen)
    coded.frames += frames
    coded.offsets += offsets


def _size(frames: list[Frame]) -> float:
    """Return the bytes that frames take, about, with their places in the lists."""
    return sum(frame.size for frame in frames) + len(frames) * TABLE_BITS / 16


def _code_classes(row: Ints, classes: NDArray[np.uint8]) -> tuple[list[Frame], list[int]]:
    """Code a row with its parts sorted by class; return its frames and their offsets."""
    ordered, sizes = gather_parts(row, classes)
    frames, offsets, start = [], [], 0
    for size in sizes:
        piece = ordered[None, start : start + size]
        scale = choose_scale(piece, size)
        frames.append(_code_frame(piece, [scale]))
        offsets.append(scale.offset)
        start += size
    return frames, offsets


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


def _code_frame(piece: Ints, scales: list[Scale]) -> Frame:
    """Turn residuals, rows × samples, into symbols, low bits and exceptions.

    The scales, one for each row, differ in nothing but the centre.
    """
    shift, packing, _ = scales[0]
    unsigned = np.dtype(f"u{piece.itemsize}")
    wide = WORKSPACE.array("values", (piece.size,), unsigned)
    grid = wide.view(piece.dtype).reshape(piece.shape)
    added = np.array([scale.offset for scale in scales]).astype(piece.dtype)
    if len(piece) == 1:
        np.add(piece[0], added[0], out=grid[0])
    else:
        np.add(piece, added[:, None], out=grid)
    low = []
    if shift:
        low = entropy.pack_low(wide, shift)
        np.right_shift(wide, unsigned.type(shift), out=wide)
    far, highs = NOTHING, wide[:0]
    top = entropy.symbols_in(packing) - 1
    if np.maximum.reduce(wide) > top:
        far = np.flatnonzero(wide > top)
        highs = wide[far] >> unsigned.type(8 >> packing)
    symbols = WORKSPACE.array("symbols", (piece.size,), np.dtype(np.uint8))
    symbols[:] = wide
    if packing:
        np.bitwise_and(symbols, np.uint8(top), out=symbols)
    packed = entropy.pack(symbols, packing)
    coded = WORKSPACE.coder.compress(packed.data)
    if packing == 2 or 8 * len(coded) < THIN * piece.size:
        # Few and regular: there may be more to find than how often each occurs.
        coded = min(coded, WORKSPACE.repeat_coder.compress(packed.data), key=len)
    return Frame(shift, packing, coded, low, far, highs)
