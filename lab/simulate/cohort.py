"""Simulate a planned cohort, day by day.

Values without a plan (each choice, reaction times, wheel, temperature, pressure, humidity) are
drawn. The mice have made-up names and laboratories, and every file says that it is synthetic.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.simulate.truth import Truth
from lab.simulate.cohort_plan import CohortError, Mouse, PlannedDay

PLAN = "cohort.json"
FACTS = "subjects.json"
SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"


def simulate(out: Path, seed: int, mouse: Mouse) -> list[dict[str, Any]]:
    """Simulate all sessions of a mouse, unless all exist already.

    An interrupted mouse is simulated again from its first day: the same seed gives the same
    files.

    Returns
    -------
    list of dict
        For each session ``lab``, ``subject``, ``date``, ``n_trials``, and if it was simulated now
        ``performance_easy`` and ``training_phase``.
    """
    if all((mouse.folder(out, day) / SETTINGS).is_file() for day in mouse.days):
        return [row_of(mouse, day) for day in mouse.days]
    rows = []
    for day, truth in sessions(out, seed, mouse):
        reached = {
            "performance_easy": round(truth.performance_easy, 4),
            "training_phase": truth.progress.phase,
        }
        rows.append(row_of(mouse, day) | reached)
    return rows


def row_of(mouse: Mouse, day: PlannedDay) -> dict[str, Any]:
    """Return a session's row of the report."""
    row = {"lab": mouse.lab, "subject": mouse.subject, "date": day.date}
    return row | {"n_trials": day.n_trials, "synthetic": True}


def sessions(out: Path, seed: int, mouse: Mouse) -> Iterator[tuple[PlannedDay, Truth]]:
    """Write the sessions of a mouse in order, and yield the truth of each."""
    from lab.simulate.mouse import Progress
    from lab.simulate.session import simulate_session

    progress = Progress()
    for number, day in enumerate(mouse.days):
        if progress.phase < day.first_phase:
            progress = replace(progress, phase=day.first_phase, phase_trials=0)
        truth = simulate_session(
            out / mouse.lab / "Subjects",
            seed=seed,
            subject=mouse.subject,
            date=datetime.date.fromisoformat(day.date),
            day=number,
            performance=day.performance,
            n_trials=day.n_trials,
            progress=progress,
            last_phase=day.last_phase,
            threshold=day.threshold,
            lab=mouse.lab,
            weight=day.weight,
        )
        progress = truth.progress
        yield day, truth


def write(
    out: Path, mice: Sequence[Mouse], seed: int, jobs: int = 1
) -> Iterator[list[dict[str, Any]]]:
    """Simulate a cohort into a folder; existing mice of the same cohort are kept.

    Yields
    ------
    list of dict
        The sessions of each mouse when they exist, see :func:`simulate`.

    Raises
    ------
    CohortError
        The folder holds another cohort.
    """
    plan = {"synthetic": True, "seed": seed, "mice": [asdict(mouse) for mouse in mice]}
    text = json.dumps(plan, indent=1)
    digest = hashlib.sha256(text.encode()).hexdigest()
    file = out / PLAN
    if file.is_file():
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise CohortError(f"{out} holds another cohort: take another folder, or remove it")
    elif out.is_dir() and any(out.iterdir()):
        raise CohortError(f"{out} is not empty and holds no cohort: take another folder")
    out.mkdir(parents=True, exist_ok=True)
    facts = json.dumps({mouse.subject: mouse.facts for mouse in mice}, indent=1)
    _put(out / FACTS, facts)
    _put(file, text)
    # The longest first, so that no process has to finish it alone at the end.
    ordered = sorted(mice, key=lambda mouse: -len(mouse.days))
    if jobs == 1:
        yield from (simulate(out, seed, mouse) for mouse in ordered)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(partial(simulate, out, seed), mouse) for mouse in ordered]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _put(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    partial_ = path.with_suffix(".part")
    partial_.write_text(text)
    os.replace(partial_, path)
