"""Residuals back to samples: the inverse of the prediction in time (FORMAT.md, section 2.4).

A sample needs those before it, but segments do not depend on each other. So all segments of all
channels are restored side by side, one lane each, and a step in time is a few calls on a row of
lanes. Some steps of all lanes are loaded, computed and stored at a time, so that they stay in the
cache.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.predict import MANY_CHANNELS, Ints, TimeModel, sum_type

#: Steps computed at a time, within the cache.
STEPS = 128
#: Least number of lanes for which one call computes and sums the products.
LONG_ROW = 1000
#: Most lanes for which the library's sum along time is faster than one call per step.
SHORT_ROW = 128


@dataclass(frozen=True)
class LaneLayout:
    """Order of the lanes in memory: by channel, or by segment."""

    channels: int
    segments: int
    by_channel: bool

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of each lane's channel: channels × n become n × lanes."""
        if self.by_channel:
            return np.repeat(values.T, self.segments, axis=1)
        return np.tile(values.T, (1, self.segments))

    def view(self, steps: Ints) -> Ints:
        """Return rows of lanes as steps × segments × channels."""
        if self.by_channel:
            return steps.reshape(len(steps), self.channels, self.segments).transpose(0, 2, 1)
        return steps.reshape(len(steps), self.segments, self.channels)


def time_restore(residual: Ints, out: Ints, skip: int, model: TimeModel, baseline: Ints) -> None:
    """Turn channel-major residuals into time-major samples, and add the baseline of each channel.

    The residuals are those of whole segments; only the last may be short. `out`, C-contiguous,
    receives the samples from `skip` on.
    """
    segment, narrow = model.segment, out.dtype
    channels, past = len(residual), max(model.taps.shape[1], 1)
    segments = -(-residual.shape[1] // segment)
    # The longer of the two axes forms the rows to copy.
    layout = LaneLayout(channels, segments, channels < MANY_CHANNELS and segments > 1)
    lanes_in_all = np.zeros((past + STEPS, segments * channels), sum_type(model, narrow))
    history, level = lanes_in_all[:past].copy(), lanes_in_all[0].copy()
    as_they_are = lanes_in_all.dtype == narrow and not baseline.any()
    ready = np.empty((0 if as_they_are else STEPS, lanes_in_all.shape[1]), narrow)
    added = layout.spread(baseline[:, None])
    taps = layout.spread(model.taps)
    recur = _recur_wide if model.wide else _recur
    for begin in range(0, segment, STEPS):
        lanes = lanes_in_all[: past + min(STEPS, segment - begin)]
        steps = lanes[past:]
        _load(residual, segment, begin, layout.view(steps), layout.by_channel)
        lanes[:past] = history
        if begin == 0 and model.order == 0:
            lanes[:past] = steps[0]
        elif begin == 0:  # the recursion is over differences, and these start at the head
            level[:], steps[0] = steps[0], 0
        if len(taps):
            recur(lanes, past + (begin == 0), taps, model.shift)
        history = lanes[-past:].copy()
        if model.order == 1:
            np.add(steps[0], level, out=steps[0])
            accumulate(steps)
            level[:] = steps[-1]
        if not as_they_are:
            ready[: len(steps)] = steps
            steps = np.add(ready[: len(steps)], added, out=ready[: len(steps)])
        _store(out, skip, segment, begin, layout.view(steps), layout.by_channel)


def _load(residual: Ints, segment: int, begin: int, steps: Ints, by_channel: bool) -> None:
    """Fetch some steps of all segments, from step `begin` on: steps × segments × channels."""
    count, whole = len(steps), residual.shape[1] // segment
    if by_channel:
        for channel, row in enumerate(residual):
            block = row[: whole * segment].reshape(whole, segment)[:, begin : begin + count]
            steps[:, :whole, channel] = block.T
    else:
        for number in range(whole):
            start = number * segment + begin
            steps[:, number] = residual[:, start : start + count].T
    rest = residual[:, whole * segment + begin :][:, :count]
    if rest.shape[1]:
        steps[: rest.shape[1], whole] = rest.T


def _store(out: Ints, skip: int, segment: int, begin: int, steps: Ints, by_channel: bool) -> None:
    """Store those steps of all segments whose samples are wanted."""
    count, channels = len(steps), out.shape[1]
    # Whole wanted segments lie evenly in `out`; the ones before and after are wanted in part.
    first, last = -(-skip // segment), (skip + len(out)) // segment
    if first < last:
        even = out[first * segment - skip : last * segment - skip]
        target = even.reshape(-1, segment, channels)[:, begin : begin + count]
        source = steps[:, first:last]
        if by_channel:
            for channel in range(channels):
                target[:, :, channel] = source[:, :, channel].T
        else:
            target[:] = source.transpose(1, 0, 2)
    for place in {first - 1, max(first - 1, last)}:
        start = place * segment + begin - skip
        low, high = max(start, 0), min(start + count, len(out))
        if place >= 0 and low < high:
            out[low:high] = steps[low - start : high - start, place]


def accumulate(rows: Ints) -> None:
    """Replace each row by the sum of the rows up to it; faster than the library for long rows."""
    add = np.add
    if rows.shape[1] < SHORT_ROW:
        add.accumulate(rows, axis=0, out=rows)
        return
    for before, now in pairwise(rows):
        add(before, now, now)


def _recur(lanes: Ints, first: int, taps: Ints, shift: int) -> None:
    """Run the narrow recursion over rows of `lanes` from `first` on: residual in, values out.

    There are thousands of steps of a microsecond each, so the calls per step are few and simple.
    """
    width = len(taps)
    multiply, add, right_shift = np.multiply, np.add, np.right_shift
    by, total = np.array(shift, lanes.dtype), np.empty_like(lanes[0])
    if width == 1:
        tap = taps[0].astype(lanes.dtype)
        for before, now in pairwise(lanes[first - 1 :]):
            multiply(before, tap, total)
            right_shift(total, by, total)
            add(now, total, now)
        return
    # The last values, oldest first, are one contiguous operand of one multiplication. Its rows
    # are few, so adding them one by one is faster than a reduction.
    reverse = np.ascontiguousarray(taps[::-1], lanes.dtype)
    products = np.empty_like(reverse)
    first_product, second_product, *others = products
    for index, now in enumerate(lanes[first:], first):
        multiply(lanes[index - width : index], reverse, products)
        add(first_product, second_product, total)
        for product in others:
            add(total, product, total)
        right_shift(total, by, total)
        add(now, total, now)


def _recur_wide(lanes: Ints, first: int, taps: Ints, shift: int) -> None:
    """Run the wide recursion over rows of `lanes` from `first` on.

    The residual enters the sum as one more tap. Weights are scaled so that the value is the upper
    half of the sum: one shift both drops the fraction and reduces it to the sample's width.
    """
    width, half = len(taps), 4 * lanes.itemsize
    weights = np.empty((width + 1, lanes.shape[1]), lanes.dtype)
    weights[:width], weights[width] = taps[::-1], 1 << shift
    weights <<= half - shift
    by = np.array(half, lanes.dtype)
    multiply, right_shift, reduce, einsum = np.multiply, np.right_shift, np.add.reduce, np.einsum
    products, total = np.empty_like(weights), np.empty_like(lanes[0])
    long = lanes.shape[1] >= LONG_ROW
    for now in range(first, len(lanes)):
        if long:  # one call, which takes longer to start
            einsum("tl,tl->l", lanes[now - width : now + 1], weights, out=total)
        else:
            multiply(lanes[now - width : now + 1], weights, products)
            reduce(products, 0, out=total)
        right_shift(total, by, lanes[now])
