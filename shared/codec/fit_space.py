"""Fitting the prediction across channels: which neighbours, and with what weights."""

import numpy as np
from numpy.typing import NDArray

from shared.codec.predict import Ints, SpaceModel

Floats = NDArray[np.float64]

#: Channels looked back at for neighbours: two rows of converters of a Neuropixels 1.0 probe.
REACH = 48
#: So many products of integers up to 63 sum up exactly in single precision.
EXACT_PRODUCTS = 4096
#: Bits that a neighbour takes in each chunk: its distance, lag and weight.
TERM_BITS = 22.0


def fit_space(residual: Ints, terms: int, gain: float, lags: bool, length: int) -> SpaceModel:
    """Choose for each channel the earlier channels that predict its residual best.

    Orthogonal matching pursuit: the neighbour that explains most of what is left,
    then least squares on all chosen so far, again up to `terms` times.

    Parameters
    ----------
    residual : array, shape (channels, samples)
        An excerpt.
    terms : int
        Most terms per channel.
    gain : float
        Bits per sample that a further term must save.
    lags : bool
        Whether to look one sample ahead and behind, too.
    length : int
        Samples of a chunk, by which each term must pay.

    Returns
    -------
    SpaceModel
    """
    channels, some = residual.shape
    empty = SpaceModel(
        0,
        np.zeros(channels, np.uint8),
        np.zeros(0, np.uint16),
        np.zeros(0, np.int8),
        np.zeros(0, np.int8),
    )
    if terms == 0 or channels == 1 or some < 64:
        return empty
    # Residuals are brought to about 16 steps and clipped at 63: sums of their products are then
    # exact in single precision, so the fit is the same whatever the BLAS does, and spikes and
    # artefacts do not govern it.
    sample = residual.astype(np.float32)
    sample -= np.rint(sample.mean(axis=1, keepdims=True))
    size = np.abs(sample).mean(axis=1) * 1.25
    scale = np.exp2(np.rint(np.log2(16 / np.maximum(size, 1e-3)))).astype(np.float32)
    sample *= scale[:, None]
    np.clip(np.rint(sample, out=sample), -63, 63, out=sample)
    correlations = [_products(sample, lag) for lag in (range(3) if lags else range(1))]
    least = gain + TERM_BITS / length
    chosen, weights, counts = _pursue(correlations, terms, least)
    here = np.arange(channels)[:, None]
    weights = weights * scale[here - chosen[..., 0]] / scale[:, None]
    load = np.abs(weights).sum(axis=1) * size * 8 + 1
    limit = np.iinfo(residual.dtype).max
    shift = int(np.clip(np.floor(np.log2(limit / np.percentile(load, 90))), 2, 6))
    scaled = np.clip(np.rint(weights * (1 << shift)), -127, 127).astype(np.int8)
    used = (np.arange(terms) < counts[:, None]) & (scaled != 0)
    return SpaceModel(
        shift,
        used.sum(axis=1).astype(np.uint8),
        chosen[..., 0][used].astype(np.uint16),
        chosen[..., 1][used].astype(np.int8),
        scaled[used],
    )


def _products(sample: NDArray[np.float32], lag: int) -> Floats:
    """Return the sums of products of pairs of channels, the second `lag` samples later.

    Only pairs within reach of each other are filled in.
    """
    channels = len(sample)
    total = np.zeros((channels, channels))
    for first in range(0, channels, REACH):
        near = slice(max(0, first - REACH), first + 2 * REACH)
        for start in range(0, sample.shape[1], EXACT_PRODUCTS):
            late = sample[near, start + lag : start + lag + EXACT_PRODUCTS]
            early = sample[first : first + REACH, start : start + late.shape[1]]
            total[first : first + REACH, near] += (late @ early.T).T  # the quicker way round
    return total


def _pursue(
    correlations: list[Floats], terms: int, least: float
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Greedy choice of terms for every channel at once, while each gains `least` bits.

    Returns
    -------
    chosen : array, shape (channels, terms, 2)
        Distance back and lag of each term.
    weights : array, shape (channels, terms)
    counts : array, shape (channels,)
        How many terms earn their keep.
    """
    channels = len(correlations[0])
    reach = min(REACH, channels - 1)
    spread = range(-1, 2) if len(correlations) > 1 else range(1)
    options = [(back, lag) for lag in spread for back in range(1, reach + 1)]
    backs, lags = np.array(options).T
    stack = np.stack([*(c.T for c in correlations[:0:-1]), *correlations])
    middle = len(correlations) - 1  # index of lag 0 in `stack`
    here = np.arange(channels)[:, None]
    other = here - backs
    legal = other >= 0
    other = np.maximum(other, 0)
    target = np.where(legal, stack[middle + lags, here, other], 0)
    power = stack[middle, other, other] + 1.0
    own = stack[middle, here[:, 0], here[:, 0]] + 1.0
    chosen = np.zeros((channels, terms), np.int64)
    weights = np.zeros((channels, terms))
    counts = np.zeros(channels, np.int64)
    left, explained = target.copy(), np.zeros(channels)
    rows = np.arange(channels)
    normal = np.zeros((channels, terms, terms))
    between = np.zeros((channels, terms, len(options)))  # products of terms chosen with all others
    for term in range(terms):
        best = np.argmax(np.where(legal, left**2 / power, -1), axis=1)
        chosen[:, term] = best
        legal[rows, best] = False
        picked = other[rows[:, None], chosen[:, : term + 1]]
        picked_lags = lags[chosen[:, : term + 1]]
        cross = stack[
            middle + picked_lags - lags[best][:, None], other[rows, best][:, None], picked
        ]
        normal[:, term, : term + 1] = cross
        normal[:, : term + 1, term] = cross
        normal[:, term, term] = power[rows, best] * (1 + 1e-6) + 1e-3
        aims = target[rows[:, None], chosen[:, : term + 1]]
        now = np.linalg.solve(normal[:, : term + 1, : term + 1], aims[..., None])[..., 0]
        total = np.minimum((now * aims).sum(axis=1), own * 0.9999)
        gain = 0.5 * np.log2((own - explained) / (own - total))
        keep = (gain > least) & (counts == term)
        counts[keep] += 1
        weights[keep, : term + 1] = now[keep]
        explained = np.where(keep, total, explained)
        lag, channel = lags[best][:, None], other[rows, best][:, None]
        between[:, term] = stack[middle + lags - lag, channel, other]
        left = target - np.einsum("ct,cto->co", now, between[:, : term + 1])
    return np.stack([backs[chosen], lags[chosen]], axis=-1), weights, counts
