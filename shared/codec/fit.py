"""Choosing and fitting models on an excerpt of a recording.

Only here is floating point used: what is fitted is rounded to integers, and stored beside the
samples. The same samples give the same model, whatever the machine is busy with: sums of products
of integers are exact in the precision used, so their order cannot matter.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec import entropy, values
from shared.codec.predict import (
    MANY_CHANNELS,
    Ints,
    SpaceModel,
    TimeModel,
    neighbour_sums,
    predict_row,
    time_residual,
)
from shared.codec.workspace import WORKSPACE

Floats = NDArray[np.float64]

#: Channels looked back at for neighbours: two rows of converters of a Neuropixels 1.0 probe.
REACH = 48
#: Fraction bits of taps whose products are summed in twice the sample's width.
WIDE_SHIFT = 12
#: So many products of integers up to 63 sum up exactly in single precision.
EXACT_PRODUCTS = 4096
#: Residuals of this mean size are well within a byte.
QUIET = 5.0
#: Samples of each piece of an excerpt.
EXCERPT_PIECE = 512
#: Ways to weigh the pieces of an excerpt; recordings of many channels try only the first.
WEIGHINGS = ("even", "loud", "typical")
#: How often the weights of the samples of an excerpt are put right, at most.
REWEIGHTINGS = 8
#: Channels on which the kind of time model is chosen.
VOTERS = 32
#: Bits per sample a further neighbour must save to be worth its arithmetic.
TERM_GAIN = 0.006
#: Lanes of the decoder's recursion aimed at: narrow ones, and products of wide ones.
LANES = 12_288
WIDE_PRODUCTS = 24_576
#: The least samples of a segment. Twice as many for one channel, where the heads of segments weigh
#: most; half as many where several have few values, which would take as many steps as many do.
MIN_SEGMENT = 512
FEW_VALUES = 1 << 17


@dataclass(frozen=True)
class Candidate:
    """A kind of time model to try, and the bits per sample it must gain over simpler ones."""

    order: int
    width: int
    wide: bool
    toll: float


@dataclass(frozen=True)
class Level:
    """One setting.

    Attributes
    ----------
    many, few : tuple of Candidate
        Time models tried for recordings of many, and of few (less than 32), channels.
    terms : int
        Most neighbours a channel is predicted from.
    lags : bool
        Whether neighbours one sample ahead or behind are considered.
    """

    many: tuple[Candidate, ...]
    few: tuple[Candidate, ...]
    terms: int
    lags: bool


@dataclass(frozen=True)
class Model:
    """What is fitted once and used for a run of chunks.

    Attributes
    ----------
    kind : int
        `values.TABLE` or `values.TABLES` where samples are coded by rank, as the values in use
        leave most of their range unused; else `values.DIRECT`.
    base : int
        What narrow integers count from where the samples are wide.
    baseline : array, shape (channels,) or (0,)
        Subtracted from each channel before all else.
    time : TimeModel
    space : SpaceModel
    shifts, offsets : array, shape (channels,)
        Scale and centre of the residual of each channel.
    """

    kind: int
    base: int
    baseline: Ints
    time: TimeModel
    space: SpaceModel
    shifts: NDArray[np.int64]
    offsets: NDArray[np.int64]


def fit(samples: NDArray[Any], level: Level) -> Model:
    """Fit a model on an excerpt of a chunk, to be used for it and the chunks after it.

    Parameters
    ----------
    samples : array, shape (samples, channels)
    level : Level

    Returns
    -------
    Model
        The same for the same samples, whatever the machine is busy with.
    """
    length, channels = samples.shape
    some = np.concatenate([samples[piece] for piece in excerpt(length, channels)])
    tables = values.sparse_values(samples, some)
    kind, base, prepared = values.prepare(some, tables)
    each = values.table_per_channel(samples) if values.sparse_channels(prepared) else None
    model, left = _fit_rows(kind, base, prepared.copy(), level, length)
    if each is None:
        return model
    kind, base, prepared = values.prepare(some, each)
    other, other_left = _fit_rows(kind, base, prepared.copy(), level, length)
    cost = _total_bits(model, left, length, tables)
    return other if _total_bits(other, other_left, length, each) < cost else model


def _fit_rows(kind: int, base: int, rows: Ints, level: Level, length: int) -> tuple[Model, Ints]:
    """Fit a model on an excerpt as `values.prepare` made it, and return what it leaves, too."""
    channels = len(rows)
    baseline = choose_baseline(rows, kind == values.SHIFTED)
    if len(baseline):
        rows -= baseline[:, None]
    few = channels < MANY_CHANNELS
    time = fit_time(rows, level.few if few else level.many)
    time_residual(rows, time)
    space = fit_space(rows, level.terms, level.lags)
    left = np.empty_like(rows)
    predicted = neighbour_sums(rows, space)
    for channel, row in enumerate(rows):
        predict_row(row, predicted(channel), left[channel])
    helped = _bits(left) < _bits(rows)  # artefacts may have governed the fit
    space = _only(space, helped)
    left[~helped] = rows[~helped]
    shifts, offsets = _choose_scales(left, length)
    by_rank = kind if kind in (values.TABLE, values.TABLES) else values.DIRECT
    return Model(by_rank, base, baseline, time, space, shifts, offsets), left


def _total_bits(model: Model, left: Ints, length: int, tables: values.Tables | None) -> float:
    """Estimate what a chunk takes, by what its model leaves of an excerpt, with its tables."""
    total = 0.0
    if tables is not None:
        total += 8 * len(WORKSPACE.meta_coder.compress(entropy.shuffle(tables.packed())))
    for row, shift, offset in zip(left, model.shifts, model.offsets, strict=True):
        total += length * _symbol_bits(row + (offset - (128 << shift)), int(shift))
    return total


def _bits(rows: Ints) -> Floats:
    """Return the log of the mean size of each row, in bits: mean over its pieces."""
    size = min(rows.shape[1], EXCERPT_PIECE)
    pieces = rows[:, : rows.shape[1] // size * size].reshape(len(rows), -1, size)
    sizes = np.abs(pieces.astype(np.float32)).mean(axis=2, dtype=np.float64)
    return np.log2(sizes + 0.3).mean(axis=1)


def _only(space: SpaceModel, chosen: NDArray[np.bool_]) -> SpaceModel:
    """Return the model with neighbours for the chosen channels only."""
    terms = np.repeat(chosen, space.counts)
    return SpaceModel(
        space.shift,
        space.counts * chosen,
        space.distances[terms],
        space.lags[terms],
        space.weights[terms],
    )


def excerpt(length: int, channels: int = MANY_CHANNELS) -> list[slice]:
    """Return pieces spread evenly over `length` samples, all of it when it is short.

    Recordings of few channels give longer excerpts: they need more samples for as sure a fit.
    """
    pieces, size = 8 if channels >= MANY_CHANNELS else 40, EXCERPT_PIECE
    if length <= pieces * size:
        return [slice(start, min(start + size, length)) for start in range(0, length, size)]
    starts = np.linspace(0, length - size, pieces).astype(int)
    return [slice(int(start), int(start) + size) for start in starts]


def choose_baseline(rows: Ints, shifted: bool) -> Ints:
    """Return what to subtract from each channel: nothing, unless some stand well off zero.

    A digital line spends its time at its median, and costs nothing there.
    """
    some = rows[:, :: max(1, rows.shape[1] // 512)].astype(np.float64)
    middles = np.rint(np.median(some, axis=1))
    if shifted or np.any(np.abs(middles) > 2 * some.std(axis=1) + 16):
        return middles.astype(rows.dtype)
    return rows[:0, 0].copy()


def _choose_scales(left: Ints, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose scale and centre of every channel; most are quiet, and need no search."""
    some = left[:, :: max(1, left.shape[1] // 512)].astype(np.float64)
    centres = np.rint(some.mean(axis=1)).astype(np.int64)
    shifts, offsets = np.zeros(len(left), np.int64), 128 - centres
    sizes = np.abs(some - centres[:, None]).mean(axis=1)
    for channel in np.flatnonzero(sizes >= QUIET):
        shifts[channel], offsets[channel] = choose_scale(left[channel : channel + 1], length)
    return shifts, offsets


def choose_scale(piece: Ints, length: int) -> tuple[int, int]:
    """Choose how many low bits to set aside, by the cost of an excerpt, and the centre.

    `length` is the number of samples that will share the scale, and a Huffman table.
    """
    some = piece.reshape(-1)[:: max(1, piece.size // 8192)].astype(np.int64)
    centre = round(float(some.mean()))
    some -= centre
    size = float(np.abs(some).mean()) + 0.01
    if size < QUIET:
        return 0, 128 - centre
    most = 8 * piece.itemsize - 8
    start = int(np.clip(np.rint(np.log2(size / 12)), 0, most))
    best = (np.inf, 0)
    for shift in range(max(0, start - 1), min(start + 1, most) + 1):
        table = 4 * min(256.0, 10 * size / (1 << shift)) / length
        best = min(best, (_symbol_bits(some, shift) + table, shift))
    return best[1], (128 << best[1]) - centre


def _symbol_bits(centred: NDArray[np.int64], shift: int) -> float:
    """Return the bits a sample takes with its low bits set aside, by the entropy of the rest."""
    symbols = (centred >> shift) + 128
    inside = (symbols >= 0) & (symbols <= 255)
    counts = np.bincount(symbols[inside], minlength=256)
    counts = counts[counts > 0]
    bits = -float((counts * np.log2(counts / counts.sum())).sum()) / centred.size
    bits += 0.72 * (len(counts) - 1) / centred.size  # Miller and Madow: what an excerpt hides
    return shift + bits + 24 * (1 - float(inside.mean()))


def segment_length(channels: int, length: int, time: TimeModel) -> int:
    """Choose segments long enough to code well and short enough to decode in parallel lanes.

    One step of the recursion should keep the processor's vectors busy, and stay in its cache.
    """
    lanes = WIDE_PRODUCTS // (time.taps.shape[1] + 1) if time.wide else LANES
    least = MIN_SEGMENT
    if channels == 1:
        least *= 2
    elif channels * length < FEW_VALUES:
        least //= 2
    segments = max(1, min(lanes // channels, length // least))
    return -(-length // segments)


def cut(time: TimeModel, channels: int, length: int) -> TimeModel:
    """Cut a chunk in segments, with taps for their starts if these are many enough to pay.

    Such a tap costs about 12 bits, and the samples predicted by it are half as many: each saves
    about two bits per segment.
    """
    segment = segment_length(channels, length, time)
    pays = -(-length // segment) >= 4 * (time.taps.shape[1] - 1)
    return replace(time, segment=segment, warm=time.warm if pays else time.warm[:, :0])


# ---- time -------------------------------------------------------------------------------------


def fit_time(samples: Ints, candidates: tuple[Candidate, ...]) -> TimeModel:
    """Choose a time model by the mean size of the residual it leaves on an excerpt.

    Parameters
    ----------
    samples : array, shape (channels, samples)
        Pieces of a recording one after the other, as `excerpt` cuts them.
    candidates : tuple of Candidate
        From the simplest on.

    Returns
    -------
    TimeModel
        With all samples as one segment.
    """
    channels, length = samples.shape
    size = min(length, EXCERPT_PIECE)
    pieces = samples[:, : length // size * size].reshape(channels, -1, size)
    ballot = pieces[:: max(1, channels // VOTERS)]
    lags = 1 + max(candidate.width for candidate in candidates)
    kinds = [
        (order, weighing)
        for order in sorted({candidate.order for candidate in candidates})
        for weighing in (WEIGHINGS if channels < MANY_CHANNELS else WEIGHINGS[:1])
    ]
    fits = {kind: _covariance(ballot, *kind, lags) for kind in kinds}
    tried = []
    for candidate, weighing in _shortlist(candidates, fits):
        model = _fit_taps(fits[candidate.order, weighing], candidate, samples.dtype, length)
        tried.append((_cost(ballot, model) + candidate.toll, candidate, weighing, model))
    tried.sort(key=lambda each: each[0])
    if channels < MANY_CHANNELS:
        return _refine([(cost, candidate, model) for cost, candidate, _, model in tried], pieces)
    _, candidate, weighing, _ = tried[0]
    parts = [
        _covariance(pieces[start : start + VOTERS], candidate.order, weighing, candidate.width + 1)
        for start in range(0, channels, VOTERS)
    ]
    fit = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return _fit_taps(fit, candidate, samples.dtype, length)


def _refine(tried: list[tuple[float, Candidate, TimeModel]], pieces: Ints) -> TimeModel:
    """Return the best of some models, after fitting the best of each kind to sizes, not squares.

    Least squares serve the loudest samples, spikes and artefacts, which cost little more for it.
    """
    done = set()
    best, least = tried[0][2], tried[0][0]
    for before, candidate, model in tried:
        kind = candidate.order, candidate.wide
        if kind in done or not candidate.width:
            continue
        done.add(kind)
        for _ in range(REWEIGHTINGS):
            fit = _reweighted(pieces, model)
            model = _fit_taps(fit, candidate, pieces.dtype, model.segment)
            cost = _cost(pieces, model) + candidate.toll
            if cost < least:
                best, least = model, cost
            if cost > before - 0.002:
                break
            before = cost
    return best


def _cost(pieces: Ints, model: TimeModel) -> float:
    """Return the log of the mean size of the residual, in bits: mean over channels and pieces."""
    left = _residual(_history(pieces, model.order), model, pieces.itemsize)
    if not left.shape[2]:
        return 0.0
    left -= left.mean(axis=2, keepdims=True)  # a constant offset costs nothing
    return float(np.log2(np.abs(left).mean(axis=2) + 0.3).mean())


def _history(pieces: Ints, order: int) -> Floats:
    """Return what taps weigh: samples, or their differences."""
    history = pieces.astype(np.float64)
    return np.diff(history, axis=2) if order == 1 else history


def _residual(history: Floats, model: TimeModel, itemsize: int) -> Floats:
    """Return what a model leaves of each piece, from where it has all its taps on."""
    width = model.taps.shape[1]
    span = max(0, history.shape[2] - width)
    left = history[:, :, width:].copy()
    total = np.zeros_like(left)
    for lag in range(1, width + 1):
        tap = model.taps[:, lag - 1].astype(np.float64)
        total += tap[:, None, None] * history[:, :, width - lag :][:, :, :span]
    if width and not model.wide:  # narrow sums overflow, and that costs
        turn = 2.0 ** (8 * itemsize)
        total -= turn * np.floor(total / turn + 0.5)
    left -= total / (1 << model.shift)
    return left


def _covariance(
    pieces: Ints, order: int, weighing: str, lags: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the products of samples or differences and those before them, and their peaks.

    `pieces` is channels × pieces × samples. "even" weighs each piece by its power, so that one
    with an artefact counts like any other; "loud" lets the loudest pieces govern; "typical" takes
    the median piece. Each has its recordings.

    Only products that lie within a piece count. To count fewer of them for longer lags, as an
    autocorrelation does, is to look through a window, and what leaks through it hides how well a
    smooth signal can be predicted.

    Returns
    -------
    array, shape (channels, lags, lags)
        Of values so many samples back, with others.
    array, shape (channels, 2)
        Highest values of the median piece, and of all.
    """
    history, peak = _centred(pieces, order)
    channels, count, span = history.shape
    width = lags - 1
    products = np.zeros((channels, count, lags, lags))
    if span <= width:
        return products.sum(axis=1), peak
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
        return products.sum(axis=1), peak
    powers = np.einsum("cpt,cpt->cp", history, history) + 1
    mean = np.mean if weighing == "even" else np.median
    return mean(products / powers[..., None, None], axis=1), peak


def _reweighted(pieces: Ints, model: TimeModel) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the same as `_covariance`, each sample weighed by what a model leaves of it.

    So the mean size of what is left becomes least, with that of each piece as measure.
    """
    lags = model.taps.shape[1] + 1
    history, peak = _centred(pieces, model.order)
    products = np.zeros((len(pieces), lags, lags))
    if history.shape[2] < lags:
        return products, peak
    left = _residual(history, model, pieces.itemsize)
    left = np.abs(left - left.mean(axis=2, keepdims=True))
    size = left.mean(axis=2, keepdims=True) + 0.3
    weights = 1 / (size * np.maximum(left, 0.3 * size))
    early = _early(history, lags)
    for one in range(lags):
        weighed = early[one] * weights
        for other in range(one, lags):
            products[:, one, other] = np.einsum("cpt,cpt->c", weighed, early[other])
            products[:, other, one] = products[:, one, other]
    return products, peak


def _centred(pieces: Ints, order: int) -> tuple[Floats, Floats]:
    """Return what taps weigh, less the mean of each piece, and its peaks: see `_covariance`."""
    history = _history(pieces, order)
    peaks = np.abs(history).max(axis=2, initial=1.0)
    history -= np.rint(history.mean(axis=2, keepdims=True)) if history.shape[2] else 0
    return history, np.stack([np.median(peaks, axis=1), peaks.max(axis=1)], axis=1)


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
    candidates: tuple[Candidate, ...],
    fits: dict[tuple[int, str], tuple[Floats, Floats]],
) -> list[tuple[Candidate, str]]:
    """Keep of each family the candidate that promises most, to be tried in earnest."""
    families: dict[tuple[int, str, bool, bool], tuple[float, Candidate]] = {}
    for (order, weighing), (covariance, _) in fits.items():
        for candidate in candidates:
            if candidate.order != order:
                continue
            family = (order, weighing, candidate.wide, candidate.width > 0)
            promise = candidate.toll
            if candidate.width:
                left = _solve(covariance, candidate.width)[1]
                promise += 0.5 * float(np.log2(left).mean())
            if family not in families or promise < families[family][0]:
                families[family] = (promise, candidate)
    return [(candidate, family[1]) for family, (_, candidate) in families.items()]


def _fit_taps(
    fit: tuple[Floats, Floats], candidate: Candidate, dtype: np.dtype, segment: int
) -> TimeModel:
    """Least-squares taps per channel, rounded to integers."""
    covariance, peak = fit
    width = candidate.width
    if width == 0:
        none = np.zeros((len(peak), 0), np.int16)
        return TimeModel(candidate.order, 0, False, none, segment)
    taps = _solve(covariance, width)[0]
    loads = np.abs(taps).sum(axis=1, keepdims=True) * peak + 1
    if candidate.wide:
        # Nothing may overflow, even if later samples are twice as large.
        top = np.iinfo(dtype).max + 1
        room = 2.0 * top * top / (2 * loads[:, 1].max() + top)
        room = min(room, 32767 / max(float(np.abs(taps).max()), 1.0))
        shift = int(np.clip(np.floor(np.log2(room)), 2, WIDE_SHIFT))
    else:
        # Typical products must stay inside the sample's width; rare overflows only cost bits.
        shift = int(
            np.clip(np.floor(np.log2(np.iinfo(dtype).max / np.percentile(loads[:, 0], 90))), 2, 7)
        )
    early = [_solve(covariance, count)[0] for count in range(1, width)]
    every = np.concatenate([taps, *early], axis=1)
    scaled = np.clip(np.rint(every * (1 << shift)), -32767, 32767).astype(np.int16)
    return TimeModel(
        candidate.order,
        shift,
        candidate.wide,
        np.ascontiguousarray(scaled[:, :width]),
        segment,
        warm=np.ascontiguousarray(scaled[:, width:]),
    )


# ---- channels ---------------------------------------------------------------------------------


def fit_space(residual: Ints, terms: int, lags: bool) -> SpaceModel:
    """Choose for each channel the earlier channels that predict its residual best.

    Orthogonal matching pursuit: the neighbour that explains most of what is left,
    then least squares on all chosen so far, again up to `terms` times.

    Parameters
    ----------
    residual : array, shape (channels, samples)
    terms : int
        Most terms per channel.
    lags : bool
        Whether to look one sample ahead and behind, too.

    Returns
    -------
    SpaceModel
    """
    channels, length = residual.shape
    empty = SpaceModel(
        0,
        np.zeros(channels, np.uint8),
        np.zeros(0, np.uint16),
        np.zeros(0, np.int8),
        np.zeros(0, np.int8),
    )
    if terms == 0 or channels == 1 or length < 64:
        return empty
    sample = residual.astype(np.float32)
    sample -= np.rint(sample.mean(axis=1, keepdims=True))
    # Residuals are brought to about 16 steps and clipped at 63: sums of their products are then
    # exact in single precision, so the fit is the same whatever the BLAS does, and spikes and
    # artefacts do not govern it.
    size = np.abs(sample).mean(axis=1) * 1.25
    scale = np.exp2(np.rint(np.log2(16 / np.maximum(size, 1e-3)))).astype(np.float32)
    sample = np.clip(np.rint(sample * scale[:, None]), -63, 63)
    correlations = [_products(sample, lag) for lag in (range(3) if lags else range(1))]
    chosen, weights, counts = _pursue(correlations, terms)
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
    correlations: list[Floats], terms: int
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Greedy choice of terms for every channel at once.

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
        keep = (gain > TERM_GAIN) & (counts == term)
        counts[keep] += 1
        weights[keep, : term + 1] = now[keep]
        explained = np.where(keep, total, explained)
        left = target.copy()
        for index in range(term + 1):
            between = stack[
                middle + lags - picked_lags[:, index : index + 1],
                picked[:, index : index + 1],
                other,
            ]
            left -= now[:, index : index + 1] * between
    return np.stack([backs[chosen], lags[chosen]], axis=-1), weights, counts
