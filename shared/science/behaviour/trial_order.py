"""Put the trials of a rig's file into the order in which they happened, and say what was wrong.

A file may hold a line twice (copied, or written again after a fault), two swapped lines, or the
trials of a second run after the first (the rig's software was started again in the same folder).
The first two are mended. The third cannot be: the state machine's clock starts at zero again, and
the time between the runs is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from shared.science.errors import RawFileInvalid

SLACK = 1e-3
"""Longest overlap of a trial with the one before it (s): rounding of the stamps."""


def in_order(
    name: str, trials: Sequence[dict[str, Any]], tell: Callable[[str], object]
) -> list[dict[str, Any]]:
    """Return each trial once, in order of time.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    trials : sequence of dict
        As read, line by line.
    tell : callable
        Called with a message for each repair.

    Raises
    ------
    RawFileInvalid
        The clock restarted, so the trials belong to two runs.
    """
    once: dict[str, dict[str, Any]] = {}
    twice = []
    for line, trial in enumerate(trials, start=1):
        key = json.dumps(trial, sort_keys=True)
        if key in once:
            twice.append(line)
        once.setdefault(key, trial)
    if twice:
        tell(f"{name}: {_lines(twice)} there already: left out")
    clean = list(once.values())
    ordered = sorted(clean, key=_start)
    moved = sum(a is not b for a, b in zip(clean, ordered, strict=True))
    if moved and not _follow(ordered):
        back = next(i for i in range(1, len(clean)) if _start(clean[i]) < _start(clean[i - 1]))
        raise RawFileInvalid(
            name,
            f"the state machine's clock starts anew at trial {back + 1} of {len(clean)}: the file "
            "holds two runs of the task, and nothing says how much time lies between them",
            "move the lines of the second run into a session, or a raw_task_data_NN folder, of "
            "their own",
        )
    if moved:
        tell(f"{name}: {moved} trials are not in order of time: put in order")
    return ordered


def _start(trial: dict[str, Any]) -> float:
    return float(trial["behavior_data"]["Trial start timestamp"])


def _follow(ordered: Sequence[dict[str, Any]]) -> bool:
    """Tell whether ordered trials belong to one run: numbered in sequence, without overlap.

    Rigs number trials from 0 or 1; without these numbers only the times count.
    """
    numbers = [trial.get("trial_num") for trial in ordered]
    counted = [number for number in numbers if isinstance(number, int)]
    if len(counted) == len(numbers) and any(b <= a for a, b in pairwise(counted)):
        return False
    ends = [float(trial["behavior_data"]["Trial end timestamp"]) for trial in ordered]
    return all(end <= _start(after) + SLACK for end, after in zip(ends, ordered[1:], strict=False))


def _lines(numbers: Sequence[int]) -> str:
    """Return the lines in words."""
    listed = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    return f"line {listed} is" if len(numbers) == 1 else f"lines {listed} are"
