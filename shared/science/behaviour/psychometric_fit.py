"""Psychometric curves fitted by maximum likelihood, many at once.

The optimiser is our own: projected Fisher scoring from several starts, vectorised over curves, so
that the whole history of a mouse is one call. Compare implementations by the negative
log-likelihood, not by the digits of the parameters: psychofit's random restarts move the
parameters by about 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from shared.science.behaviour.psychometric import (
    EPS,
    MIN_THRESHOLD,
    Counts,
    Floats,
    PsychometricFit,
    Use,
    bounds,
)

_CHUNK = 512
_ITERATIONS = 150
_NOTHING = 1e-10  # of log-likelihood: a step that promises less ends the search
_SIFTED = (3, 5, 7, 10, 15, 20, 30)  # iterations before which searches that have met are joined
_CELLS = 400  # per side of the box, for telling whether they have
_REFINED = 9
_REMEMBERED = 10_000  # curves, about 10 MB: a hundred mice of a hundred days
_fitted: dict[tuple[object, ...], PsychometricFit] = {}

_GRID_THRESHOLDS = np.array([1.0, 3.0, 7.0, 13.0, 22.0, 40.0, 75.0])


def fit(counts: Counts, use: Use = "status", seed: int = 0) -> PsychometricFit:
    """Fit one curve; see :func:`fit_many`."""
    return fit_many([counts], use, seed)[0]


def fit_many(many: Sequence[Counts], use: Use = "status", seed: int = 0) -> list[PsychometricFit]:
    """Fit many curves by maximum likelihood at once.

    Every curve is refined from the start of its use, from seeded uniform starts within the
    bounds and from the best points of a coarse grid; the lowest negative log-likelihood wins,
    the earlier start on a tie. The result of a curve does not depend on the others in the batch.

    Parameters
    ----------
    many : sequence of Counts
        One per curve. Contrasts without trials are left out; a curve without trials gives NaN
        parameters.
    use : {'status', 'plot'}
        The bounds and starts, see :func:`bounds`.
    seed : int
        Seed of the uniform starts.

    Returns
    -------
    list of PsychometricFit
        In the order of `many`.
    """
    fits: list[PsychometricFit] = []
    for first in range(0, len(many), _CHUNK):
        fits += _fit_chunk(many[first : first + _CHUNK], use, seed)
    return fits


def fit_once(many: Sequence[Counts], use: Use = "status", seed: int = 0) -> list[PsychometricFit]:
    """Fit many curves as :func:`fit_many` does, but none that this process has fitted lately.

    A session's curve is on its own page, in its subject's history, and alone in the window of the
    first day; a subject's whole history is judged again with each new session.
    """
    shown = [_shown(counts) for counts in many]
    keys = [(use, seed, *(part.tobytes() for part in vars(counts).values())) for counts in shown]
    new = {key: counts for key, counts in zip(keys, shown, strict=True) if key not in _fitted}
    fits = dict(zip(new, fit_many(list(new.values()), use, seed), strict=True))
    found = [fits[key] if key in fits else _fitted[key] for key in keys]
    _fitted.update(fits)
    for key in list(islice(_fitted, max(0, len(_fitted) - _REMEMBERED))):
        del _fitted[key]
    return found


def _fit_chunk(many: Sequence[Counts], use: Use, seed: int) -> list[PsychometricFit]:
    fits = [_as_fit(np.full(4, np.nan), np.nan, 0)] * len(many)
    usable = [i for i, counts in enumerate(many) if np.any(counts.n_trials > 0)]
    if not usable:
        return fits
    x, right, wrong = _padded([many[i] for i in usable])
    settings = [bounds(_shown(many[i]), use) for i in usable]
    start, low, high = (np.array([s[part] for s in settings]) for part in range(3))
    low[:, 1] = np.maximum(low[:, 1], MIN_THRESHOLD)
    random = np.random.default_rng(seed).random((settings[0][3] - 1, 4))
    drawn = low[:, None] + random * (high - low)[:, None]
    starts = np.concatenate(
        [start[:, None], drawn, _grid_starts(x, right, wrong, low, high)], axis=1
    )
    theta, nll = _refine(starts, x, right, wrong, low, high)
    # A later start must win by more than rounding: flat likelihoods keep the conventional start.
    best = np.argmax(nll <= nll.min(axis=1, keepdims=True) + 1e-9, axis=1)
    total = (right + wrong).sum(axis=1)
    for row, i in enumerate(usable):
        fits[i] = _as_fit(theta[row, best[row]], nll[row, best[row]], total[row])
    return fits


def _as_fit(theta: Floats, nll: float, n_trials: float) -> PsychometricFit:
    bias, threshold, lapse_low, lapse_high = (float(value) for value in theta)
    return PsychometricFit(bias, threshold, lapse_low, lapse_high, float(nll), int(n_trials))


def _shown(counts: Counts) -> Counts:
    keep = counts.n_trials > 0
    return Counts(counts.contrasts[keep], counts.n_trials[keep], counts.n_right[keep])


def _padded(many: Sequence[Counts]) -> tuple[Floats, Floats, Floats]:
    """Return contrast, right and wrong counts as equal rows; padding has no trials."""
    counts_shown = [_shown(counts) for counts in many]
    width = max(counts.contrasts.size for counts in counts_shown)
    x, right, wrong = np.zeros((3, len(counts_shown), width))
    for row, counts in enumerate(counts_shown):
        k = counts.contrasts.size
        x[row, :k] = counts.contrasts
        right[row, :k] = counts.n_right
        wrong[row, :k] = counts.n_trials - counts.n_right
    return x, right, wrong


def _grid_starts(x: Floats, right: Floats, wrong: Floats, low: Floats, high: Floats) -> Floats:
    """Return, per curve, the lowest valleys of a coarse grid of biases and thresholds.

    At fixed bias and threshold the curve is linear in the lapses and the likelihood convex, so
    two reweighted least-squares steps give lapses good enough to compare the points by.
    """
    # Biases at and between the contrasts shown: a steep curve has no other valleys.
    contrasts_shown = np.where(right + wrong > 0, x, np.nanmax(x, axis=1, keepdims=True))
    level = np.sort(contrasts_shown, axis=1)
    bias = np.sort(np.concatenate([level, (level[:, 1:] + level[:, :-1]) / 2], axis=1), axis=1)
    bias = np.clip(bias, low[:, :1], high[:, :1])
    threshold = np.clip(_GRID_THRESHOLDS, low[:, 1:2], high[:, 1:2])
    z = (x[:, None, None] - bias[:, None, :, None]) / threshold[:, :, None, None]
    rise = (erf(z) + 1) / 2
    n = (right + wrong)[:, None, None]
    k = right[:, None, None]
    p = np.broadcast_to((k + 0.5) / (n + 1), rise.shape)
    for _ in range(2):
        weight = n / (p * (1 - p))
        aa = (weight * (1 - rise) ** 2).sum(axis=-1) + 1e-9
        bb = (weight * rise**2).sum(axis=-1) + 1e-9
        ab = (weight * rise * (1 - rise)).sum(axis=-1)
        target = weight * k / np.maximum(n, 1)
        ya, yb = (target * (1 - rise)).sum(axis=-1), (target * rise).sum(axis=-1)
        determinant = np.maximum(aa * bb - ab * ab, 1e-12)
        g_low = np.clip(
            (bb * ya - ab * yb) / determinant, low[:, 2, None, None], high[:, 2, None, None]
        )
        # With the left lapse cut to its bounds, the right one is the best beside it.
        g_high = np.clip(1 - (yb - ab * g_low) / bb, low[:, 3, None, None], high[:, 3, None, None])
        p = np.clip(g_low[..., None] + (1 - g_low - g_high)[..., None] * rise, 1e-4, 1 - 1e-4)
    nll = -(k * np.log(p) + (n - k) * np.log1p(-p)).sum(axis=-1)
    valley = np.where(_is_valley(nll), nll, nll + 1e6).reshape(len(x), -1)
    order = np.argsort(valley, axis=1, kind="stable")[:, :_REFINED]

    def take(grid: Floats) -> Floats:
        flat = np.broadcast_to(grid, nll.shape).reshape(len(x), -1)
        return np.take_along_axis(flat, order, axis=1)

    return np.stack(
        [take(bias[:, None, :]), take(threshold[:, :, None]), take(g_low), take(g_high)], axis=2
    )


def _is_valley(grid: Floats) -> NDArray[np.bool_]:
    """Tell which points of the last two axes are lowest among their four neighbours.

    A plateau counts once, by its first point.
    """
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    sides = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    above, below, left, right = sides
    return (grid < above) & (grid <= below) & (grid < left - 1e-9) & (grid <= right)


def _refine(
    starts: Floats, x: Floats, right: Floats, wrong: Floats, low: Floats, high: Floats
) -> tuple[Floats, Floats]:
    """Minimise each curve's negative log-likelihood within its box from every start.

    Fisher scoring with Levenberg-Marquardt damping; a parameter that would leave its bound is held
    there for the step. A search ends if it no longer moves, if its next step gains almost
    nothing, or if it has reached another search of the same curve.

    Parameters
    ----------
    starts : array, shape (n_curves, n_starts, 4)
    x, right, wrong : arrays, shape (n_curves, n_contrasts)
    low, high : arrays, shape (n_curves, 4)

    Returns
    -------
    theta : array, shape (n_curves, n_starts, 4)
    nll : array, shape (n_curves, n_starts)
    """
    shape = starts.shape[:2]
    theta = np.clip(starts, low[:, None], high[:, None]).reshape(-1, 4)
    live = np.arange(len(theta))
    of = np.repeat(np.arange(shape[0]), shape[1])  # the curve of each search
    damping = np.full(len(theta), 1e-2)
    still = np.zeros(len(theta), int)
    nll, gradient, information = _derivatives(theta, x[of], right[of], wrong[of])
    for iteration in range(_ITERATIONS):
        at = of[live]
        if iteration in _SIFTED:
            ongoing = _apart(theta[live], low[at], high[at], at)
            live, at = live[ongoing], at[ongoing]
            gradient, information = gradient[ongoing], information[ongoing]
        here, lo, hi = theta[live], low[at], high[at]
        free = ~(((here <= lo) & (gradient > 0)) | ((here >= hi) & (gradient < 0)))
        matrix = information * (free[:, :, None] & free[:, None, :])
        diagonal = np.einsum("nii->ni", information)
        scale = np.maximum(diagonal, 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-12)
        matrix[:, range(4), range(4)] += np.where(free, damping[live][:, None] * scale, 1.0)
        step = np.linalg.solve(matrix, (-gradient * free)[:, :, None])[:, :, 0]
        trial = np.clip(here + step, lo, hi)
        promised = -(gradient * (trial - here)).sum(axis=1)
        new_value, new_gradient, new_information = _derivatives(trial, x[at], right[at], wrong[at])
        better = new_value < nll[live]
        gained = np.where(better, nll[live] - new_value, 0.0)
        accepted = live[better]
        theta[accepted] = trial[better]
        nll[accepted] = new_value[better]
        gradient = np.where(better[:, None], new_gradient, gradient)
        information = np.where(better[:, None, None], new_information, information)
        still[live] = np.where(gained > 1e-10, 0, still[live] + 1)
        ended = (promised < _NOTHING) & (damping[live] <= 1)
        damping[live] = np.clip(
            np.where(better, damping[live] * 0.2, damping[live] * 6), 1e-9, 1e12
        )
        going = ~ended & (still[live] < 8) & (damping[live] < 1e10)
        if not going.any():
            break
        live, gradient, information = live[going], gradient[going], information[going]
    return theta.reshape(*shape, 4), nll.reshape(shape)


def _apart(theta: Floats, low: Floats, high: Floats, curve: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the searches to continue: the first one of each curve in each small cell."""
    side = np.where(high > low, high - low, 1)
    cell = np.round((theta - low) / side * _CELLS)
    _, first = np.unique(np.column_stack([curve, cell]), axis=0, return_index=True)
    return np.sort(first)


def _derivatives(
    theta: Floats, x: Floats, right: Floats, wrong: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return negative log-likelihood, gradient and Fisher information of each row."""
    bias, threshold, g_low, g_high = (theta[:, i, None] for i in range(4))
    z = (x - bias) / threshold
    rise = (erf(z) + 1) / 2
    height = 1 - g_low - g_high
    p = np.clip(g_low + height * rise, EPS, 1 - EPS)
    q = 1 - p
    value = -(right * np.log(p) + wrong * np.log(q)).sum(axis=1)
    slope = height * np.exp(-np.minimum(z * z, 700.0)) / (np.sqrt(np.pi) * threshold)
    jacobian = np.stack([-slope, -slope * z, 1 - rise, -rise], axis=1)
    gradient = -np.einsum("nik,nk->ni", jacobian, right / p - wrong / q)
    weight = (right + wrong) / (p * q)
    information = (jacobian * weight[:, None]) @ jacobian.transpose(0, 2, 1)
    return value, gradient, information
