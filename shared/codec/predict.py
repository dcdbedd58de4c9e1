"""Lossless prediction of samples in time and across channels, in integers only.

All arithmetic is modular two's complement on fixed widths, the same on the way in and on the way
out, so any samples and any model come back bit for bit: an overflow costs bits, never exactness.
Floating point is used only to *fit* models, never to apply them. FORMAT.md gives the equations.

Arrays of samples are channel-major here: `(channels, samples)`.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
Floats = NDArray[np.float64]

#: Channels looked back at for neighbours: two rows of converters of a Neuropixels 1.0 probe.
REACH = 48
#: From here on a recording has many channels: enough to decode in parallel across them.
MANY_CHANNELS = 32
#: Samples of a tile of a transposition.
TILE = 1024
#: Rows of history kept by the recursion between moves to the front of its buffer.
HISTORY = 64
#: Fraction bits of taps whose products are summed in twice the sample's width.
WIDE_SHIFT = 12
#: So many products of integers up to 63 sum up exactly in single precision.
EXACT_PRODUCTS = 4096
#: Channels on which the kind of time model is chosen.
VOTERS = 32
#: Bits per sample a further neighbour must save to be worth its arithmetic.
TERM_GAIN = 0.004


@dataclass(frozen=True)
class TimeModel:
    """How a sample is predicted from the samples before it in the same channel.

    Attributes
    ----------
    order : int
        0 when the taps weigh samples, 1 when they weigh first differences.
    shift : int
        Fraction bits of the taps.
    wide : bool
        Whether products are summed in twice the sample's width.
    taps : array of int16, shape (channels, p)
        Weights of the last p values, the most recent first.
    segment : int
        Samples per independent segment.
    wrapping : bool
        Whether the inverse of a wide model must reduce every sample to its width.
    """

    order: int
    shift: int
    wide: bool
    taps: NDArray[np.int16]
    segment: int
    wrapping: bool = False


@dataclass(frozen=True)
class SpaceModel:
    """How the residual of a channel is predicted from channels already decoded.

    Attributes
    ----------
    shift : int
        Fraction bits of the weights.
    counts : array of uint8, shape (channels,)
        Number of terms of each channel.
    distances : array of uint16, shape (terms,)
        How many channels back a term looks.
    lags : array of int8, shape (terms,)
        Samples ahead (positive) or behind (negative) a term looks.
    weights : array of int8, shape (terms,)
        Weight of each term in units of 2**-shift.
    """

    shift: int
    counts: NDArray[np.uint8]
    distances: NDArray[np.uint16]
    lags: NDArray[np.int8]
    weights: NDArray[np.int8]


# ---- time -------------------------------------------------------------------------------------


def time_residual(samples: Ints, model: TimeModel, out: Ints) -> bool:
    """Replace each sample by its difference from the prediction.

    Parameters
    ----------
    samples : array, shape (channels, samples)
    model : TimeModel
    out : array like `samples`
        Receives the residual; must not overlap `samples`.

    Returns
    -------
    bool
        Whether a wide model wrapped somewhere, so that its inverse must wrap at every step.
    """
    length = samples.shape[1]
    segment, width = model.segment, model.taps.shape[1]
    wraps = False
    if width == 0 or (width == 1 and model.order == 0 and not model.wide):
        # The common cases work on whole rows; the values at segment heads are replaced below.
        scratch = np.empty(length, samples.dtype)
        for channel, (row, residual) in enumerate(zip(samples, out, strict=True)):
            if model.order == 1:
                np.subtract(row[1:], row[:-1], out=residual[1:])
            elif width == 0:
                residual[:] = row
            else:
                np.multiply(row[:-1], model.taps[channel, 0], out=scratch[1:])
                np.right_shift(scratch[1:], model.shift, out=scratch[1:])
                np.subtract(row[1:], scratch[1:], out=residual[1:])
    else:
        wraps = _time_residual_segments(samples, model, out)
    heads = samples[:, ::segment]
    out[:, ::segment] = heads
    out[:, segment::segment] -= heads[:, :-1]
    return wraps


def _time_residual_segments(samples: Ints, model: TimeModel, out: Ints) -> bool:
    """Residual with several taps: each row as segments, with their history before them."""
    length = samples.shape[1]
    segment, width = model.segment, model.taps.shape[1]
    count = -(-length // segment)
    narrow, dtype = samples.dtype, sum_type(model, samples.dtype)
    limits = np.iinfo(narrow)
    room = np.iinfo(dtype).max - (limits.max << model.shift)
    history = np.zeros((count, width + segment), dtype)
    padded = np.zeros(count * segment, narrow)
    rows = padded.reshape(count, segment)
    total = np.empty((count, segment), dtype)
    product = np.empty((count, segment), dtype)
    wraps = False
    for channel, row in enumerate(samples):
        padded[:length] = row
        padded[length:] = row[-1]
        values = history[:, width:]
        if model.order == 0:
            values[:] = rows
            history[:, :width] = rows[:, :1]
        else:
            values[:, 1:] = rows[:, 1:] - rows[:, :-1]
            values[:, 0] = 0
        taps = model.taps[channel].astype(dtype)
        np.multiply(history[:, width - 1 : -1], taps[0], out=total)
        for lag in range(2, width + 1):
            np.multiply(history[:, width - lag : -lag], taps[lag - 1], out=product)
            np.add(total, product, out=total)
        if model.wide:
            peak = max(int(values.max()), -int(values.min()))
            wraps |= int(np.abs(taps).sum()) * peak > room
        np.right_shift(total, model.shift, out=total)
        np.subtract(values, total, out=total)
        if model.wide:
            wraps |= bool(total.min() < limits.min or total.max() > limits.max)
        out[channel] = total.reshape(-1)[:length]
    return wraps


def time_restore(residual: Ints, model: TimeModel, out: Ints) -> None:
    """Invert `time_residual`, from channel-major residuals to time-major samples.

    Parameters
    ----------
    residual : array, shape (channels, samples)
    model : TimeModel
    out : C-contiguous array, shape (segments × segment, channels)
        Receives the samples; rows beyond the recording are padding without meaning.
    """
    channels, length = residual.shape
    segment = model.segment
    count = -(-length // segment)
    if not model.wide and (channels >= MANY_CHANNELS or count == 1):
        transpose_into(residual, out[:length])
        out[length:] = 0
        steps = out.reshape(count, segment, channels).transpose(1, 0, 2)
        np.cumsum(steps[0], axis=0, dtype=out.dtype, out=steps[0])
        _recur(steps, model, model.taps.T[:, None, :])
        return
    # Gather (channel, segment) lanes, so that one step of the recursion is one contiguous row.
    warm = model.taps.shape[1] if model.wide else 0
    lanes = np.zeros((warm + segment, channels, count), sum_type(model, residual.dtype))
    steps = lanes[warm:]
    whole = length // segment
    body = residual[:, : whole * segment].reshape(channels, whole, segment)
    steps[:, :, :whole] = body.transpose(2, 0, 1)
    if whole < count:
        steps[: length - whole * segment, :, whole] = residual[:, whole * segment :].T
    steps[0] = np.cumsum(steps[0], axis=1, dtype=residual.dtype)
    if model.wide:
        _recur_wide(lanes, model)
    else:
        _recur(steps, model, model.taps.T[:, :, None])
    out.reshape(count, segment, channels)[:] = steps.transpose(2, 0, 1)


def sum_type(model: TimeModel, dtype: np.dtype) -> np.dtype:
    """Return the type in which products of taps are summed."""
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


def _recur(steps: Ints, model: TimeModel, taps: Ints) -> None:
    """Run the narrow recursion over the first axis of `steps`: residual in, samples out."""
    width, heads = len(taps), steps[0]
    if width == 0:
        if model.order == 1:
            for now in range(1, len(steps)):
                np.add(steps[now], steps[now - 1], out=steps[now])
        return
    dtype = steps.dtype
    shift = dtype.type(model.shift)
    total = np.empty(heads.shape, dtype)
    if width == 1 and model.order == 0:
        tap = np.ascontiguousarray(np.broadcast_to(taps[0], heads.shape))
        row = heads
        for now in range(1, len(steps)):
            np.multiply(row, tap, out=total)
            np.right_shift(total, shift, out=total)
            row = steps[now]
            np.add(row, total, out=row)
        return
    # A window of the history, oldest first, is one contiguous operand of one multiplication. The
    # history lives in a short buffer that stays in the cache.
    reverse = np.ascontiguousarray(np.broadcast_to(taps[::-1], (width, *heads.shape)))
    history = np.zeros((width + HISTORY, *heads.shape), dtype)
    if model.order == 0:
        history[:width] = heads
    products = np.empty((width, *heads.shape), dtype)
    end = width
    for now in range(1, len(steps)):
        if end == len(history):
            history[:width] = history[end - width :]
            end = width
        np.multiply(history[end - width : end], reverse, out=products)
        np.add.reduce(products, axis=0, out=total)
        np.right_shift(total, shift, out=total)
        value = history[end]
        np.add(steps[now], total, out=value)
        end += 1
        if model.order == 1:
            np.add(value, steps[now - 1], out=steps[now])
        else:
            steps[now] = value


def _recur_wide(lanes: Ints, model: TimeModel) -> None:
    """Run the wide recursion over rows of `lanes`, the first of which are free for the history.

    The residual enters the sum before the shift as one more tap: three calls per step. An
    overflow of the sum changes only bits that fall away with the reduction to the sample's width,
    and that is left out where the encoder found that nothing wraps.
    """
    width = model.taps.shape[1]
    if model.order == 0:
        lanes[:width] = lanes[width]
    heads = lanes[width].copy()
    if model.order == 1:
        lanes[width] = 0  # the recursion is over differences, and these start at the head
    taps = np.concatenate([model.taps.T[::-1], np.full((1, lanes.shape[1]), 0, np.int16)])
    weights = np.empty((width + 1, *lanes.shape[1:]), lanes.dtype)
    weights[:] = taps[:, :, None]
    weights[width] = 1 << model.shift
    shift = lanes.dtype.type(model.shift)
    products = np.empty_like(weights)
    total = np.empty(lanes.shape[1:], lanes.dtype)
    halves = total.view(np.dtype(f"i{lanes.itemsize // 2}"))
    reduced = halves[..., int(sys.byteorder == "big") :: 2]
    for now in range(width + 1, len(lanes)):
        np.multiply(lanes[now - width : now + 1], weights, out=products)
        np.add.reduce(products, axis=0, out=total)
        if model.wrapping:
            np.right_shift(total, shift, out=total)
            lanes[now] = reduced
        else:
            np.right_shift(total, shift, out=lanes[now])
    if model.order == 1:
        lanes[width] = heads
        np.cumsum(lanes[width:], axis=0, out=lanes[width:])


# ---- fitting ----------------------------------------------------------------------------------


def excerpt(length: int, channels: int = MANY_CHANNELS) -> list[slice]:
    """Return pieces spread evenly over `length` samples, all of it when it is short.

    Recordings of few channels give longer excerpts: they need more samples for as sure a fit.
    """
    pieces, size = (16, 512) if channels >= MANY_CHANNELS else (16, 1024)
    if length <= pieces * size:
        return [slice(start, min(start + size, length)) for start in range(0, length, size)]
    starts = np.linspace(0, length - size, pieces).astype(int)
    return [slice(int(start), int(start) + size) for start in starts]


@dataclass(frozen=True)
class Candidate:
    """A kind of time model to try, and the bits per sample it must gain over simpler ones."""

    order: int
    width: int
    wide: bool
    toll: float


def fit_time(samples: Ints, candidates: tuple[Candidate, ...], segment: int) -> TimeModel:
    """Choose a time model by the mean size of the residual it leaves on an excerpt.

    Parameters
    ----------
    samples : array, shape (channels, samples)
    candidates : tuple of Candidate
        From the simplest on.
    segment : int
        Samples per segment of the model returned.

    Returns
    -------
    TimeModel
    """
    pieces = [samples[:, piece] for piece in excerpt(*samples.shape[::-1])]
    voters = slice(None, None, max(1, len(samples) // VOTERS))
    lags = 1 + max(candidate.width for candidate in candidates)
    kinds = [
        (order, even)
        for order in sorted({candidate.order for candidate in candidates})
        for even in ((True, False) if len(samples) < MANY_CHANNELS else (True,))
    ]
    ballot = [np.ascontiguousarray(piece[voters]) for piece in pieces]
    fits = {kind: _autocorrelation(ballot, *kind, lags) for kind in kinds}
    best, least = (candidates[0], True), np.inf
    for candidate, even in _shortlist(candidates, fits):
        model = _fit_taps(fits[candidate.order, even], candidate, samples.dtype, segment)
        cost = _cost(ballot, model) + candidate.toll
        if cost < least:
            best, least = (candidate, even), cost
    candidate, even = best
    fit = _autocorrelation(pieces, candidate.order, even, candidate.width + 1)
    return _fit_taps(fit, candidate, samples.dtype, segment)


def _cost(pieces: list[Ints], model: TimeModel) -> float:
    """Return the log of the mean size of the residual, in bits: mean over channels and pieces."""
    total = 0.0
    for piece in pieces:
        warm = min(model.taps.shape[1] + 1, piece.shape[1] // 2)
        residual = np.empty(piece.shape, piece.dtype)
        time_residual(piece, replace(model, segment=piece.shape[1]), residual)
        left = residual[:, warm:].astype(np.float64)
        left -= left.mean(axis=1, keepdims=True)  # a constant offset costs nothing
        total += float(np.log2(np.abs(left).mean(axis=1) + 0.3).mean())
    return total / len(pieces)


def _autocorrelation(
    pieces: list[Ints], order: int, even: bool, lags: int
) -> tuple[Floats, NDArray[np.float64]]:
    """Return the autocorrelation of samples or differences, and their peaks, per channel.

    With `even`, each piece is weighed by its power, so that one with an artefact counts like any
    other; without, the loudest pieces govern. Both have their recordings.
    Sums of products of integers are exact in double precision: their order cannot matter.
    """
    total: Floats = np.zeros((len(pieces[0]), lags))
    peak: Floats = np.ones(len(pieces[0]))
    for piece in pieces:
        values = piece.astype(np.float64)
        if order == 1:
            values = np.diff(values, axis=1)
        span = values.shape[1]
        if span == 0:
            continue
        peak = np.maximum(peak, np.abs(values).max(axis=1))
        values -= np.rint(values.mean(axis=1, keepdims=True))
        powers = np.einsum("ct,ct->c", values, values)
        for lag in range(min(lags, span)):
            product = np.einsum("ct,ct->c", values[:, : span - lag], values[:, lag:])
            total[:, lag] += product / (powers + 1) if even else product
    return total, peak


def _solve(correlation: Floats, width: int) -> tuple[Floats, Floats]:
    """Return the least-squares taps and the share of the power they leave, per channel."""
    rows = np.abs(np.arange(width)[:, None] - np.arange(width))
    power = correlation[:, 0] * (1 + 1e-7) + 1e-9
    normal = correlation[:, :width][:, rows]
    normal[:, range(width), range(width)] = power[:, None]
    aims = correlation[:, 1 : width + 1]
    taps = np.linalg.solve(normal, aims[..., None])[..., 0]
    return taps, np.maximum(1 - (taps * aims).sum(axis=1) / power, 1e-6)


def _shortlist(
    candidates: tuple[Candidate, ...],
    fits: dict[tuple[int, bool], tuple[Floats, Floats]],
) -> list[tuple[Candidate, bool]]:
    """Keep of each family the candidate that promises most, to be tried in earnest."""
    families: dict[tuple[int, bool, bool, bool], tuple[float, Candidate]] = {}
    for (order, even), (correlation, _) in fits.items():
        for candidate in candidates:
            if candidate.order != order or (candidate.width == 0 and not even):
                continue
            family = (order, even, candidate.wide, candidate.width > 0)
            promise = candidate.toll
            if candidate.width:
                left = _solve(correlation, candidate.width)[1]
                promise += 0.5 * float(np.log2(left).mean())
            if family not in families or promise < families[family][0]:
                families[family] = (promise, candidate)
    return [(candidate, family[1]) for family, (_, candidate) in families.items()]


def _fit_taps(
    fit: tuple[Floats, Floats], candidate: Candidate, dtype: np.dtype, segment: int
) -> TimeModel:
    """Least-squares taps per channel, rounded to integers."""
    correlation, peak = fit
    width = candidate.width
    if width == 0:
        none = np.zeros((len(peak), 0), np.int16)
        return TimeModel(candidate.order, 0, False, none, segment)
    taps = _solve(correlation, width)[0]
    load = np.abs(taps).sum(axis=1) * peak + 1
    if candidate.wide:
        # Nothing may overflow, even if later samples are twice as large.
        top = np.iinfo(dtype).max + 1
        room = 2.0 * top * top / (2 * load.max() + top)
        shift = int(np.clip(np.floor(np.log2(room)), 2, WIDE_SHIFT))
    else:
        # Typical products must stay inside the sample's width; rare overflows only cost bits.
        shift = int(
            np.clip(np.floor(np.log2(np.iinfo(dtype).max / np.percentile(load, 90))), 2, 7)
        )
    scaled = np.clip(np.rint(taps * (1 << shift)), -32767, 32767).astype(np.int16)
    return TimeModel(candidate.order, shift, candidate.wide, scaled, segment)


def fit_space(residual: Ints, terms: int, lags: bool) -> SpaceModel:
    """Choose for each channel the earlier channels that predict its residual best.

    Orthogonal matching pursuit on an excerpt: the neighbour that explains most of what is left,
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
    pieces = [residual[:, piece] for piece in excerpt(length)]
    sample = np.concatenate(pieces, axis=1).astype(np.float32)
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
    """Return the sums of products of all pairs of channels, the second `lag` samples later."""
    total = np.zeros((len(sample), len(sample)))
    for start in range(0, sample.shape[1], EXACT_PRODUCTS):
        early = sample[:, start : start + EXACT_PRODUCTS]
        late = sample[:, start + lag : start + lag + EXACT_PRODUCTS]
        total += early[:, : late.shape[1]] @ late.T
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
