"""A coded chunk back to samples, all of it or a window."""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, values
from shared.codec.chunk import (
    CODED,
    FRAME_SYMBOLS,
    MAX_CLASSES,
    MAX_TAPS,
    META,
    PARTS,
    RAW,
    REPEATS,
)
from shared.codec.errors import FormatError
from shared.codec.predict import (
    Ints,
    SpaceModel,
    TimeModel,
    lag_reach,
    neighbour_sums,
    same,
    transpose_into,
)
from shared.codec.restore import Piece, Submit, time_restore
from shared.codec.workspace import WORKSPACE

#: Symbols that another thread inflates at a time: about half a millisecond's.
SHARE_SYMBOLS = 1 << 19
#: Shares of a chunk inflated ahead: their memory is used again, which fresh memory would slow.
SHARES_AHEAD = 2


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
    window = window or (0, length)
    if mode in (RAW, REPEATS):
        if meta or meta_size:
            raise FormatError("a chunk without a model has parameters")
        return PlainChunk(body, mode == REPEATS, (length, channels), dtype, window)
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
    # Of steps from sample to sample, all are summed up from the first on.
    start, stop = (0, window[1]) if kind == values.STEPS else window
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
        dtype, kind, base, tables, baseline, heads.reshape(-1, segments), time, space, part,
        classes, frames, group, window, (first, last), (low, high),
    )  # fmt: skip


@dataclass(frozen=True)
class PlainChunk:
    """A chunk of samples as they are, or of their steps, compressed as they are."""

    body: bytes | memoryview
    steps: bool
    shape: tuple[int, int]
    dtype: np.dtype
    window: tuple[int, int]

    def inflate_by(self, submit: Submit) -> None:
        """Do nothing."""

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the samples of the window."""
        size = self.shape[0] * self.shape[1] * self.dtype.itemsize
        body = entropy.inflate(self.body, size, WORKSPACE.decoder) if self.steps else self.body
        if len(body) != size:
            raise FormatError("a chunk stored as it is has the wrong size")
        little = np.frombuffer(body, self.dtype.newbyteorder("<"))
        if self.steps:
            samples = summed_up(little.reshape(self.shape[::-1]).astype(self.dtype))
        else:
            samples = little.reshape(self.shape)
        wanted = samples[slice(*self.window)]
        if out is None:
            return wanted.astype(self.dtype)
        out[:] = wanted
        return out


def summed_up(rows: NDArray[Any]) -> NDArray[Any]:
    """Return samples × channels of which `rows`, which are overwritten, are the steps."""
    np.cumsum(rows, axis=1, dtype=rows.dtype, out=rows)
    samples = np.empty(rows.shape[::-1], rows.dtype)
    transpose_into(rows, samples)
    return samples


@dataclass(frozen=True)
class CodedChunk:
    """The parameters of a coded chunk, and which of its samples are wanted.

    `window` is what is wanted, `inside` the segments that hold what is restored for it, and `span`
    the samples of each row that these need: first sample and end.
    """

    dtype: np.dtype
    kind: int
    base: int
    tables: values.Tables | None
    baseline: Ints
    heads: Ints
    time: TimeModel
    space: SpaceModel
    part: int
    classes: NDArray[np.uint8]
    frames: "Frames"
    group: int
    window: tuple[int, int]
    inside: tuple[int, int]
    span: tuple[int, int]

    @property
    def first(self) -> int:
        """The first sample to restore."""
        return 0 if self.kind == values.STEPS else self.window[0]

    @cached_property
    def firsts(self) -> list[int]:
        """The first frame of each row that has frames by class."""
        return _running_sum((self.classes.max(axis=1).astype(int) + 1).tolist())

    def inflate_by(self, submit: Submit) -> None:
        """Have other threads inflate the frames."""
        self.frames.inflate_by(submit)

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Restore the samples of the window."""
        start, stop = self.window
        shape, work = (stop - self.first, len(self.space.counts)), self.frames.dtype
        in_place = self.in_place(out)
        if out is not None and in_place:
            samples = out.view(work)
        else:
            samples = WORKSPACE.array("samples", shape, work) if scratch else np.empty(shape, work)
        _restore_windows([self], [samples])
        restored = values.restore(samples, self.kind, self.base, self.tables, self.dtype)
        if out is None:
            return restored[start - self.first :]
        if not in_place:
            out[:] = restored[start - self.first :]
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
            classes = self.classes[first]
            _decode_by_class(frames, self.firsts[first], classes, self.part, rows[0], low)
        elif self.group == 1:
            row = rows[0]
            frames.read(first, row, low)
            np.subtract(row, frames.each_offset[first], row)
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
        (first, last), (low, _) = chunk.inside, chunk.span
        inside = span[:, first - low : last - low]
        if len(chunk.heads):
            inside[:, ::segment] = chunk.heads[:, first // segment : -(-last // segment)]
        pieces.append(Piece(inside, out, chunk.first - first))
    time_restore(pieces, model.time, model.baseline, model.frames.submit)


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
    most = {
        values.TABLE: values.MAX_TABLE,
        values.TABLES: length * channels,
        values.STEPS: values.MAX_TABLE,
    }.get(kind, 0)
    sound = (
        kind <= values.STEPS
        and itemsize in (2, 4)
        and itemsize <= dtype.itemsize
        and (kind != values.DIRECT or itemsize == dtype.itemsize)
        and (kind != values.SHIFTED or dtype == np.int32)
        and (kind not in (values.TABLES, values.STEPS) or itemsize == 2)
        and used <= most
        and flags <= 63
        and shift < bits
        and space_shift < bits
        and width <= MAX_TAPS
        and spare == 0
        and 1 <= segment <= max(length, 1)
        and part in PARTS
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
    elif kind in (values.TABLE, values.STEPS):
        lengths = np.array([count])
    else:
        return None
    if lengths.sum() != count or lengths.min() == 0 or lengths.max() > values.MAX_TABLE:
        raise FormatError("the chunk's tables do not add up, or one is empty or too long")
    return values.Tables.unpack(take.take(count, dtype.str[1:]), lengths, kind)


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
    frames: "Frames", frame: int, classes: NDArray[np.uint8], part: int, row: Ints, low: int
) -> None:
    """Decode the frames of one row, the first of them `frame`, and put its parts in order.

    The row starts at sample `low`.
    """
    first, last = low // part, -(-(low + len(row)) // part)
    wanted, kinds = classes[first:last], int(classes.max()) + 1
    if kinds == 1:
        frames.read(frame, row, low)
        np.subtract(row, frames.each_offset[frame], out=row)
        return
    parts = WORKSPACE.array("parts", (last - first, part), row.dtype)
    for member in np.unique(wanted).tolist():
        # The parts wanted of a frame follow each other in it; only the row's last may be short.
        mine = wanted == member
        count = int(np.count_nonzero(mine))
        begin = int(np.count_nonzero(classes[:first] == member)) * part
        index = frame + member
        piece = WORKSPACE.array("piece", (count, part), row.dtype)
        flat = piece.reshape(-1)[: frames.sizes[index] - begin]
        frames.read(index, flat, begin)
        np.subtract(flat, frames.each_offset[index], out=flat)
        parts[mine] = piece
    row[:] = parts.reshape(-1)[: len(row)]


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
    each_offset : list of array
        The same, one by one: an array without axes is an operand that needs no conversion.
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
        scales = take.take(count, "u1")
        self.shifts, self.packings = (scales & 63).tolist(), (scales >> 6).tolist()
        self.contents = [-(-n >> packing) for n, packing in zip(sizes, self.packings, strict=True)]
        self.offsets = take.take(count if by_class else channels, f"i{dtype.itemsize}")
        self.each_offset = [np.array(offset) for offset in self.offsets]
        self.starts = _running_sum(take.take(count, "u4").tolist())
        self.exceptions = _running_sum(take.take(count, "u4").tolist())
        total = self.exceptions[-1]
        self.gaps = take.take(total, "u4").astype(np.int64)
        self.highs = take.take(total, "u4").astype(self.unsigned)
        if take.start != len(take.data):
            raise FormatError("the chunk's parameters end too late")
        if not np.all(
            (scales <= 8 * dtype.itemsize - 8) | (scales == 1 << 6) | (scales == 2 << 6)
        ):
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
        contents = entropy.inflate_all(
            pieces, [self.contents[i] for i in share], WORKSPACE.decoder
        )
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
        size, shift, packing = self.sizes[index], self.shifts[index], self.packings[index]
        content = self.ahead.pop(index, None)
        if content is None:
            frame = self.data[self.starts[index] : self.starts[index + 1]]
            content = entropy.inflate(frame, self.contents[index], WORKSPACE.decoder)
        wide = out.view(self.unsigned)
        if packing:
            symbols = np.frombuffer(content, np.uint8, offset=begin >> packing)
            wide[:] = entropy.unpack(symbols, packing, len(wide))
        else:
            wide[:] = np.frombuffer(content, np.uint8, len(wide), begin)
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
            wide[where] += highs << self.unsigned.type(shift + (8 >> packing))


def _running_sum(counts: Iterable[int], start: int = 0) -> list[int]:
    """Return where each of the pieces starts that have these sizes, and where the last ends."""
    return list(accumulate(counts, initial=start))
