"""Choosing and fitting models on an excerpt of a recording.

Floating point is used only here, in `fit_time`, `fit_space` and `scale`. The fitted parameters are
rounded to integers and stored beside the samples. The same samples give the same model, whatever
the load of the machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec import values
from shared.codec.chunk import ValueKind, rows_per_frame
from shared.codec.fit_space import fit_space, no_neighbours
from shared.codec.fit_time import VOTERS, Excerpt, fit_time
from shared.codec.levels import Candidate, Level
from shared.codec.predict import (
    MANY_CHANNELS,
    Ints,
    SpaceModel,
    TimeModel,
    less_neighbours,
    time_residuals,
)
from shared.codec.scale import Scale, choose_scales, log_sizes, residual_bits

#: Samples per piece of an excerpt, and pieces per excerpt of many channels.
EXCERPT_PIECE = 512
EXCERPT_PIECES = 8
#: Few channels give longer excerpts: most pieces per channel, and of all channels together.
LONG_EXCERPT = 40
PIECES_OF_ALL = 160
#: Samples for the choice of each channel's scale in recordings of many channels.
SAMPLES_TO_SCALE = 2048
#: Chunks of fewer values are fitted once, or not at all: there is little to save, and a full fit
#: would take longer than everything else. A model for one chunk alone must save its time there.
SMALL, TINY = 1 << 16, 1 << 14
SMALL_ALONE, TINY_ALONE = 1 << 18, 1 << 16
#: Bits per sample that a further neighbour must save in recordings of few channels, where
#: neighbours take little time.
FEW_GAIN = 0.006


@dataclass(frozen=True)
class Model:
    """The fitted parameters for a run of chunks."""

    ranked: bool  # samples are coded by rank, because most values of their range are unused
    base: int  # origin of the narrow integers if the samples are wide
    baseline: Ints  # of each channel, subtracted first
    time: TimeModel
    space: SpaceModel
    scales: list[Scale]  # of the residual of each channel


def fit(samples: NDArray[Any], level: Level, alone: bool = False) -> Model:
    """Fit a model on an excerpt of a chunk, to be used for it and the chunks after it.

    The same samples give the same model, whatever the load of the machine. `alone` means that no
    chunk comes after it.
    """
    length, channels = samples.shape
    small, tiny = (SMALL_ALONE, TINY_ALONE) if alone else (SMALL, TINY)
    some = np.concatenate([samples[piece] for piece in excerpt(length, channels)])
    ranked = values.are_sparse(samples, some)
    kind, base, _, rows = values.prepare(some, ranked)
    rows = rows.copy()
    if samples.size < tiny:
        baseline = np.zeros(channels, rows.dtype)
    else:
        baseline = choose_baseline(rows, kind == ValueKind.SHIFTED)
        rows -= baseline[:, None]
    families = level.many if channels >= MANY_CHANNELS else level.few
    if samples.size < tiny:
        ways = [_fit_nothing(rows, length)]
    elif samples.size < small:
        ways = [_fit_once(rows, families[0], level, length)]
    else:
        ways = [_fit_both(rows, each, level, length) for each in families]
    time, space, left = min(ways, key=lambda way: _mean_bits(way[2])) if ways[1:] else ways[0]
    return Model(kind == ValueKind.RANKED, base, baseline, time, space, _scales(left, length))


#: Models, and the residuals of the excerpt.
Fitted = tuple[TimeModel, SpaceModel, Ints]


def _fit_nothing(rows: Ints, length: int) -> Fitted:
    """Choose the samples or their differences, whichever are smaller."""
    changes = np.diff(rows, axis=1)
    sizes = [np.abs(each.astype(np.float32)).sum() for each in (rows[:, 1:], changes)]
    order = int(sizes[1] < sizes[0])
    time = TimeModel(order, 0, False, np.zeros((len(rows), 0), np.int16), length)
    return time, no_neighbours(len(rows)), changes if order else rows


def _fit_once(rows: Ints, candidates: Sequence[Candidate], level: Level, length: int) -> Fitted:
    """Fit taps, then neighbours to their residuals."""
    time = fit_time(_excerpt(rows, rows, length), candidates)
    return time, *_fit_neighbours(rows, time, level, length)


def _fit_both(rows: Ints, candidates: Sequence[Candidate], level: Level, length: int) -> Fitted:
    """Fit taps, then neighbours to their residuals, then both again; keep the better fit.

    Taps fitted without neighbours are seldom the best with them. For many channels, a part of the
    excerpt is enough for the first fit.
    """
    many = len(rows) >= MANY_CHANNELS
    seen, half = (_some_pieces(rows, 4), _some_pieces(rows, 2)) if many else (rows, rows)
    time, space, left = _fit_once(seen, candidates, level, length)
    if len(space.weights):
        wider = half.astype(np.dtype(f"i{2 * half.itemsize}"))  # with room for sums of any size
        own = np.stack([row.copy() for row in less_neighbours(wider, space)])
        other_time = fit_time(_excerpt(half, own, length), candidates)
        other_space, other = _fit_neighbours(rows, other_time, level, length)
        if _mean_bits(_some_pieces(other, 4) if many else other) < _mean_bits(left):
            return other_time, other_space, other
    return _fit_once(rows, candidates, level, length) if many else (time, space, left)


def _fit_neighbours(
    rows: Ints, time: TimeModel, level: Level, length: int
) -> tuple[SpaceModel, Ints]:
    """Fit the neighbours to the residuals of a time model; return the new residuals, too."""
    residual = rows.copy()
    for _ in time_residuals(residual, time):
        pass
    gain = level.gain if len(rows) >= MANY_CHANNELS else min(level.gain, FEW_GAIN)
    space = fit_space(residual, level.terms, gain, length)
    if not len(space.weights):
        return no_neighbours(len(rows)), residual
    left = np.stack([row.copy() for row in less_neighbours(residual, space)])
    # Artefacts may have dominated the fit.
    helped = log_sizes(_pieces(left)) < log_sizes(_pieces(residual))
    left[~helped] = residual[~helped]
    used = np.repeat(helped, space.counts)
    counts = space.counts * helped
    if not counts.any():
        return no_neighbours(len(rows)), residual
    return SpaceModel(space.shift, counts, space.distances[used], space.weights[used]), left


def _excerpt(rows: Ints, own: Ints, length: int) -> Excerpt:
    return Excerpt(_pieces(rows), _pieces(own), length)


def _some_pieces(rows: Ints, step: int) -> Ints:
    """Return every `step`-th piece of an excerpt."""
    return _pieces(rows)[:, ::step].reshape(len(rows), -1)


def _mean_bits(rows: Ints) -> float:
    """Estimate the mean bits of a residual."""
    some = rows[:: max(1, len(rows) // VOTERS)]
    return float(residual_bits(_pieces(some)).mean())


def _pieces(rows: Ints) -> Ints:
    """Return an excerpt as channels × pieces × samples."""
    size = min(rows.shape[1], EXCERPT_PIECE)
    return rows[:, : rows.shape[1] // size * size].reshape(len(rows), -1, size)


def excerpt(length: int, channels: int = MANY_CHANNELS) -> list[slice]:
    """Return pieces spread evenly over `length` samples; everything if that is short.

    Recordings of few channels give longer excerpts: they need more samples for an equally good
    fit.
    """
    size, pieces = EXCERPT_PIECE, EXCERPT_PIECES
    if channels < MANY_CHANNELS:
        pieces = max(pieces, min(LONG_EXCERPT, PIECES_OF_ALL // channels))
    if length <= pieces * size:
        return [slice(start, min(start + size, length)) for start in range(0, length, size)]
    starts = np.linspace(0, length - size, pieces).astype(int)
    return [slice(int(start), int(start) + size) for start in starts]


def choose_baseline(rows: Ints, shifted: bool) -> Ints:
    """Return the value to subtract from each channel: zeros, unless some are far from zero.

    A digital line is mostly at its median, and costs nothing there.
    """
    some = rows[:, :: max(1, rows.shape[1] // 512)].astype(np.float64)
    middles = np.rint(np.median(some, axis=1))
    far = shifted or np.any(np.abs(middles) > 2 * some.std(axis=1) + 16)
    return (middles if far else np.zeros(len(rows))).astype(rows.dtype)


def _scales(left: Ints, length: int) -> list[Scale]:
    """Choose the scale of every channel; rows that share a frame share all but the centre."""
    group, scales = rows_per_frame(length), []
    most = SAMPLES_TO_SCALE if len(left) >= MANY_CHANNELS else left.shape[1]
    for first in range(0, len(left), group):
        scales += choose_scales(left[first : first + group, :most], length)
    return scales
