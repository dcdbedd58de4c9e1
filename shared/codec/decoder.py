"""A coded chunk back to samples: all of it, or a window of it."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, values
from shared.codec.chunk import (
    BANK,
    MAX_CLASSES,
    MAX_TAPS,
    PART,
    Encoded,
    Flags,
    Mode,
    Parameters,
    ValueKind,
)
from shared.codec.errors import FormatError
from shared.codec.predict import Ints, SpaceModel, TimeModel, neighbour_sums
from shared.codec.restore import time_restore
from shared.codec.workspace import WORKSPACE

Shape = tuple[int, int]


class Window(NamedTuple):
    """The wanted samples of a chunk: the first, the end, and channels in ascending order."""

    start: int
    stop: int
    channels: NDArray[np.int64] | None = None


def take(samples: NDArray[Any], window: Window, out: NDArray[Any] | None) -> NDArray[Any]:
    """Return a window of the samples of a whole chunk, in `out` if it is given."""
    wanted = samples[window.start : window.stop]
    if window.channels is not None:
        wanted = wanted[:, window.channels]
    if out is None:
        return wanted
    out[:] = wanted
    return out


class StoredChunk:
    """A chunk of uncompressed samples."""

    def __init__(self, coded: Encoded, shape: Shape, dtype: np.dtype[Any]) -> None:
        if coded.meta or coded.meta_size:
            raise FormatError("a chunk without a model has parameters")
        if len(coded.body) != shape[0] * shape[1] * dtype.itemsize:
            raise FormatError("a chunk stored as it is has the wrong size")
        self.samples = np.frombuffer(coded.body, dtype.newbyteorder("<")).reshape(shape)

    def restore(
        self, window: Window, out: NDArray[Any] | None = None, threads: int = 1
    ) -> NDArray[Any]:
        """Return the samples of a window."""
        samples = take(self.samples, window, out)
        return samples if out is not None else samples.astype(samples.dtype.newbyteorder("="))


class MetaReader:
    """Reads arrays from the parameters, and refuses to read past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = 0

    def take(self, count: int, dtype: str) -> NDArray[Any]:
        """Return the next `count` elements."""
        kind = np.dtype(dtype)
        return entropy.unshuffle(self.bytes(count * kind.itemsize), kind)

    def bytes(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        if size < 0 or self.start + size > len(self.data):
            raise FormatError("the chunk's parameters end too early")
        self.start += size
        return self.data[self.start - size : self.start]


def meta_limit(shape: Shape) -> int:
    """Return the most bytes of a chunk's parameters, before compression."""
    per_channel = 8 + 2 * MAX_TAPS + 2 * BANK + 13 * MAX_CLASSES
    return Parameters.STRUCT.size + (1 << 18) + shape[1] * (per_channel + 17 * shape[0])


class CodedChunk:
    """A coded chunk: its parameters and frames (FORMAT.md, sections 2.1 and 2.2)."""

    def __init__(self, coded: Encoded, shape: Shape, dtype: np.dtype[Any]) -> None:
        if not Parameters.STRUCT.size <= coded.meta_size <= meta_limit(shape):
            raise FormatError("the chunk's parameters have an impossible size")
        reader = MetaReader(entropy.inflate(coded.meta, coded.meta_size, WORKSPACE.decoder))
        self.shape, self.dtype = shape, dtype
        self.numbers = numbers = Parameters.unpack(
            reader.bytes(Parameters.STRUCT.size), shape, dtype
        )
        channels, word = shape[1], f"i{numbers.width}"
        self.work, self.unsigned = np.dtype(word), np.dtype(f"u{numbers.width}")
        self.table = values.unpack_table(reader.take(numbers.values, dtype.str[1:]))
        self.baseline = reader.take(channels, word)
        taps = reader.take(numbers.taps * channels, "i2").reshape(numbers.taps, channels).T
        order, wide = numbers.flags & Flags.DIFFERENCES, bool(numbers.flags & Flags.WIDE)
        self.time = TimeModel(order, numbers.tap_shift, wide, taps, numbers.segment)
        self.space = _take_neighbours(reader, numbers, channels)
        parts = -(-shape[0] // PART) if numbers.flags & Flags.CLASSES else 0
        self.classes = reader.take(channels * parts, "u1").reshape(channels, parts)
        self._take_frames(reader, coded.body)

    def _take_frames(self, reader: MetaReader, body: Any) -> None:
        """Read the places of the frames, and the parameters of each."""
        self.sizes = self._frame_sizes()
        count, by_class = len(self.sizes), self.classes.size > 0
        shifts = reader.take(count, "u1")
        self.shifts = shifts.tolist()
        self.offsets = list(
            map(np.array, reader.take(count if by_class else self.shape[1], self.work.str[1:]))
        )
        self.starts = _running_sum(reader.take(count, "u4").tolist())
        self.exceptions = _running_sum(reader.take(count, "u4").tolist())
        self.gaps = reader.take(self.exceptions[-1], "u4").astype(np.int64)
        self.highs = reader.take(self.exceptions[-1], "u4").astype(self.unsigned)
        if reader.start != len(reader.data):
            raise FormatError("the chunk's parameters end too late")
        if np.any(shifts > 8 * self.work.itemsize - 8):
            raise FormatError("a frame's low bits are too many")
        lows = map(entropy.packed_size, self.sizes, self.shifts)
        self.low_starts = _running_sum(lows, self.starts[-1])
        self.body = memoryview(body)
        if self.low_starts[-1] != len(self.body):
            raise FormatError("the chunk's body has bytes too many or too few")
        self.inflated: dict[int, Any] = {}

    def _frame_sizes(self) -> list[int]:
        """Return the number of symbols of each frame."""
        length, channels = self.shape
        if not self.classes.size:
            group = self.numbers.group
            return [length * min(group, channels - first) for first in range(0, channels, group)]
        lengths = np.full(self.classes.shape[1], PART)
        lengths[-1] = length - (self.classes.shape[1] - 1) * PART
        sizes: list[int] = []
        for row in self.classes:
            if row.max() >= MAX_CLASSES:
                raise FormatError("a part has a class out of range")
            row_sizes = np.bincount(row, weights=lengths).astype(np.int64).tolist()
            if 0 in row_sizes:
                raise FormatError("a class has no parts")
            sizes += row_sizes
        return sizes

    @cached_property
    def first_frames(self) -> list[int]:
        """The first frame of each channel whose frames are by class."""
        return _running_sum((self.classes.max(axis=1).astype(int) + 1).tolist())

    # ---- samples ----

    def restore(
        self, window: Window, out: NDArray[Any] | None = None, threads: int = 1
    ) -> NDArray[Any]:
        """Return the samples of a window; only the segments and channels it needs are restored.

        Parameters
        ----------
        window : Window
        out : array, shape (samples wanted, channels wanted), optional
            Receives them.
        threads : int
            Number of threads for decompression.

        Raises
        ------
        FormatError
            If the bytes contradict themselves. Memory stays within a small multiple of the chunk.
        """
        start, stop, chosen = window
        length, channels = self.shape
        wanted = range(channels) if chosen is None else chosen.tolist()
        if out is None:
            out = np.empty((stop - start, len(wanted)), self.dtype)
        if not out.size:
            return out
        numbers, time, baseline = self.numbers, self.time, self.baseline
        if numbers.kind == ValueKind.DIRECT and out.flags.c_contiguous:
            samples = out.view(self.work)
        else:
            samples = WORKSPACE.array("samples", out.shape, self.work)
        # Whole segments are restored, and rows are read from the start of a part.
        segment, step = numbers.segment, PART if self.classes.size else 1
        first, last = start // segment * segment, min(length, -(-stop // segment) * segment)
        low = first // step * step
        residual = self._read_rows(wanted, low, last, threads)[:, first - low :]
        if chosen is not None:
            time, baseline = replace(time, taps=time.taps[chosen]), baseline[chosen]
        time_restore(residual, samples, start - first, time, baseline)
        values.restore(samples, numbers.kind, numbers.base, self.table, out)
        return out

    def _read_rows(self, wanted: Iterable[int], low: int, high: int, threads: int) -> Ints:
        """Return the rows of the wanted channels: residuals of the prediction in time."""
        wanted = list(wanted)
        needed = self._with_neighbours(wanted)
        if threads > 1:
            self._inflate(needed, threads)
        # Wanted rows come first, one after the other; rows that only help follow.
        others = sorted(set(needed) - set(wanted))
        block = WORKSPACE.rows("residual", len(needed), high - low, self.work)
        rows = dict(zip([*wanted, *others], block, strict=True))
        predicted = neighbour_sums(rows, high - low, self.work, self.space)
        for channel in needed:
            row = rows[channel]
            if self.classes.size:
                self._read_by_class(channel, row, low)
            else:
                group = self.numbers.group
                begin = channel % group * self.shape[0] + low
                self._read_frame(channel // group, row, begin, self.offsets[channel])
            total = predicted(channel)
            if total is not None:
                np.add(row, total, row)
        return block[: len(wanted)]

    def _with_neighbours(self, wanted: list[int]) -> list[int]:
        """Return the wanted channels and all that predict them, in ascending order."""
        channels = self.shape[1]
        if len(wanted) == channels:
            return wanted
        ends, counts = self.space.ends().tolist(), self.space.counts.tolist()
        distances = self.space.distances.tolist()
        needed = set(wanted)
        for channel in range(channels - 1, -1, -1):
            if channel in needed:
                terms = range(ends[channel] - counts[channel], ends[channel])
                needed.update(channel - distances[term] for term in terms)
        return sorted(needed)

    def _inflate(self, channels: list[int], threads: int) -> None:
        """Inflate all frames of some channels in one call with several threads."""
        if self.classes.size:
            firsts = self.first_frames
            numbers = [i for each in channels for i in range(firsts[each], firsts[each + 1])]
        else:
            numbers = sorted({channel // self.numbers.group for channel in channels})
        frames = [self.body[self.starts[i] : self.starts[i + 1]] for i in numbers]
        sizes = [self.sizes[i] for i in numbers]
        contents = entropy.inflate_all(frames, sizes, WORKSPACE.decoder, threads)
        self.inflated.update(zip(numbers, contents, strict=True))

    def _content(self, index: int) -> Any:
        """Return the symbols of a frame; the last frame is kept, because rows share frames."""
        if index not in self.inflated:
            frame = self.body[self.starts[index] : self.starts[index + 1]]
            content = entropy.inflate(frame, self.sizes[index], WORKSPACE.decoder)
            self.inflated = {index: content}
        return self.inflated[index]

    def _read_frame(self, index: int, out: Ints, begin: int, offset: Any) -> None:
        """Decode the symbols of a frame from `begin` on into `out`, which is contiguous."""
        wide = out.view(self.unsigned)
        wide[:] = np.frombuffer(self._content(index), np.uint8, len(wide), begin)
        shift, size = self.shifts[index], self.sizes[index]
        if shift:
            np.left_shift(wide, self.unsigned.type(shift), out=wide)
            low = self.body[self.low_starts[index] : self.low_starts[index + 1]]
            entropy.unpack_low(np.frombuffer(low, np.uint8), shift, wide, size, begin)
        first, last = self.exceptions[index], self.exceptions[index + 1]
        if first < last:
            where = np.cumsum(self.gaps[first:last])
            if where[-1] >= size:
                raise FormatError("an exception lies outside its frame")
            inside = slice(*np.searchsorted(where, [begin, begin + len(wide)]).tolist())
            highs = self.highs[first:last][inside]
            wide[where[inside] - begin] += highs << self.unsigned.type(shift + 8)
        np.subtract(out, offset, out)

    def _read_by_class(self, channel: int, row: Ints, low: int) -> None:
        """Decode the frames of a row that starts at sample `low`, and put its parts in order."""
        classes, frame = self.classes[channel], self.first_frames[channel]
        first, last = low // PART, -(-(low + len(row)) // PART)
        wanted = classes[first:last]
        if not classes.any():
            self._read_frame(frame, row, low, self.offsets[frame])
            return
        parts = WORKSPACE.array("parts", (last - first, PART), row.dtype)
        for member in np.unique(wanted).tolist():
            # The wanted parts of a frame follow each other in it; only the last may be short.
            mine = wanted == member
            count = int(np.count_nonzero(mine))
            begin = int(np.count_nonzero(classes[:first] == member)) * PART
            index = frame + member
            piece = WORKSPACE.array("piece", (count, PART), row.dtype)
            flat = piece.reshape(-1)[: self.sizes[index] - begin]
            self._read_frame(index, flat, begin, self.offsets[index])
            parts[mine] = piece
        row[:] = parts.reshape(-1)[: len(row)]


def of_mode(coded: Encoded, shape: Shape, dtype: np.dtype[Any]) -> CodedChunk | StoredChunk:
    """Return the decoder of a chunk of this shape and type."""
    return (StoredChunk if coded.mode == Mode.STORED else CodedChunk)(coded, shape, dtype)


def decode(
    coded: Encoded,
    shape: Shape,
    dtype: np.dtype[Any],
    window: Window | None = None,
    out: NDArray[Any] | None = None,
    threads: int = 1,
) -> NDArray[Any]:
    """Restore a chunk, or a window of it, as `CodedChunk.restore` does."""
    return of_mode(coded, shape, dtype).restore(window or Window(0, shape[0]), out, threads)


def _take_neighbours(reader: MetaReader, numbers: Parameters, channels: int) -> SpaceModel:
    """Read the neighbours; each must be an earlier channel of the same bank."""
    counts = reader.take(channels, "u1")
    distances = reader.take(numbers.terms, "u1")
    weights = reader.take(numbers.terms, "i1")
    if int(counts.sum(dtype=np.int64)) != numbers.terms:
        raise FormatError("the chunk's neighbours do not add up")
    place = np.repeat(np.arange(channels) % BANK, counts)
    if np.any(distances == 0) or np.any(distances > place):
        raise FormatError("the chunk names a neighbour that does not exist")
    return SpaceModel(numbers.weight_shift, counts, distances, weights)


def _running_sum(counts: Iterable[int], start: int = 0) -> list[int]:
    """Return the start of each piece, given the sizes, and the end of the last."""
    return list(accumulate(counts, initial=start))
