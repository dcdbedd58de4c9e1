"""Samples to a coded chunk."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, fit, values
from shared.codec.chunk import (
    MAX_CLASSES,
    PART,
    Encoded,
    Flags,
    Mode,
    Parameters,
    ValueKind,
    raw_bytes,
    rows_per_frame,
)
from shared.codec.fit import Model
from shared.codec.fit_time import cut
from shared.codec.levels import Level
from shared.codec.predict import MANY_CHANNELS, Ints, neighbour_sums, time_residuals
from shared.codec.scale import Scale, choose_scale, choose_scales
from shared.codec.workspace import WORKSPACE

#: Cost of a further frame in bits: its Huffman table and its entries in the lists.
TABLE_BITS = 500.0


def encode(
    samples: NDArray[Any], level: Level, model: Model | None = None, fresh: bool = False
) -> Encoded:
    """Code one chunk of at least one sample, in native byte order.

    The model may be that of another chunk of the recording; `fresh` means this chunk's own.
    """
    fresh = fresh or model is None
    if model is None or len(model.scales) != samples.shape[1]:
        model = fit.fit(samples, level)
    coded, stale = _encode(samples, model)
    if stale and not fresh:
        # The recording has changed since the model was fitted.
        other, _ = _encode(samples, fit.fit(samples, level))
        coded = min(coded, other, key=lambda each: each.size)
    if coded.size >= samples.nbytes:
        return Encoded(Mode.STORED, b"", 0, bytes(raw_bytes(samples)))
    return coded


def _encode(samples: NDArray[Any], model: Model) -> tuple[Encoded, bool]:
    """Code one chunk with a given model; return also whether the model fits badly."""
    length, channels = samples.shape
    kind, base, table, rows = values.prepare(samples, model.ranked, model.base)
    baseline = model.baseline if rows.dtype == model.baseline.dtype else np.zeros_like(rows[:, 0])
    if baseline.any():
        np.subtract(rows, baseline[:, None], out=rows)
    time, space = cut(model.time, channels, length), model.space
    coded = CodedRows()
    group = rows_per_frame(length)
    by_class = channels < MANY_CHANNELS and group == 1
    residuals = time_residuals(rows, time)
    predicted = neighbour_sums(list(rows), length, rows.dtype, space)
    left = WORKSPACE.array("left rows", (group, length), rows.dtype)
    for first in range(0, channels, group):
        here = left[: min(group, channels - first)]
        for channel, out in enumerate(here, first):
            row = next(residuals)
            total = predicted(channel)
            if total is None:
                out[:] = row
            else:
                np.subtract(row, total, out=out)
        if by_class:
            coded.add_by_class(here[0])
        else:
            coded.add_group(here, model.scales[first : first + group])
    flags = Flags.DIFFERENCES * time.order | Flags.WIDE * time.wide | Flags.CLASSES * by_class
    sizes = time.segment, group, len(space.weights), len(table)
    shifts = time.shift, time.taps.shape[1], space.shift, rows.itemsize
    meta = b"".join(
        [
            Parameters(kind, Flags(flags), *shifts, *sizes, base).pack(),
            entropy.shuffle(values.pack_table(table)),
            entropy.shuffle(baseline),
            entropy.shuffle(time.taps.T),
            space.counts.tobytes(),
            space.distances.tobytes(),
            space.weights.tobytes(),
            *(each.tobytes() for each in coded.classes),
            *coded.lists(rows.dtype),
        ]
    )
    frames = coded.frames
    low = (each.tobytes() for frame in frames for each in frame.low)
    body = b"".join([*(frame.symbols for frame in frames), *low])
    stale = (model.ranked and kind != ValueKind.RANKED) or coded.stale * 4 > len(frames)
    return Encoded(Mode.CODED, WORKSPACE.meta_coder.compress(meta), len(meta), body), stale


@dataclass(frozen=True)
class Frame:
    """Some coded rows, or some coded parts of one row."""

    shift: int
    symbols: bytes
    low: list[NDArray[np.uint8]]
    far: NDArray[np.int64]
    highs: NDArray[Any]

    @property
    def size(self) -> int:
        """Approximate number of bytes; an exception takes three."""
        return len(self.symbols) + sum(map(len, self.low)) + 3 * len(self.far)

    def suspect(self, count: int) -> bool:
        """Return whether the scale of an earlier chunk may fit these samples badly."""
        return len(self.far) * 128 > count or (self.shift > 0 and 3 * len(self.symbols) < count)


@dataclass
class CodedRows:
    """The frames of a chunk, and the cuts of its rows into them."""

    frames: list[Frame] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    classes: list[NDArray[np.uint8]] = field(default_factory=list)
    stale: int = 0

    def add_group(self, rows: Ints, scales: list[Scale]) -> None:
        """Code rows that share a frame and its scale, but not the centre."""
        length = rows.shape[1]
        if any(each.shift != scales[0].shift for each in scales):  # chosen for longer rows
            scales = choose_scales(rows, length)
        frame = _code_frame(rows, scales)
        if frame.suspect(rows.size):
            others = choose_scales(rows, length)
            if len(frame.far) or others[0].shift != scales[0].shift:
                self.stale += 1
                scales = others
                frame = _code_frame(rows, scales)
        self.frames.append(frame)
        self.offsets += [scale.offset for scale in scales]

    def add_by_class(self, row: Ints) -> None:
        """Code parts with residuals of similar size together, apart from bursts, if it pays."""
        classes = _classify(row)
        ways = [np.zeros_like(classes), classes] if classes.any() else [classes]
        coded = [(way, *_code_classes(row, way)) for way in ways]
        chosen, frames, offsets = min(coded, key=lambda way: _size(way[1]))
        self.classes.append(chosen)
        self.frames += frames
        self.offsets += offsets

    def lists(self, dtype: np.dtype[Any]) -> list[bytes]:
        """Return the lists about the frames in the parameters."""
        frames = self.frames
        return [
            bytes(frame.shift for frame in frames),
            entropy.shuffle(np.array(self.offsets).astype(dtype)),
            entropy.shuffle(np.array([len(frame.symbols) for frame in frames], np.uint32)),
            entropy.shuffle(np.array([len(frame.far) for frame in frames], np.uint32)),
            entropy.shuffle(np.concatenate([_gaps(frame.far) for frame in frames])),
            entropy.shuffle(np.concatenate([frame.highs for frame in frames]).astype(np.uint32)),
        ]


def _gaps(far: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the exceptions' positions as differences from the one before in their frame."""
    return np.diff(far, prepend=0).astype(np.uint32)


def _size(frames: list[Frame]) -> float:
    """Return the approximate bytes of frames, with their entries in the lists."""
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
    """Sort the parts of a row into classes of similar size, as many as pay for their tables."""
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
            bits(first[0] + second[0], first[1] + second[1]) - bits(*first[:2]) - bits(*second[:2])
            for first, second in pairwise(totals)
        ]
        least = int(np.argmin(losses))
        if losses[least] > TABLE_BITS and len(totals) <= MAX_CLASSES:
            break
        first, second = totals[least], totals[least + 1]
        totals[least : least + 2] = [
            (first[0] + second[0], first[1] + second[1], first[2] + second[2])
        ]
    final = np.zeros(len(values), np.uint8)
    for index, (_, _, members) in enumerate(totals):
        final[members] = index
    return final[classes]


def _code_frame(piece: Ints, scales: list[Scale]) -> Frame:
    """Turn residuals, rows × samples, into symbols, low bits and exceptions.

    The scales, one for each row, differ only in the centre.
    """
    shift = scales[0].shift
    unsigned = np.dtype(f"u{piece.itemsize}")
    wide = WORKSPACE.array("values", (piece.size,), unsigned)
    grid = wide.view(piece.dtype).reshape(piece.shape)
    offsets = np.array([scale.offset for scale in scales]).astype(piece.dtype)
    np.add(piece, offsets[:, None] if len(piece) > 1 else offsets[0], out=grid)
    low = []
    if shift:
        low = entropy.pack_low(wide, shift)
        np.right_shift(wide, unsigned.type(shift), out=wide)
    far = np.zeros(0, np.int64)
    if np.maximum.reduce(wide) > 255:
        far = np.flatnonzero(wide > 255)
    symbols = WORKSPACE.array("symbols", (piece.size,), np.dtype(np.uint8))
    symbols[:] = wide
    coded = WORKSPACE.coder.compress(symbols.data)
    return Frame(shift, coded, low, far, wide[far] >> unsigned.type(8))
