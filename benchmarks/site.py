"""Build times of the results site: thousands of mouse-days from cold, one new session, no change.

    python benchmarks/site.py --mice 140 --days 58 --jobs 2

The trials are plausible random tables of 400 to 900 trials (like a session of the IBL task) in an
ALF tree, so the times include reading them. Pictures for sharing are timed separately.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from shared.results import assets
from shared.results.build import Site
from shared.results.store import FolderStore
from shared.results.tree import Tree

GOAL = {"cold": 60.0, "one new session": 2.0}
"""Seconds, for 8,085 mouse-days on two cores."""


def trials(rng: np.random.Generator, skill: float, biased: bool) -> pd.DataFrame:
    """Return a plausible trials table."""
    n = int(rng.integers(400, 900))
    contrast = rng.choice([1.0, 0.25, 0.125, 0.0625, 0.0], n)
    p_left = np.full(n, 0.5)
    if biased:
        p_left[90:] = np.where((np.arange(n - 90) // 50) % 2 == 0, 0.2, 0.8)
    left = rng.random(n) < p_left
    correct = rng.random(n) < 0.5 + (skill - 0.5) * np.minimum(1, 0.3 + 2 * contrast)
    start = np.cumsum(rng.uniform(2, 7, n))
    return pd.DataFrame(
        {
            "intervals_0": start - 0.5,
            "intervals_1": start + 2,
            "goCue_times": start + 0.01,
            "response_times": start + rng.lognormal(-0.9, 0.6, n),
            "choice": np.where(left == correct, 1, -1).astype(np.int8),
            "stimOn_times": start,
            "contrastLeft": np.where(left, contrast, np.nan),
            "contrastRight": np.where(left, np.nan, contrast),
            "feedback_times": start + 1.0,
            "feedbackType": np.where(correct, 1, -1).astype(np.int8),
            "rewardVolume": 1.5,
            "probabilityLeft": p_left,
            "firstMovement_times": start + 0.2,
        }
    )


def put(tree: Path, lab: str, subject: str, day: date, table: pd.DataFrame, biased: bool) -> None:
    """Write one session into the tree."""
    folder = tree / lab / "Subjects" / subject / day.isoformat() / "001"
    (folder / "alf").mkdir(parents=True)
    table.to_parquet(folder / "alf" / "_ibl_trials.table.pqt")
    protocol = "biasedChoiceWorld" if biased else "trainingChoiceWorld"
    (folder / "session.json").write_text(json.dumps({"task_protocol": protocol}))


def cpu_seconds() -> float:
    """Return the processor time of this process and of its finished children."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Build a tree, time the site, print a line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mice", type=int, default=140)
    parser.add_argument("--days", type=int, default=58)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--images", action="store_true", help="also time the pictures")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fornix-site-"))
    rng = np.random.default_rng(0)
    first = date(2019, 3, 4)
    for mouse in range(options.mice):
        for day in range(options.days):
            skill = 0.5 + 0.45 / (1 + np.exp(-(day - 15) / 4))
            table = trials(rng, skill, biased=day > 30)
            when = first + timedelta(days=7 * (mouse // 4) + day)
            put(folder / "tree", f"lab{mouse % 9}", f"M_{mouse:03d}", when, table, day > 30)
    n = options.mice * options.days

    def run(label: str, images: bool = False, subjects: list[str] | None = None) -> None:
        store = FolderStore(folder / "site")
        started, cpu = time.perf_counter(), cpu_seconds()
        if label == "cold":
            assets.publish(store)
        site = Site(Tree(folder / "tree"), store, images=images)
        done = site.refresh(subjects, workers=options.jobs if subjects is None else 1)
        # The same file measures another checkout, too.
        done = getattr(done, "changed", done)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu
        goal = f" (goal {GOAL[label]:g} s for 8,085)" if label in GOAL else ""
        said = f"{label:24} {seconds:8.2f} s {cpu:8.2f} s CPU {done:6d} sessions of {n}{goal}"
        print(said, flush=True)

    try:
        run("cold")
        run("nothing changed")
        new = first + timedelta(days=options.days)
        put(folder / "tree", "lab0", "M_000", new, trials(rng, 0.9, True), biased=True)
        run("one new session", subjects=["M_000"])
        if options.images:
            run("pictures", images=True)
        size = sum(path.stat().st_size for path in (folder / "site").rglob("*") if path.is_file())
        print(f"{'size of the site':24} {size / 1e6:8.1f} MB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
