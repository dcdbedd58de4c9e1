"""The scale that turns residuals into symbols: centre, and low bits set aside.

FORMAT.md, section 2.2, defines the use of a scale; here it is chosen, by its cost in bits.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Mean size of residuals that fit well into a byte.
QUIET = 5.0
#: Most residuals that are examined.
LOOK = 8192
#: Bits of an exception.
EXCEPTION_BITS = 24.0
#: Bits of a value in a Huffman table.
TABLE_ENTRY_BITS = 4.0
#: Largest log of the size for which the bits are estimated by a histogram; the size of small
#: residuals is no good estimate.
COUNTED = 4.5
SMALL = 1.5
MOST_COUNTED = 1 << 9
#: Bits of a sample beyond the log of the mean size, for a Laplace distribution.
LAPLACE_BITS = 2.44


class Scale(NamedTuple):
    """The parameters that turn residuals into symbols."""

    shift: int  # low bits set aside
    centre: int  # the residual in the middle of the symbols

    @property
    def offset(self) -> int:
        """The value added to a residual to make it non-negative."""
        return (128 << self.shift) - self.centre


def log_sizes(left: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log of the size of residuals, channels × pieces × samples, of each channel.

    The mean size of each piece counts, because loud pieces get a separate scale.
    """
    if not left.size:
        return np.zeros(len(left))
    sizes = np.abs(left.astype(np.float32)).mean(axis=2)
    return np.log2(sizes.astype(np.float64) + 0.3).mean(axis=1)


def residual_bits(left: NDArray[Any]) -> NDArray[np.float64]:
    """Estimate the bits per sample of each channel of channels × pieces × samples.

    The estimate uses the size of the residuals, or their entropy, because some channels use few
    values. Fractions are rounded up, because those of predictions are rounded down.
    """
    sizes = log_sizes(left)
    bits = sizes + LAPLACE_BITS
    quiet = np.flatnonzero(sizes < COUNTED) if left.size else np.zeros(0, np.int64)
    if len(quiet):
        counted = _entropies(np.ceil(left[quiet]).reshape(len(quiet), -1))
        bits[quiet] = np.where(sizes[quiet] < SMALL, counted, np.minimum(counted, bits[quiet]))
    return bits


def _entropies(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the entropy of each row of small integers in bits, corrected for the sample size.

    A sample's entropy is too low; the correction is that of Miller and Madow.
    """
    rows, size = values.shape
    near = np.clip(values, -MOST_COUNTED, MOST_COUNTED - 1).astype(np.int64) + MOST_COUNTED
    near += 2 * MOST_COUNTED * np.arange(rows)[:, None]
    counts = np.bincount(near.reshape(-1), minlength=2 * MOST_COUNTED * rows).reshape(rows, -1)
    shares = counts / size
    logs = np.log2(shares, out=np.zeros_like(shares), where=counts > 0)
    hidden = 0.72 * (np.count_nonzero(counts, axis=1) - 1) / size
    return hidden - (shares * logs).sum(axis=1)


def choose_scale(piece: NDArray[Any], length: int) -> Scale:
    """Choose from a piece of residuals the scale that `length` of them will share."""
    flat = piece.reshape(-1)
    some = flat[:: -(-len(flat) // LOOK)].astype(np.int64)
    centre = round(float(some.mean()))
    size = float(np.abs(some - centre).mean()) + 0.01
    if size < QUIET:
        return Scale(0, centre)
    most = 8 * piece.itemsize - 8
    start = int(np.clip(np.rint(np.log2(size / 12)), 0, most))
    shifts = range(max(0, start - 1), min(start + 1, most) + 1)
    scales = [Scale(shift, centre) for shift in shifts]
    return min(scales, key=lambda scale: _scaled_bits(some, scale, length))


def choose_scales(rows: NDArray[Any], length: int) -> list[Scale]:
    """Choose the scales of rows of `length` samples that share a frame, each with its centre."""
    limits = np.iinfo(rows.dtype)
    whole = np.clip(np.rint(rows.mean(axis=1)), limits.min, limits.max).astype(rows.dtype)
    shift, middle = choose_scale(rows - whole[:, None], len(rows) * length)
    return [Scale(shift, centre + middle) for centre in whole.tolist()]


def _scaled_bits(some: NDArray[np.int64], scale: Scale, length: int) -> float:
    """Return the bits per sample at a scale, with its share of a Huffman table."""
    symbols = (some + scale.offset) >> scale.shift
    inside = (symbols >= 0) & (symbols < 256)
    counts = np.bincount(np.where(inside, symbols, 0), minlength=256)
    counts = counts[counts > 0]
    shares = counts / len(some)
    bits = -float((shares * np.log2(shares)).sum()) + TABLE_ENTRY_BITS * len(counts) / length
    return scale.shift + bits + EXCEPTION_BITS * (1 - float(inside.mean()))
