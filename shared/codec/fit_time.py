"""Fitting the prediction in time: which kind, and with what taps."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.predict import MANY_CHANNELS, Ints, TimeModel
from shared.codec.scale import residual_bits

Floats = NDArray[np.float64]

#: Fraction bits of taps whose products are summed in twice the sample's width.
WIDE_SHIFT = 12
#: Ways to weigh the pieces of an excerpt; recordings of many channels try only the first.
WEIGHINGS = ("even", "loud", "typical")
#: How often the weights of the samples of an excerpt are put right, at most.
REWEIGHTINGS = 8
#: Bits per sample that another reweighting must save.
REWEIGHTING_GAIN = 0.002
#: Channels on which the kind of time model is chosen.
VOTERS = 32
#: Bits that a tap takes in each chunk, in each channel.
TAP_BITS = 10.0
#: The most taps of their own that the first samples of a segment have.
WARM_TAPS = 8
#: Lanes of the decoder's recursion aimed at: narrow ones, and products of wide ones.
LANES = 12_288
WIDE_PRODUCTS = 24_576
#: The least samples of a segment, by how many values there are: few would take as many steps as
#: many do, and so longer for each; more so where many taps make each slow. Twice as many of one
#: channel, where heads weigh most.
MIN_SEGMENT = 256, 512
VALUES_PER_STEP = 384
MANY_TAPS, VALUES_PER_SLOW_STEP = 16, 1024


@dataclass(frozen=True)
class Candidate:
    """A kind of time model to try, and the bits per sample it must gain over simpler ones."""

    order: int
    width: int
    wide: bool
    toll: float


class Excerpt:
    """What a time model is fitted on.

    Parameters
    ----------
    rows : array, shape (channels, pieces, samples)
        Samples that follow each other, in each piece.
    own : array of that shape, optional
        What taps are to predict: the samples, less what neighbours tell of them.
    length : int
        Samples of a chunk, by which each tap must pay.
    """

    def __init__(self, rows: Ints, length: int, own: Ints | None = None) -> None:
        self.rows, self.length = rows, length
        self.own = rows if own is None else own
        self._histories: dict[tuple[int, Any], NDArray[Any]] = {}
        self._peaks: dict[int, Floats] = {}

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.rows)

    def toll(self, candidate: Candidate) -> float:
        """Return what a candidate must save, in bits per sample: its arithmetic, and its taps."""
        return candidate.toll + TAP_BITS * candidate.width / self.length

    def part(self, channels: slice) -> "Excerpt":
        """Return some of the channels."""
        return Excerpt(self.rows[channels], self.length, self.own[channels])

    def history(self, order: int, dtype: Any = np.float64) -> NDArray[Any]:
        """Return what taps weigh: samples, or their differences, about the mean of the channel."""
        if (order, dtype) not in self._histories:
            history = self.own.astype(np.float64)
            if order == 1:
                history = np.diff(history, axis=2)
            if history.shape[2]:
                history -= np.rint(history.mean(axis=(1, 2), keepdims=True))
            self._histories[order, dtype] = history.astype(dtype, copy=False)
        return self._histories[order, dtype]

    def peaks(self, order: int) -> Floats:
        """Return how high what taps weigh goes, in the median piece and in all: channels × 2."""
        if order not in self._peaks:
            values = self.rows
            if order == 1:
                values = np.diff(values.astype(np.dtype(f"i{2 * values.itemsize}")), axis=2)
            top = values.max(axis=2, initial=1).astype(np.float64)
            highest = np.maximum(top, -values.min(axis=2, initial=-1).astype(np.float64))
            median = np.median(highest, axis=1)
            self._peaks[order] = np.stack([median, highest.max(axis=1)], axis=1)
        return self._peaks[order]


def fit_time(excerpt: Excerpt, candidates: tuple[Candidate, ...]) -> TimeModel:
    """Choose a time model by the mean size of the residual it leaves on an excerpt.

    Parameters
    ----------
    excerpt : Excerpt
    candidates : tuple of Candidate
        From the simplest on.

    Returns
    -------
    TimeModel
        Not yet cut in segments.
    """
    few = excerpt.channels < MANY_CHANNELS
    ballot = excerpt.part(slice(None, None, max(1, excerpt.channels // VOTERS)))
    lags = 1 + max(candidate.width for candidate in candidates)
    fits = {
        (order, weighing): _covariance(ballot.history(order), weighing, lags)
        for order in sorted({candidate.order for candidate in candidates})
        for weighing in (WEIGHINGS if few else WEIGHINGS[:1])
    }
    tried = []
    for candidate, weighing in _shortlist(candidates, fits, excerpt):
        model = _fit_taps(fits[candidate.order, weighing], candidate, ballot)
        tried.append((_cost(ballot, model, candidate), candidate, model))
    tried.sort(key=lambda each: each[0])
    if few:
        return _refine(tried, excerpt)
    candidate = tried[0][1]
    covariances = [
        _covariance(
            excerpt.part(slice(start, start + VOTERS)).history(candidate.order),
            WEIGHINGS[0],
            candidate.width + 1,
        )
        for start in range(0, excerpt.channels, VOTERS)
    ]
    return _fit_taps(np.concatenate(covariances), candidate, excerpt)


def refit_time(excerpt: Excerpt, model: TimeModel) -> TimeModel:
    """Fit the taps of a model again, to what neighbours leave of the samples."""
    width = model.taps.shape[1]
    candidate = Candidate(model.order, width, model.wide, 0.0)
    return _fit_taps(_reweighted(excerpt, model), candidate, excerpt) if width else model


def _refine(tried: list[tuple[float, Candidate, TimeModel]], excerpt: Excerpt) -> TimeModel:
    """Return the best of some models, after fitting the best of each kind to sizes, not squares.

    Least squares serve the loudest samples, spikes and artefacts, which cost little more for it.
    """
    done = set()
    least, _, best = tried[0]
    for before, candidate, model in tried:
        kind = candidate.order, candidate.wide
        if kind in done or not candidate.width:
            continue
        done.add(kind)
        for _ in range(REWEIGHTINGS):
            model = _fit_taps(_reweighted(excerpt, model), candidate, excerpt)
            cost = _cost(excerpt, model, candidate)
            if cost < least:
                best, least = model, cost
            if cost > before - REWEIGHTING_GAIN:
                break
            before = cost
    return best


def _cost(excerpt: Excerpt, model: TimeModel, candidate: Candidate) -> float:
    """Return the bits per sample that a model leaves, and the toll."""
    left = _residual(excerpt, model)
    if not left.shape[2]:
        return 0.0
    left -= _middle(left)  # a constant offset costs nothing
    bits = float(residual_bits(left).mean())
    return bits + excerpt.toll(candidate)


def _residual(excerpt: Excerpt, model: TimeModel) -> NDArray[Any]:
    """Return what a model leaves of each piece, from where it has all its taps on."""
    dtype = np.float32 if excerpt.rows.itemsize == 2 else np.float64  # which hold any value
    history, width = excerpt.history(model.order, dtype), model.taps.shape[1]
    left = history[:, :, width:].copy()
    total, product = np.zeros_like(left), np.empty_like(left)
    for lag in range(1, width + 1):
        tap = model.taps[:, lag - 1].astype(history.dtype)
        np.multiply(history[:, :, width - lag : -lag], tap[:, None, None], out=product)
        np.add(total, product, out=total)
    if width and not model.wide:  # narrow sums overflow, and that costs
        turn = 2.0 ** (8 * excerpt.rows.itemsize)
        total -= turn * np.floor(total / turn + 0.5)
    total *= 2.0**-model.shift
    left -= total
    return left


def _middle(left: NDArray[Any]) -> NDArray[Any]:
    """Return about the median of each channel."""
    return np.median(left[:, :, ::8], axis=(1, 2), keepdims=True)


def _covariance(history: Floats, weighing: str, lags: int) -> Floats:
    """Return the products of samples or differences and those before them.

    "even" weighs each piece by its power, so that one with an artefact counts like any other;
    "loud" lets the loudest pieces govern; "typical" takes the median piece. Each has its
    recordings.

    Only products that lie within a piece count. To count fewer of them for longer lags, as an
    autocorrelation does, is to look through a window, and what leaks through it hides how well a
    smooth signal can be predicted.

    Parameters
    ----------
    history : array, shape (channels, pieces, samples)
    weighing : str
    lags : int

    Returns
    -------
    array, shape (channels, lags, lags)
        Of values so many samples back, with others.
    """
    channels, count, span = history.shape
    width = lags - 1
    products = np.zeros((channels, count, lags, lags))
    if span <= width:
        return products.sum(axis=1)
    early = _early(history, lags)
    for lag in range(lags):
        products[:, :, 0, lag] = np.einsum("cpt,cpt->cp", early[0], early[lag])
    # One sample further back, a product enters at the start and one leaves at the end.
    first, last = history[:, :, :width][..., ::-1], history[:, :, -width:][..., ::-1]
    for lag in range(width):
        enters = first[..., lag, None] * first[..., lag:]
        leaves = last[..., lag, None] * last[..., lag:]
        products[:, :, lag + 1, lag + 1 :] = products[:, :, lag, lag:width] + enters - leaves
    rows, columns = np.triu_indices(lags)
    products[:, :, columns, rows] = products[:, :, rows, columns]
    if weighing == "loud":
        return products.sum(axis=1)
    powers = history.var(axis=2) * span + 1
    mean = np.mean if weighing == "even" else np.median
    return mean(products / powers[..., None, None], axis=1)


def _reweighted(excerpt: Excerpt, model: TimeModel) -> Floats:
    """Return the same as `_covariance`, each sample weighed by what a model leaves of it.

    So the mean size of what is left becomes least, with that of each piece as measure.
    """
    history, lags = excerpt.history(model.order), model.taps.shape[1] + 1
    products = np.zeros((len(history), lags, lags))
    if history.shape[2] < lags:
        return products
    left = _residual(excerpt, model)
    left = np.abs(left - _middle(left))
    size = left.mean(axis=2, keepdims=True) + 0.3
    weights = 1.0 / (size * np.maximum(left, 0.3 * size))
    early = _early(history, lags)
    weighed = np.empty_like(early[0])
    for one in range(lags):
        np.multiply(early[one], weights, out=weighed)
        for other in range(one, lags):
            products[:, one, other] = np.einsum("cpt,cpt->c", weighed, early[other])
            products[:, other, one] = products[:, one, other]
    return products


def _early(history: Floats, lags: int) -> list[Floats]:
    """Return pieces so many samples back, from where all of these lie within the piece."""
    span = history.shape[2]
    return [history[:, :, lags - 1 - lag : span - lag] for lag in range(lags)]


def _solve(covariance: Floats, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least-squares taps and the share of the power they leave, per channel."""
    normal = covariance[:, 1 : width + 1, 1 : width + 1].copy()
    normal[:, range(width), range(width)] *= 1 + 1e-7
    normal[:, range(width), range(width)] += 1e-9
    power = covariance[:, 0, 0] * (1 + 1e-7) + 1e-9
    aims = covariance[:, 0, 1 : width + 1]
    taps = np.linalg.solve(normal, aims[..., None])[..., 0]
    left = np.maximum(1 - (taps * aims).sum(axis=1) / power, 1e-6)
    return taps, left


def _shortlist(
    candidates: tuple[Candidate, ...], fits: dict[tuple[int, str], Floats], excerpt: Excerpt
) -> list[tuple[Candidate, str]]:
    """Keep of each family the candidate that promises most, to be tried in earnest."""
    families: dict[tuple[int, str, bool, bool], tuple[float, Candidate]] = {}
    for (order, weighing), covariance in fits.items():
        for candidate in candidates:
            if candidate.order != order:
                continue
            family = (order, weighing, candidate.wide, candidate.width > 0)
            promise = excerpt.toll(candidate)
            if candidate.width:
                left = _solve(covariance, candidate.width)[1]
                promise += 0.5 * float(np.log2(left).mean())
            if family not in families or promise < families[family][0]:
                families[family] = (promise, candidate)
    return [(candidate, family[1]) for family, (_, candidate) in families.items()]


def _fit_taps(covariance: Floats, candidate: Candidate, excerpt: Excerpt) -> TimeModel:
    """Least-squares taps per channel, rounded to integers."""
    width, length = candidate.width, excerpt.length
    if width == 0:
        none = np.zeros((excerpt.channels, 0), np.int16)
        return TimeModel(candidate.order, 0, False, none, length)
    taps = _solve(covariance, width)[0]
    loads = np.abs(taps).sum(axis=1, keepdims=True) * excerpt.peaks(candidate.order) + 1
    top = float(np.iinfo(excerpt.rows.dtype).max)
    if candidate.wide:
        # Nothing may overflow, even if later samples are twice as large.
        room = 2.0 * (top + 1) ** 2 / (2 * loads[:, 1].max() + top + 1)
        room = min(room, 32767 / max(float(np.abs(taps).max()), 1.0))
        shift = int(np.clip(np.floor(np.log2(room)), 2, WIDE_SHIFT))
    else:
        # Typical products must stay inside the sample's width; rare overflows only cost bits.
        shift = int(np.clip(np.floor(np.log2(top / np.percentile(loads[:, 0], 90))), 2, 7))
    early = [_first_taps(covariance, count) for count in range(1, width)]
    every = np.concatenate([taps, *early], axis=1)
    scaled = np.clip(np.rint(every * (1 << shift)), -32767, 32767).astype(np.int16)
    return TimeModel(
        candidate.order,
        shift,
        candidate.wide,
        np.ascontiguousarray(scaled[:, :width]),
        length,
        warm=np.ascontiguousarray(scaled[:, width:]),
    )


def _first_taps(covariance: Floats, count: int) -> NDArray[Any]:
    """Return the taps where a segment has so many values; more than a few say little more."""
    taps = np.zeros((len(covariance), count))
    few = min(count, WARM_TAPS)
    taps[:, :few] = _solve(covariance, few)[0]
    return taps


# ---- segments ---------------------------------------------------------------------------------


def segment_length(channels: int, length: int, time: TimeModel) -> int:
    """Choose segments long enough to code well and short enough to decode in parallel lanes.

    One step of the recursion should keep the processor's vectors busy, and stay in its cache.
    """
    lanes = WIDE_PRODUCTS // (time.taps.shape[1] + 1) if time.wide else LANES
    short, long = MIN_SEGMENT
    per_step = VALUES_PER_STEP if time.taps.shape[1] < MANY_TAPS else VALUES_PER_SLOW_STEP
    least = short if length < 4 * long else channels * length // per_step
    least = min(max(least, short), long) * (2 if channels == 1 else 1)
    segments = max(1, min(lanes // channels, length // least))
    return -(-length // segments)


def cut(time: TimeModel, channels: int, length: int) -> TimeModel:
    """Cut a chunk in segments, with taps for their starts if these are many enough to pay.

    Such a tap costs about 12 bits, or 2 where it repeats those before; each of the first samples
    of a segment saves about two bits by them.
    """
    segment, width = segment_length(channels, length, time), time.taps.shape[1]
    few = min(width, WARM_TAPS)
    cost = 12 * few * (few - 1) // 2 + 2 * few * (width - few)
    pays = 2 * width * -(-length // segment) >= cost
    return replace(time, segment=segment, warm=time.warm if pays else time.warm[:, :0])
