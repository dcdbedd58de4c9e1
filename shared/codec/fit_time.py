"""Fitting the prediction in time: which kind, and with what taps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.levels import Candidate
from shared.codec.predict import Ints, TimeModel
from shared.codec.scale import residual_bits

Floats = NDArray[np.float64]

#: Fraction bits of taps whose products are summed in twice the sample's width.
WIDE_SHIFT = 12
#: Channels on which the kind of time model is chosen.
VOTERS = 32
#: Bits that a tap takes in each chunk, in each channel.
TAP_BITS = 10.0
#: Lanes of the decoder's recursion aimed at: narrow ones, and products of wide ones.
LANES = 12_288
WIDE_PRODUCTS = 24_576
#: The least samples of a segment, by how many values there are: few would take as many steps as
#: many do, and so longer for each; more so where many taps make each slow. Five times as many of
#: one channel, where heads weigh most.
MIN_SEGMENT = 224, 512
VALUES_PER_STEP = 384
MANY_TAPS, VALUES_PER_SLOW_STEP = 16, 1024


@dataclass(frozen=True)
class Excerpt:
    """What a time model is fitted on."""

    rows: Ints  # channels × pieces × samples, which follow each other in each piece
    own: Ints  # what taps are to predict: the samples, less what neighbours tell of them
    length: int  # samples of a chunk, by which each tap must pay

    def part(self, channels: slice) -> "Excerpt":
        """Return some of the channels."""
        return Excerpt(self.rows[channels], self.own[channels], self.length)

    def toll(self, candidate: Candidate) -> float:
        """Return what a candidate must save, in bits per sample: its arithmetic, and its taps."""
        return candidate.toll + TAP_BITS * candidate.width / self.length

    def history(self, order: int) -> Floats:
        """Return what taps weigh: samples, or their differences, about the mean of the channel."""
        history = self.own.astype(np.float64)
        if order == 1:
            history = np.diff(history, axis=2)
        if history.shape[2]:
            history -= np.rint(history.mean(axis=(1, 2), keepdims=True))
        return history

    def peaks(self, order: int) -> Floats:
        """Return how high what taps weigh goes, in the median piece and in all: channels × 2."""
        values = self.rows
        if order == 1:
            values = np.diff(values.astype(np.dtype(f"i{2 * values.itemsize}")), axis=2)
        top = values.max(axis=2, initial=1).astype(np.float64)
        highest = np.maximum(top, -values.min(axis=2, initial=-1).astype(np.float64))
        return np.stack([np.median(highest, axis=1), highest.max(axis=1)], axis=1)


def fit_time(excerpt: Excerpt, candidates: Sequence[Candidate]) -> TimeModel:
    """Choose a time model by the bits its residual takes on an excerpt; `cut` is to follow.

    The candidates come from the simplest on.
    """
    channels = len(excerpt.rows)
    ballot = excerpt.part(slice(None, None, max(1, channels // VOTERS)))
    orders = sorted({candidate.order for candidate in candidates})
    histories = {order: ballot.history(order) for order in orders}
    lags = 1 + max(candidate.width for candidate in candidates)
    fits = {order: _covariance(histories[order], lags) for order in orders}
    tried = []
    for candidate in _shortlist(candidates, fits, ballot):
        model = _fit_taps(fits[candidate.order], candidate, ballot)
        bits = _bits_left(histories[candidate.order], model, excerpt.rows.itemsize)
        tried.append((bits + ballot.toll(candidate), candidate, model))
    _, candidate, model = min(tried, key=lambda each: each[0])
    if len(ballot.rows) == channels:
        return model
    parts = [excerpt.part(slice(start, start + VOTERS)) for start in range(0, channels, VOTERS)]
    covariances = [
        _covariance(each.history(candidate.order), candidate.width + 1) for each in parts
    ]
    return _fit_taps(np.concatenate(covariances), candidate, excerpt)


def _bits_left(history: Floats, model: TimeModel, itemsize: int) -> float:
    """Return the bits per sample of what a model leaves, from where it has all its taps on."""
    width = model.taps.shape[1]
    kind: Any = np.float32 if itemsize == 2 else np.float64  # which hold any value
    left: NDArray[Any] = history[:, :, width:].astype(kind)
    if not left.shape[2]:
        return 0.0
    total, past = np.zeros_like(left), history.astype(left.dtype)
    for lag in range(1, width + 1):
        tap = model.taps[:, lag - 1].astype(left.dtype)
        total += past[:, :, width - lag : -lag] * tap[:, None, None]
    if width and not model.wide:  # narrow sums overflow, and that costs
        turn = 2.0 ** (8 * itemsize)
        total -= turn * np.floor(total / turn + 0.5)
    left -= total * 2.0**-model.shift
    left -= np.median(left[:, :, ::8], axis=(1, 2), keepdims=True)  # an offset costs nothing
    return float(residual_bits(left).mean())


def _covariance(history: Floats, lags: int) -> Floats:
    """Return the products of values so many samples back with others: channels × lags × lags.

    Each piece is weighed by its power, so that one with an artefact counts like any other. Only
    products that lie within a piece count. To count fewer of them for longer lags, as an
    autocorrelation does, is to look through a window, and what leaks through it hides how well a
    smooth signal can be predicted.
    """
    channels, count, span = history.shape
    width = lags - 1
    products = np.zeros((channels, count, lags, lags))
    if span <= width:
        return products.sum(axis=1)
    early = [history[:, :, width - lag : span - lag] for lag in range(lags)]
    for lag in range(lags):
        products[:, :, 0, lag] = np.einsum("cpt,cpt->cp", early[0], early[lag])
    # One sample further back, a product enters at the start and one leaves at the end.
    first, last = history[:, :, :width][..., ::-1], history[:, :, span - width :][..., ::-1]
    for lag in range(width):
        enters = first[..., lag, None] * first[..., lag:]
        leaves = last[..., lag, None] * last[..., lag:]
        products[:, :, lag + 1, lag + 1 :] = products[:, :, lag, lag:width] + enters - leaves
    rows, columns = np.triu_indices(lags)
    products[:, :, columns, rows] = products[:, :, rows, columns]
    powers = history.var(axis=2) * span + 1
    return np.mean(products / powers[..., None, None], axis=1)


def _solve(covariance: Floats, width: int) -> tuple[Floats, NDArray[Any]]:
    """Return the least-squares taps and the share of the power they leave, per channel."""
    normal = covariance[:, 1 : width + 1, 1 : width + 1].copy()
    normal[:, range(width), range(width)] *= 1 + 1e-7
    normal[:, range(width), range(width)] += 1e-9
    power = covariance[:, 0, 0] * (1 + 1e-7) + 1e-9
    aims = covariance[:, 0, 1 : width + 1]
    taps = np.asarray(np.linalg.solve(normal, aims[..., None])[..., 0], np.float64)
    left = np.maximum(1 - (taps * aims).sum(axis=1) / power, 1e-6)
    return taps, left


def _shortlist(
    candidates: Sequence[Candidate], fits: dict[int, Floats], excerpt: Excerpt
) -> list[Candidate]:
    """Keep of each family the candidate that promises most, to be tried in earnest."""
    families: dict[tuple[int, bool, bool], tuple[float, Candidate]] = {}
    for candidate in candidates:
        promise = excerpt.toll(candidate)
        if candidate.width:
            promise += 0.5 * float(
                np.log2(_solve(fits[candidate.order], candidate.width)[1]).mean()
            )
        family = (candidate.order, candidate.wide, candidate.width > 0)
        if family not in families or promise < families[family][0]:
            families[family] = (promise, candidate)
    return [candidate for _, candidate in families.values()]


def _fit_taps(covariance: Floats, candidate: Candidate, excerpt: Excerpt) -> TimeModel:
    """Least-squares taps per channel, rounded to integers."""
    order, width, length = candidate.order, candidate.width, excerpt.length
    if width == 0:
        none = np.zeros((len(excerpt.rows), 0), np.int16)
        return TimeModel(order, 0, False, none, length)
    taps = _solve(covariance, width)[0]
    loads = np.abs(taps).sum(axis=1, keepdims=True) * excerpt.peaks(order) + 1
    top = float(np.iinfo(excerpt.rows.dtype).max)
    if candidate.wide:
        # Nothing may overflow, even if later samples are twice as large.
        room = 2.0 * (top + 1) ** 2 / (2 * loads[:, 1].max() + top + 1)
        room = min(room, 32767 / max(float(np.abs(taps).max()), 1.0))
        shift = int(np.clip(np.floor(np.log2(room)), 2, WIDE_SHIFT))
    else:
        # Typical products must stay inside the sample's width; rare overflows only cost bits.
        shift = int(np.clip(np.floor(np.log2(top / np.percentile(loads[:, 0], 90))), 2, 7))
    scaled = np.clip(np.rint(taps * (1 << shift)), -32767, 32767).astype(np.int16)
    return TimeModel(order, shift, candidate.wide, scaled, length)


# ---- segments ---------------------------------------------------------------------------------


def segment_length(channels: int, length: int, time: TimeModel) -> int:
    """Choose segments long enough to code well and short enough to decode in parallel lanes.

    One step of the recursion should keep the processor's vectors busy, and stay in its cache.
    """
    width = time.taps.shape[1]
    lanes = WIDE_PRODUCTS // (width + 1) if time.wide else LANES
    short, long = MIN_SEGMENT
    per_step = VALUES_PER_STEP if width < MANY_TAPS else VALUES_PER_SLOW_STEP
    least = short if length < 4 * long else channels * length // per_step
    least = min(max(least, short), long) * (5 if channels == 1 else 1)
    segments = max(1, min(lanes // channels, length // least))
    return -(-length // segments)


def cut(time: TimeModel, channels: int, length: int) -> TimeModel:
    """Cut a chunk in segments."""
    return replace(time, segment=segment_length(channels, length, time))
