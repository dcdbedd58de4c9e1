"""Put the trials of a rig's file into the order in which they happened, and say what was wrong.

A file may hold a line twice (copied or written again after a fault), two lines in each other's
place, or the trials of a second run after the first (the rig's software was started anew in the
same folder). The first two are mended; the third cannot be: the state machine's clock starts at
zero again, and nothing says how much time lies between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from shared.science.errors import RawFileInvalid

SLACK = 1e-3
"""A trial may start so long (s) before the one before it ends: rounding of the stamps."""


def in_order(
    name: str, trials: Sequence[dict[str, Any]], tell: Callable[[str], object]
) -> list[dict[str, Any]]:
    """Return each trial once, in order of time.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    trials : sequence of dict
        As read, line by line.
    tell : callable
        Told of what was mended.

    Raises
    ------
    RawFileInvalid
        The clock started anew, so the trials belong to two runs.
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
    kept = list(once.values())
    ordered = sorted(kept, key=_start)
    moved = sum(a is not b for a, b in zip(kept, ordered, strict=True))
    if moved and not _follow(ordered):
        back = next(i for i in range(1, len(kept)) if _start(kept[i]) < _start(kept[i - 1]))
        raise RawFileInvalid(
            name,
            f"the state machine's clock starts anew at trial {back + 1} of {len(kept)}: the file "
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
    """Tell whether trials in order of time are those of one run: numbered on, none within another.

    Rigs number trials from 0 or 1; those that do not are judged by their times alone.
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
