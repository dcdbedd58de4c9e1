"""Choosing and fitting models on an excerpt of a recording.

Floating point is used only here, in `fit_time`, `fit_space` and `scale`: what is fitted is
rounded to integers and stored beside the samples. The same samples give the same model, whatever
the machine is busy with.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec import entropy, values
from shared.codec.chunk import rows_per_frame
from shared.codec.fit_space import fit_space
from shared.codec.fit_time import VOTERS, Candidate, Excerpt, fit_time, refit_time
from shared.codec.predict import (
    MANY_CHANNELS,
    Ints,
    SpaceModel,
    TimeModel,
    neighbour_sums,
    predict_row,
    time_residual,
)
from shared.codec.scale import (
    FAINT,
    QUIET,
    Scale,
    choose_scales,
    log_sizes,
    residual_bits,
    scaled_bits,
    some_of,
)
from shared.codec.workspace import WORKSPACE

Floats = NDArray[np.float64]

#: Samples of each piece of an excerpt, and the pieces of one of many channels.
EXCERPT_PIECE = 512
EXCERPT_PIECES = 8
#: Few channels give longer excerpts: up to so many pieces, so many of all channels together.
LONG_EXCERPT = 40
PIECES_OF_ALL = 160
#: Pieces by which the scale of each of many channels is chosen.
PIECES_TO_SCALE = 4
#: Values on which it is tried whether a recording repeats itself, and how much less it must take.
REPEAT_VALUES = 1 << 17
REPEAT_SHARE = 0.9
#: Bits per sample that a further neighbour must save where there are few: they take little time.
FEW_GAIN = 0.006


@dataclass(frozen=True)
class Level:
    """One setting.

    Attributes
    ----------
    many, few : tuple of Candidate
        Time models tried for recordings of many, and of few (less than 32), channels.
    terms : int
        Most neighbours a channel is predicted from.
    gain : float
        Bits per sample that a further neighbour must save to be worth its arithmetic.
    lags : bool
        Whether neighbours one sample ahead or behind are considered.
    slow : tuple of Candidate
        Tried, too, for few channels at low sample rates.
    """

    many: tuple[Candidate, ...]
    few: tuple[Candidate, ...]
    terms: int
    gain: float
    lags: bool
    slow: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Model:
    """What is fitted once and used for a run of chunks.

    Attributes
    ----------
    kind : int
        `values.TABLE`, `values.TABLES` or `values.STEPS` where samples are coded by rank, as the
        values in use leave most of their range unused; else `values.DIRECT`.
    base : int
        What narrow integers count from where the samples are wide.
    baseline : array, shape (channels,) or (0,)
        Subtracted from each channel before all else.
    time : TimeModel
    space : SpaceModel
    scales : array, shape (channels, 3)
        `Scale` of the residual of each channel.
    repeats : bool
        Whether the recording may repeat itself so closely that no prediction comes near it.
    """

    kind: int
    base: int
    baseline: Ints
    time: TimeModel
    space: SpaceModel
    scales: NDArray[np.int64]
    repeats: bool = False


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
    pieces = excerpt(length, channels)
    some = _take(samples, pieces)
    tables = values.sparse_values(samples, some)
    kind, base, rows = values.prepare(some, tables)
    ways = [_fit_rows(kind, base, rows.copy(), level, length, tables)]
    if values.sparse_channels(rows):
        each = values.table_per_channel(samples)
        if each is not None:
            kind, base, rows = values.prepare(some, each)
            ways.append(_fit_rows(kind, base, rows.copy(), level, length, each))
    if tables is None and values.may_have_sparse_steps(some):
        steps = values.steps_of(samples)
        some = _take(steps, pieces)
        table = values.sparse_values(steps, some, values.STEPS)
        if table is not None:
            kind, base, rows = values.prepare(some, table)
            ways.append(_fit_rows(kind, base, rows.copy(), level, length, table))
    bits, model = min(ways, key=lambda way: way[0])
    return replace(model, repeats=_repeats(samples, bits / samples.size))


def _take(samples: NDArray[Any], pieces: list[slice]) -> NDArray[Any]:
    """Return an excerpt, piece after piece."""
    return np.concatenate([samples[piece] for piece in pieces])


def _repeats(samples: NDArray[Any], bits: float) -> bool:
    """Tell whether a general compressor may need less than the bits per sample expected."""
    some = values.steps_of(samples[: max(1, REPEAT_VALUES // samples.shape[1])])
    packed = zstandard.ZstdCompressor(level=3).compress(np.ascontiguousarray(some.T).data)
    return 8 * len(packed) < REPEAT_SHARE * bits * some.size


def _fit_rows(
    kind: int, base: int, rows: Ints, level: Level, length: int, tables: values.Tables | None
) -> tuple[float, Model]:
    """Fit a model on an excerpt as `values.prepare` made it, and estimate what a chunk takes."""
    baseline = choose_baseline(rows, kind == values.SHIFTED)
    if len(baseline):
        rows -= baseline[:, None]
    fit_both = _fit_many if len(rows) >= MANY_CHANNELS else _fit_few
    time, space, left = fit_both(rows, level, length)
    scales = _choose_scales(left, length)
    step = max(1, len(left) // VOTERS)
    some = zip(left[::step], scales[::step], strict=True)
    bits = length * step * sum(scaled_bits(some_of(row), scale, length) for row, scale in some)
    if tables is not None:
        bits += 8 * len(WORKSPACE.meta_coder.compress(entropy.shuffle(tables.packed())))
    by_rank = kind if kind in values.BY_RANK else values.DIRECT
    return bits, Model(by_rank, base, baseline, time, space, np.array(scales))


def _fit_few(rows: Ints, level: Level, length: int) -> tuple[TimeModel, SpaceModel, Ints]:
    """Fit taps, then neighbours to what these leave, then both again, and keep the better."""
    level = replace(level, gain=min(level.gain, FEW_GAIN))
    time = fit_time(Excerpt(_pieces(rows), length), level.few)
    space, left = _fit_neighbours(rows, time, level, length)
    if len(space.weights):
        own = Excerpt(_pieces(rows), length, _pieces(_without_neighbours(rows, space)))
        other_time = refit_time(own, time)
        other_space, other = _fit_neighbours(rows, other_time, level, length)
        if _mean_bits(other) < _mean_bits(left):
            return other_time, other_space, other
    return time, space, left


def _fit_many(rows: Ints, level: Level, length: int) -> tuple[TimeModel, SpaceModel, Ints]:
    """Fit taps to what a first look at the neighbours leaves, then neighbours.

    Taps fitted as if there were no neighbours are seldom the best with them; where they are, that
    look was in vain.
    """
    seen, half = _some_pieces(rows, 4), _some_pieces(rows, 2)
    time = fit_time(Excerpt(_pieces(seen), length), level.many)
    space, left = _fit_neighbours(seen, time, replace(level, lags=False), length)
    if len(space.weights):
        own = Excerpt(_pieces(half), length, _pieces(_without_neighbours(half, space)))
        other_time = fit_time(own, level.many)  # another kind may be the best now
        other_space, other = _fit_neighbours(rows, other_time, level, length)
        if _mean_bits(_some_pieces(other, 4)) < _mean_bits(left):
            return other_time, other_space, other
    time = fit_time(Excerpt(_pieces(rows), length), level.many)
    return time, *_fit_neighbours(rows, time, level, length)


def _fit_neighbours(
    rows: Ints, time: TimeModel, level: Level, length: int
) -> tuple[SpaceModel, Ints]:
    """Fit the neighbours to what a time model leaves, and return what they leave, too."""
    residual = rows.copy()
    time_residual(residual, time)
    space = fit_space(residual, level.terms, level.gain, level.lags, length)
    left = _less_neighbours(residual, space)
    # Artefacts may have governed the fit.
    helped = log_sizes(_pieces(left)) < log_sizes(_pieces(residual))
    left[~helped] = residual[~helped]
    return _only(space, helped), left


def _less_neighbours(rows: Ints, space: SpaceModel) -> Ints:
    """Return what is left of rows after prediction by their neighbours."""
    left, predicted = np.empty_like(rows), neighbour_sums(rows, space)
    for channel, row in enumerate(rows):
        predict_row(row, predicted(channel), left[channel])
    return left


def _without_neighbours(rows: Ints, space: SpaceModel) -> Ints:
    """Return samples less what their neighbours tell, with room for sums of any size."""
    return _less_neighbours(rows.astype(np.dtype(f"i{2 * rows.itemsize}")), space)


def _some_pieces(rows: Ints, step: int) -> Ints:
    """Return every so many-th piece of an excerpt."""
    return _pieces(rows)[:, ::step].reshape(len(rows), -1)


def _mean_bits(rows: Ints) -> float:
    """Estimate the bits a residual takes."""
    some = rows[:: max(1, len(rows) // VOTERS)]
    return float(residual_bits(_pieces(some)).mean())


def _pieces(rows: Ints) -> Ints:
    """Return an excerpt as channels × pieces × samples."""
    size = min(rows.shape[1], EXCERPT_PIECE)
    return rows[:, : rows.shape[1] // size * size].reshape(len(rows), -1, size)


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
    size, pieces = EXCERPT_PIECE, EXCERPT_PIECES
    if channels < MANY_CHANNELS:
        pieces = max(pieces, min(LONG_EXCERPT, PIECES_OF_ALL // channels))
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


def _choose_scales(left: Ints, length: int) -> list[Scale]:
    """Choose the scale of every channel; most are neither faint nor loud, and need no search.

    Rows that share a frame share all but the centre.
    """
    some = left[:, :: max(1, left.shape[1] // 512)].astype(np.float64)
    centres = np.rint(some.mean(axis=1)).astype(np.int64)
    sizes = np.abs(some - centres[:, None]).mean(axis=1)
    most = PIECES_TO_SCALE * EXCERPT_PIECE if len(left) >= MANY_CHANNELS else left.shape[1]
    scales, group = [], rows_per_frame(length)
    for first in range(0, len(left), group):
        here = slice(first, first + group)
        if FAINT <= sizes[here].mean() < QUIET:
            scales += [Scale(0, 0, centre) for centre in centres[here].tolist()]
        else:
            scales += choose_scales(left[here, :most], centres[here], length)
    return scales
