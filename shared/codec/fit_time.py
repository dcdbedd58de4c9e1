"""Fit of the prediction in time: its kind and its taps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.levels import Candidate
from shared.codec.predict import Ints, TimeModel
from shared.codec.scale import residual_bits

Floats = NDArray[np.float64]

#: Fraction bits of taps if products are summed in twice the sample's width.
WIDE_SHIFT = 12
#: Number of channels used to choose the kind of time model.
VOTERS = 32
#: Bits of a tap per chunk and channel.
TAP_BITS = 10.0
#: Target number of lanes of the decoder's recursion: narrow ones, and products of wide ones.
LANES = 12_288
WIDE_PRODUCTS = 24_576
#: Least samples of a segment, by the number of values. Short segments of few values would take
#: longer per value, the more so if many taps make each step slow. For one channel the minimum is
#: five times larger, because heads weigh most there.
MIN_SEGMENT = 224, 512
VALUES_PER_STEP = 384
MANY_TAPS, VALUES_PER_SLOW_STEP = 16, 1024


@dataclass(frozen=True)
class Excerpt:
    """The samples that a time model is fitted on."""

    rows: Ints  # channels × pieces × samples, which follow each other in each piece
    own: Ints  # target of the taps: the samples minus their prediction by neighbours
    length: int  # samples of a chunk, in which each tap must pay

    def part(self, channels: slice) -> "Excerpt":
        """Return some of the channels."""
        return Excerpt(self.rows[channels], self.own[channels], self.length)

    def toll(self, candidate: Candidate) -> float:
        """Return the bits per sample that a candidate must save, for its arithmetic and taps."""
        return candidate.toll + TAP_BITS * candidate.width / self.length

    def history(self, order: int) -> Floats:
        """Return the input of the taps: samples or differences, minus the channel's mean."""
        history = self.own.astype(np.float64)
        if order == 1:
            history = np.diff(history, axis=2)
        if history.shape[2]:
            history -= np.rint(history.mean(axis=(1, 2), keepdims=True))
        return history

    def peaks(self, order: int) -> Floats:
        """Return the peaks of the taps' input, in the median piece and in all: channels × 2."""
        values = self.rows
        if order == 1:
            values = np.diff(values.astype(np.dtype(f"i{2 * values.itemsize}")), axis=2)
        top = values.max(axis=2, initial=1).astype(np.float64)
        highest = np.maximum(top, -values.min(axis=2, initial=-1).astype(np.float64))
        return np.stack([np.median(highest, axis=1), highest.max(axis=1)], axis=1)


def fit_time(excerpt: Excerpt, candidates: Sequence[Candidate]) -> TimeModel:
    """Choose a time model by the bits of its residual on an excerpt; apply `cut` afterwards.

    The candidates are in order of complexity, the simplest first.
    """
    channels = len(excerpt.rows)
    ballot = excerpt.part(slice(None, None, max(1, channels // VOTERS)))
    histories = {order: ballot.history(order) for order in {each.order for each in candidates}}
    # Wide and narrow taps are fitted apart: a candidate's fit, and so the size of what it codes,
    # must not depend on the others that a level tries.
    widths: dict[tuple[int, bool], int] = {}
    for each in candidates:
        kind = each.order, each.wide
        widths[kind] = max(widths.get(kind, 0), each.width)
    fits = {kind: _covariance(histories[kind[0]], 1 + width) for kind, width in widths.items()}
    tried = []
    for candidate in _shortlist(candidates, fits, ballot):
        model = _fit_taps(fits[candidate.order, candidate.wide], candidate, ballot)
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
    """Return the bits per sample of a model's residual, once all its taps have input."""
    width = model.taps.shape[1]
    kind: Any = np.float32 if itemsize == 2 else np.float64  # holds any value
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
    """Return the products of values at two lags: channels × lags × lags.

    Each piece is divided by its power, so that one with an artefact counts like any other. Only
    products within a piece count. An autocorrelation would count fewer products for longer lags,
    like a window; its leakage would hide how well a smooth signal can be predicted.
    """
    channels, count, span = history.shape
    width = lags - 1
    products = np.zeros((channels, count, lags, lags))
    if span <= width:
        return products.sum(axis=1)
    early = [history[:, :, width - lag : span - lag] for lag in range(lags)]
    for lag in range(lags):
        products[:, :, 0, lag] = np.einsum("cpt,cpt->cp", early[0], early[lag])
    # One lag further, a product enters at the start and one leaves at the end.
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
    """Return the least-squares taps and the share of unexplained power, per channel."""
    normal = covariance[:, 1 : width + 1, 1 : width + 1].copy()
    normal[:, range(width), range(width)] *= 1 + 1e-7
    normal[:, range(width), range(width)] += 1e-9
    power = covariance[:, 0, 0] * (1 + 1e-7) + 1e-9
    aims = covariance[:, 0, 1 : width + 1]
    taps = np.asarray(np.linalg.solve(normal, aims[..., None])[..., 0], np.float64)
    left = np.maximum(1 - (taps * aims).sum(axis=1) / power, 1e-6)
    return taps, left


def _shortlist(
    candidates: Sequence[Candidate], fits: Mapping[tuple[int, bool], Floats], excerpt: Excerpt
) -> list[Candidate]:
    """Return the most promising candidate of each family, to be tried fully."""
    families: dict[tuple[int, bool, bool], tuple[float, Candidate]] = {}
    for candidate in candidates:
        promise = excerpt.toll(candidate)
        if candidate.width:
            fit = fits[candidate.order, candidate.wide]
            promise += 0.5 * float(np.log2(_solve(fit, candidate.width)[1]).mean())
        family = (candidate.order, candidate.wide, candidate.width > 0)
        if family not in families or promise < families[family][0]:
            families[family] = (promise, candidate)
    return [candidate for _, candidate in families.values()]


def _fit_taps(covariance: Floats, candidate: Candidate, excerpt: Excerpt) -> TimeModel:
    """Return least-squares taps per channel, rounded to integers."""
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

    One step of the recursion should fill the processor's vectors, and stay in its cache.
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
    """Cut a chunk into segments."""
    return replace(time, segment=segment_length(channels, length, time))
