"""Fit of the prediction across channels: the neighbours and their weights."""

import numpy as np
from numpy.typing import NDArray

from shared.codec.chunk import BANK
from shared.codec.predict import Ints, SpaceModel

Floats = NDArray[np.float64]

#: Number of products of integers up to 63 that single precision sums exactly.
EXACT_PRODUCTS = 4096
#: Bits of a neighbour per chunk: its distance and weight.
TERM_BITS = 16.0


def fit_space(residual: Ints, terms: int, gain: float, length: int) -> SpaceModel:
    """Choose for each channel the earlier channels of its bank that predict its residual best.

    A channel gets at most `terms` of them. Each must save `gain` bits per sample, and its own bits
    in a chunk of `length` samples.
    """
    channels, some = residual.shape
    if terms == 0 or channels == 1 or some < 64:
        return no_neighbours(channels)
    size = np.empty(channels)
    places, weights = np.zeros((2, channels, terms))
    counts = np.zeros(channels, np.int64)
    for first in range(0, channels, BANK):
        bank = slice(first, first + BANK)
        sample, scale, size[bank] = _steps(residual[bank])
        chosen, bank_weights, counts[bank] = _pursue(
            _products(sample), terms, gain + TERM_BITS / length
        )
        places[bank] = first + chosen
        weights[bank] = bank_weights * scale[chosen] / scale[:, None]
    load = np.abs(weights).sum(axis=1) * size * 8 + 1
    limit = np.iinfo(residual.dtype).max
    shift = int(np.clip(np.floor(np.log2(limit / np.percentile(load, 90))), 2, 6))
    scaled = np.clip(np.rint(weights * (1 << shift)), -127, 127).astype(np.int8)
    used = (np.arange(terms) < counts[:, None]) & (scaled != 0)
    distances = (np.arange(channels)[:, None] - places)[used].astype(np.uint8)
    return SpaceModel(shift, used.sum(axis=1).astype(np.uint8), distances, scaled[used])


def no_neighbours(channels: int) -> SpaceModel:
    """Return a model without prediction across channels."""
    none = np.zeros(0, np.uint8)
    return SpaceModel(0, np.zeros(channels, np.uint8), none, none.astype(np.int8))


def _steps(residual: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
    """Scale residuals to about 16 steps, clipped at 63; return also the factor and the size.

    Sums of products are then exact in single precision, so the fit does not depend on the BLAS,
    and spikes and artefacts do not dominate it.
    """
    sample = residual.astype(np.float32)
    sample -= np.rint(sample.mean(axis=1, keepdims=True))
    size = np.abs(sample).mean(axis=1) * 1.25
    scale = np.exp2(np.rint(np.log2(16 / np.maximum(size, 1e-3)))).astype(np.float32)
    sample *= scale[:, None]
    return np.clip(np.rint(sample, out=sample), -63, 63, out=sample), scale, size


def _products(sample: NDArray[np.float32]) -> Floats:
    """Return the sums of products of pairs of channels."""
    total = np.zeros((len(sample), len(sample)))
    for start in range(0, sample.shape[1], EXACT_PRODUCTS):
        piece = sample[:, start : start + EXACT_PRODUCTS]
        total += piece @ piece.T
    return total


def _pursue(
    products: Floats, terms: int, least: float
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Choose terms for every channel of a bank at once, while each gains `least` bits.

    Orthogonal matching pursuit: choose the neighbour that explains most of the rest, then fit all
    chosen ones by least squares; repeat up to `terms` times. Return the chosen channels, counted
    within the bank, their weights (both channels × terms), and the number worth keeping.
    """
    channels = len(products)
    rows = np.arange(channels)
    legal = rows < rows[:, None]
    target = np.where(legal, products, 0)
    power = np.diag(products) + 1.0
    chosen = np.zeros((channels, terms), np.int64)
    weights = np.zeros((channels, terms))
    counts = np.zeros(channels, np.int64)
    left, explained = target.copy(), np.zeros(channels)
    normal = np.zeros((channels, terms, terms))
    for term in range(terms):
        best = np.argmax(np.where(legal, left**2 / power, -1), axis=1)
        chosen[:, term] = best
        legal[rows, best] = False
        picked = chosen[:, : term + 1]
        normal[:, term, : term + 1] = normal[:, : term + 1, term] = products[best[:, None], picked]
        normal[:, term, term] = power[best] * (1 + 1e-6) + 1e-3
        aims = target[rows[:, None], picked]
        now = np.linalg.solve(normal[:, : term + 1, : term + 1], aims[..., None])[..., 0]
        total = np.minimum((now * aims).sum(axis=1), power * 0.9999)
        bits = 0.5 * np.log2((power - explained) / (power - total))
        keep = (bits > least) & (counts == term)
        counts[keep] += 1
        weights[keep, : term + 1] = now[keep]
        explained = np.where(keep, total, explained)
        left = target - np.einsum("ct,cto->co", now, products[picked])
    return chosen, weights, counts
