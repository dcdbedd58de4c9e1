"""Lossless prediction of samples in time and across channels, in integers only.

All arithmetic is modular two's complement on fixed widths, the same in encoder and decoder. So any
samples are restored exactly with any model: an overflow costs bits, never exactness.
Floating point is used only to *fit* models, never to apply them. FORMAT.md gives the equations.

Arrays of samples are channel-major here: `(channels, samples)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.workspace import WORKSPACE

Ints = NDArray[Any]

#: Least number of channels for parallel decoding across channels ("many channels").
MANY_CHANNELS = 32
#: Samples per tile of a transposition.
TILE = 512


@dataclass(frozen=True)
class TimeModel:
    """Prediction of a sample from the samples before it in the same channel."""

    order: int  # 0 if the taps weigh samples, 1 if they weigh first differences
    shift: int  # fraction bits of the taps
    wide: bool  # products are summed in twice the sample's width
    taps: NDArray[np.int16]  # channels × p weights of the last p values, the most recent first
    segment: int  # samples per independent segment


@dataclass(frozen=True)
class SpaceModel:
    """Prediction of a channel's residual from channels decoded before."""

    shift: int  # fraction bits of the weights
    counts: NDArray[np.uint8]  # terms of each channel
    distances: NDArray[np.uint8]  # how many channels back each term looks, within the bank
    weights: NDArray[np.int8]  # of each term

    def ends(self) -> NDArray[np.int64]:
        """Return the number of terms of all channels up to and including each."""
        return np.cumsum(self.counts, dtype=np.int64)


# ---- time -------------------------------------------------------------------------------------


def time_residuals(rows: Ints, model: TimeModel) -> Iterator[Ints]:
    """Replace each sample by its difference from the prediction, except heads of segments.

    Each row is yielded when it is done, so that later steps find it in the cache.
    """
    width = model.taps.shape[1]
    plain = width == 0 or (width == 1 and model.order == 0 and not model.wide)
    replaced = _whole_rows(rows, model) if plain else _segmented_rows(rows, model)
    heads = rows[:, :: model.segment].copy()
    for row, head in zip(replaced, heads, strict=True):
        row[:: model.segment] = head
        yield row


def _whole_rows(rows: Ints, model: TimeModel) -> Iterator[Ints]:
    """Handle the common cases without segments."""
    scratch = np.empty(rows.shape[1] - 1, rows.dtype)
    shift = rows.dtype.type(model.shift)
    for channel, row in enumerate(rows):
        if model.taps.shape[1]:
            np.multiply(row[:-1], model.taps[channel, 0], out=scratch)
            np.right_shift(scratch, shift, out=scratch)
            np.subtract(row[1:], scratch, out=row[1:])
        elif model.order == 1:
            scratch[:] = row[:-1]
            np.subtract(row[1:], scratch, out=row[1:])
        yield row


def _segmented_rows(samples: Ints, model: TimeModel) -> Iterator[Ints]:
    """Handle several taps: each row as segments with their history before them."""
    length = samples.shape[1]
    segment, width = model.segment, model.taps.shape[1]
    count = -(-length // segment)
    dtype = sum_type(model, samples.dtype)
    history = np.zeros((count, width + segment), dtype)
    padded = np.zeros(count * segment, samples.dtype)
    rows = padded.reshape(count, segment)
    total, product = np.empty((2, count, segment), dtype)
    values = history[:, width:]
    for row, taps in zip(samples, model.taps.astype(dtype), strict=True):
        padded[:length] = row
        padded[length:] = row[-1]
        if model.order == 0:
            values[:] = rows
            history[:, :width] = rows[:, :1]
        else:
            values[:, 1:] = rows[:, 1:] - rows[:, :-1]
            values[:, 0] = 0
        np.multiply(history[:, width - 1 : -1], taps[0], out=total)
        for lag in range(2, width + 1):
            np.multiply(history[:, width - lag : -lag], taps[lag - 1], out=product)
            np.add(total, product, out=total)
        np.right_shift(total, model.shift, out=total)
        np.subtract(values, total, out=total)
        row[:] = total.reshape(-1)[:length]
        yield row


def sum_type(model: TimeModel, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the data type for sums of products of taps."""
    return np.dtype(f"i{2 * dtype.itemsize}") if model.wide else dtype


def transpose_into(source: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the transpose, in tiles that stay in the cache."""
    if source.shape[0] > source.shape[1]:
        for start in range(0, source.shape[0], TILE):
            out[:, start : start + TILE] = source[start : start + TILE].T
    else:
        for start in range(0, source.shape[1], TILE):
            stop = min(start + TILE, source.shape[1])
            out[start:stop] = source[:, start:stop].T


# ---- channels ---------------------------------------------------------------------------------


def neighbour_sums(
    rows: Sequence[Ints] | Mapping[int, Ints], length: int, dtype: np.dtype[Any], model: SpaceModel
) -> Callable[[int], Ints | None]:
    """Return the function that predicts a channel's residual from the rows of earlier channels.

    The result is valid until the next call; for a channel without neighbours it is None. Operands
    are made once, because there are thousands of calls of microseconds each.
    """
    total, product = WORKSPACE.rows("scratch", 2, length, dtype)
    ends, counts = model.ends().tolist(), model.counts.tolist()
    distances = model.distances.tolist()
    # An array without axes is an operand that needs no conversion.
    weights = [np.array(weight) for weight in model.weights.astype(dtype)]
    shift = np.array(model.shift, dtype)
    multiply, add, right_shift = np.multiply, np.add, np.right_shift

    def predict(channel: int) -> Ints | None:
        if not counts[channel]:
            return None
        end = ends[channel]
        first = end - counts[channel]
        multiply(rows[channel - distances[first]], weights[first], total)
        for term in range(first + 1, end):
            multiply(rows[channel - distances[term]], weights[term], product)
            add(total, product, total)
        return right_shift(total, shift, total)

    return predict


def less_neighbours(rows: Ints, space: SpaceModel) -> Iterator[Ints]:
    """Yield the residual of each row after prediction by its neighbours, in reused memory."""
    predicted = neighbour_sums(list(rows), rows.shape[1], rows.dtype, space)
    left = WORKSPACE.rows("left", 1, rows.shape[1], rows.dtype)[0]
    for channel, row in enumerate(rows):
        total = predicted(channel)
        yield row if total is None else np.subtract(row, total, out=left)
