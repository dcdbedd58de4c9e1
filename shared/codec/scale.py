"""How residuals become symbols: centre, low bits set aside, symbols packed in a byte.

FORMAT.md, section 2.2, says what is made of these; here they are chosen, by what they cost.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy

#: Residuals of this mean size are well within a byte.
QUIET = 5.0
#: Below this mean size, two or four symbols may fit in a byte.
FAINT = 2.6
#: Residuals looked at, at most.
LOOK = 8192
#: Bits an exception takes.
EXCEPTION_BITS = 24.0
#: What a Huffman code takes over the entropy, in bits per symbol, where no symbol is frequent.
HUFFMAN_LOSS = 0.035
#: A symbol of this share of all has the shortest code.
FREQUENT = 0.4


#: Up to this log of the size, residuals are counted value by value to tell what they take; where
#: they are small, their size tells nothing.
COUNTED = 4.5
SMALL = 1.5
MOST_COUNTED = 1 << 9
#: What a sample takes over the log of the mean size, where the distribution is Laplace's.
LAPLACE_BITS = 2.44


def log_sizes(left: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log of the size of residuals, channels × pieces × samples, of each channel.

    By the mean size of each piece, since loud pieces have a scale of their own.
    """
    if not left.size:
        return np.zeros(len(left))
    sizes = np.abs(left.astype(np.float32)).mean(axis=2)
    return np.log2(sizes.astype(np.float64) + 0.3).mean(axis=1)


def residual_bits(left: NDArray[Any]) -> NDArray[np.float64]:
    """Estimate the bits a sample takes, of each channel.

    Parameters
    ----------
    left : array, shape (channels, pieces, samples)
        Residuals; fractions are rounded up, as those of predictions are rounded down.

    Returns
    -------
    array, shape (channels,)
        By the size of the residuals, or by their entropy, since some use few of the values near.
    """
    sizes = log_sizes(left)
    bits = sizes + LAPLACE_BITS
    for channel in np.flatnonzero(sizes < COUNTED) if left.size else ():
        counted = _entropy(np.ceil(left[channel]).reshape(-1))
        small = sizes[channel] < SMALL
        bits[channel] = counted if small else min(counted, bits[channel])
    return bits


def _entropy(values: NDArray[Any]) -> float:
    """Return the entropy of small whole numbers, in bits, as of many more than these."""
    near = np.clip(values, -MOST_COUNTED, MOST_COUNTED).astype(np.int16)
    near += np.int16(MOST_COUNTED)
    counts = np.bincount(near)
    shares = counts[counts > 0] / len(near)
    return hidden_bits(len(shares), len(near)) - float((shares * np.log2(shares)).sum())


def hidden_bits(symbols: int, size: int) -> float:
    """Return how much less than the entropy its estimate by a sample is (Miller and Madow)."""
    return 0.72 * (symbols - 1) / size


class Scale(NamedTuple):
    """How residuals become symbols.

    Attributes
    ----------
    shift : int
        Low bits set aside.
    packing : int
        Symbols share a byte by 2 ** packing: 0, 1 or 2; if not 0, `shift` is.
    centre : int
        The residual in the middle of the symbols.
    """

    shift: int
    packing: int
    centre: int

    @property
    def offset(self) -> int:
        """What is added to a residual to make it non-negative."""
        return (entropy.symbols_in(self.packing) // 2 << self.shift) - self.centre


def choose_scale(piece: NDArray[Any], length: int) -> Scale:
    """Choose a scale by what an excerpt of it would cost.

    Parameters
    ----------
    piece : array
        Residuals, those that follow each other in time together.
    length : int
        Number of samples that will share the scale, and a Huffman table.
    """
    some = some_of(piece)
    centre = round(float(some.mean()))
    size = float(np.abs(some - centre).mean()) + 0.01
    if size < FAINT:
        return min(_packed(some, centre, length), key=lambda each: each[0])[1]
    if size < QUIET:
        return Scale(0, 0, centre)
    most = 8 * piece.itemsize - 8
    start = int(np.clip(np.rint(np.log2(size / 12)), 0, most))
    shifts = range(max(0, start - 1), min(start + 1, most) + 1)
    scales = [Scale(shift, 0, centre) for shift in shifts]
    return min(scales, key=lambda scale: scaled_bits(some, scale, length))


def choose_scales(rows: NDArray[Any], centres: NDArray[Any], length: int) -> list[Scale]:
    """Choose the scales of rows of `length` samples that share a frame, each with its centre."""
    limits = np.iinfo(rows.dtype)
    whole = np.clip(np.rint(centres), limits.min, limits.max).astype(rows.dtype)
    shift, packing, middle = choose_scale(rows - whole[:, None], len(rows) * length)
    return [Scale(shift, packing, centre + middle) for centre in whole.tolist()]


def some_of(piece: NDArray[Any]) -> NDArray[np.int64]:
    """Return some of the residuals, four in a row each time."""
    flat = piece.reshape(-1)
    if len(flat) <= LOOK:
        return flat.astype(np.int64)
    fours = flat[: len(flat) & ~3].reshape(-1, 4)
    return fours[:: -(-len(flat) // LOOK)].reshape(-1).astype(np.int64)


def _packed(some: NDArray[np.int64], mean: int, length: int) -> list[tuple[float, Scale]]:
    """Return the ways to pack small residuals in bytes, and what they cost."""
    scales = [Scale(0, 0, mean), Scale(0, 1, mean), Scale(0, 2, _busiest(some, mean))]
    return [(scaled_bits(some, scale, length), scale) for scale in scales]


def _busiest(some: NDArray[np.int64], mean: int) -> int:
    """Return the third of the four values in a row that hold most residuals, next to the mean."""
    counts = [np.count_nonzero(some == mean + each) for each in range(-4, 4)]
    held = {third: sum(counts[third + 2 : third + 6]) for third in (0, 1, -1, 2, -2)}
    return mean + max(held, key=lambda third: held[third])


def scaled_bits(some: NDArray[np.int64], scale: Scale, length: int) -> float:
    """Return the bits a sample takes at a scale, its share of a Huffman table included."""
    width = entropy.symbols_in(scale.packing)
    symbols = (some + scale.offset) >> scale.shift
    inside = (symbols >= 0) & (symbols < width)
    per_byte = 1 << scale.packing
    packed = entropy.pack(np.where(inside, symbols, 0).astype(np.uint8), scale.packing)
    counts = np.bincount(packed, minlength=256)
    counts = counts[counts > 0]
    bits = _huffman_bits(counts)
    bits = (bits + hidden_bits(len(counts), len(packed))) / per_byte + 4 * len(counts) / length
    return scale.shift + bits + EXCEPTION_BITS * (1 - float(inside.mean()))


def _huffman_bits(counts: NDArray[np.int64]) -> float:
    """Estimate what a Huffman code takes per symbol: a frequent one takes a whole bit."""
    rest = np.sort(counts)[::-1]
    total, bits = float(rest.sum()), 0.0
    while len(rest) > 1 and rest[0] > FREQUENT * rest.sum():
        bits += float(rest.sum())
        rest = rest[1:]
    if len(rest) > 1:
        sum_ = float(rest.sum())
        bits += sum_ * HUFFMAN_LOSS - float((rest * np.log2(rest / sum_)).sum())
    return bits / total
