"""Time the behaviour analyses beside their peers: `python benchmarks/behaviour.py [--json]`.

Times depend on the machine. Ratios depend on it much less: both sides run in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import psychofit
from scipy.stats import bootstrap

from shared.science.behaviour.curves import median_interval, session_plots
from shared.science.behaviour.psychometric import Counts, bounds, curve, neg_log_likelihood
from shared.science.behaviour.psychometric_fit import fit_many
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession
from shared.science.water.control import WaterControl
from shared.science.water.records import Restriction, Water, Weighing

CONTRASTS = np.array([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100.0])


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of one call, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def trials(day: int, n: int, blocks: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Return the trials of one day of a mouse that learns."""
    rng = np.random.default_rng(day)
    contrast = rng.choice(CONTRASTS, n)
    block = np.repeat(np.resize(blocks, 10), -(-n // 10))[:n]
    lapse = max(0.03, 0.35 - 0.015 * day)
    right = rng.random(n) < curve([(block - 0.5).mean() * 20, 12.0, lapse, lapse], contrast)
    onset = np.arange(n) * 5.0
    return {
        "contrastLeft": np.where(contrast <= 0, -contrast / 100, np.nan),
        "contrastRight": np.where(contrast > 0, contrast / 100, np.nan),
        "choice": np.where(right, -1, 1),
        "feedbackType": np.where(right == (contrast > 0), 1, -1),
        "probabilityLeft": block,
        "stimOn_times": onset,
        "response_times": onset + rng.lognormal(-0.7, 0.6, n),
    }


def mouse(n_days: int = 60) -> list[JudgedSession]:
    """Return the sessions of a mouse, the last third biased."""
    out = []
    for day in range(n_days):
        biased = day >= 2 * n_days // 3
        blocks = (0.5, 0.2, 0.8) if biased else (0.5,)
        date = str(np.datetime64("2024-01-01") + day)
        protocol = "biased" if biased else "training"
        out.append(JudgedSession(date, protocol, trials(day, 700, blocks)))
    return out


def psychofit_all(many: list[Counts]) -> list[np.ndarray]:
    """Fit the same curves with psychofit."""
    out = []
    for counts in many:
        start, low, high, n_fits = bounds(counts, "status")
        data = np.vstack([counts.contrasts, counts.n_trials, counts.p_right])
        out.append(
            psychofit.mle_fit_psycho(data, "erf_psycho_2gammas", start, low, high, n_fits)[0]
        )
    return out


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    warnings.simplefilter("ignore")  # psychofit divides by zero on its way
    np.random.seed(0)
    sessions = mouse()
    many = []
    for s in sessions:
        contrast = 100 * (
            np.nan_to_num(s.trials["contrastRight"]) - np.nan_to_num(s.trials["contrastLeft"])
        )
        many.append(Counts.of(contrast, s.trials["choice"]))
    fit_many(many[:2])  # warm up
    ours, fits = seconds(lambda: fit_many(many))
    theirs, reference = seconds(lambda: psychofit_all(many))
    worst = max(
        fit.nll - neg_log_likelihood(other, counts)
        for fit, other, counts in zip(fits, reference, many, strict=True)
    )
    samples = [np.random.default_rng(i).lognormal(size=80) for i in range(9)]
    ours_ci, _ = seconds(lambda: median_interval(samples))
    theirs_ci, _ = seconds(
        lambda: [
            bootstrap((x,), np.median, n_resamples=1000, method="percentile") for x in samples
        ]
    )
    rows: list[dict[str, Any]] = [
        {"what": "60 psychometric fits", "s": ours, "peer": "psychofit", "ratio": theirs / ours},
        {
            "what": "9 bootstrap medians",
            "s": ours_ci,
            "peer": "scipy",
            "ratio": theirs_ci / ours_ci,
        },
    ]
    for variant in ("brainbox", "datajoint", "paper"):
        taken, _ = seconds(lambda v=variant: training_history(sessions, v))
        rows.append({"what": f"status of 60 sessions, {variant}", "s": taken})
    taken, _ = seconds(lambda: session_plots((s.trials, s.protocol) for s in sessions))
    rows.append({"what": "plots of 60 sessions", "s": taken})
    control = water_year()
    taken, _ = seconds(lambda: control.records(control.first_moment(), control.weighings[-1].when))
    rows.append({"what": "water records of 365 days", "s": taken})
    if as_json:
        print(json.dumps({"rows": rows, "worst_excess_nll": worst}))
        return
    for row in rows:
        peer = f"{row['ratio']:8.1f} × faster than {row['peer']}" if "peer" in row else ""
        print(f"{row['what']:34s} {row['s'] * 1e3:9.1f} ms {peer}")
    print(f"largest excess of our negative log-likelihood over psychofit's: {worst:.2e}")


def water_year() -> WaterControl:
    """Return a year of daily weighings and water."""
    from datetime import date, datetime, timedelta

    days = [datetime(2024, 1, 1, 10) + timedelta(days=i) for i in range(365)]
    return WaterControl(
        sex="M",
        birth_date=date(2023, 9, 1),
        reference_weight_pct=0.8,
        weighings=[Weighing(day, 24.0) for day in days],
        waters=[Water(day, 1.0, i % 2 == 0) for i, day in enumerate(days)],
        restrictions=[Restriction(days[5], None, 25.0)],
    )


if __name__ == "__main__":
    main()
