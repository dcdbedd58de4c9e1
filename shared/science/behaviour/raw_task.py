"""Read the settings and trials of behaviour rigs of any version.

A rig (iblrig) writes into ``raw_behavior_data`` or ``raw_task_data_NN``: settings (JSON), one JSON
object per trial, rotary encoder positions and events (text). Their layout changed with the rig's
version; here the differences end. Times are seconds from the start of the Bpod state machine:
value + trial start - Bpod start.

Source: IBL behaviour paper (2021, eLife 10:e63711) and its open rig data.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.science.behaviour.protocols import check_decision, protocol_in
from shared.science.behaviour.raw_settings import read_settings, rig_version
from shared.science.behaviour.trial_order import in_order
from shared.science.errors import RawFileInvalid, RawFileMissing, TaskUnsupported

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

COLLECTIONS = ("raw_behavior_data", "raw_task_data_*")
OLD_NAMES = ("pycw*", "*.raw.json", "bpod*", "*.jsonable")
"""Files of rigs of 2018, before the names that start with _iblrig_."""


@dataclass(frozen=True)
class RawTask:
    """Trials and settings of one run of a task, as the rig wrote them.

    Attributes
    ----------
    trials : list of dict
        One object for each trial.
    settings : dict
        Settings of the task; may be empty.
    """

    trials: Sequence[dict[str, Any]]
    settings: dict[str, Any]

    @property
    def version(self) -> tuple[int, int, int]:
        """Version of the rig; the newest if the settings give none that can be read."""
        return rig_version(self.settings)

    @property
    def protocol(self) -> str:
        """Name of the task protocol, e.g. ``_iblrig_tasks_trainingChoiceWorld4.3.0``."""
        name = protocol_in(self.settings)
        return str(name or (self.trials[0].get("task_protocol", "") if self.trials else ""))

    @cached_property
    def starts(self) -> Floats:
        """Start of each trial. Shape (trials,), seconds."""
        return self._stamps("Trial start timestamp")

    @cached_property
    def ends(self) -> Floats:
        """End of each trial. Shape (trials,), seconds."""
        return self._stamps("Trial end timestamp")

    def _stamps(self, name: str) -> Floats:
        raw = [t["behavior_data"] for t in self.trials]
        return np.array([b[name] - b["Bpod start timestamp"] for b in raw], dtype=float)

    def _absolute(self, trial: dict[str, Any], times: Any) -> Floats:
        raw = trial["behavior_data"]
        relative = np.asarray(times, dtype=float)
        return relative + raw["Trial start timestamp"] - raw["Bpod start timestamp"]

    def state(self, name: str, visit: int = 0) -> Floats:
        """Return when each trial first entered and left a state, or did so at another visit.

        Returns
        -------
        array
            Shape (trials, 2), seconds; NaN where the state was not visited or does not exist.
        """
        missing = [[np.nan, np.nan]]
        visits = (t["behavior_data"]["States timestamps"].get(name) for t in self.trials)
        return np.array(
            [
                self._absolute(t, (v or missing)[visit])
                for t, v in zip(self.trials, visits, strict=True)
            ]
        ).reshape(-1, 2)

    def visits(self, *names: str) -> list[Floats]:
        """Return, for each trial, all times at which any of the states was entered, in order."""
        entries = []
        for trial in self.trials:
            states = trial["behavior_data"]["States timestamps"]
            times = [visit[0] for name in names for visit in states.get(name) or []]
            entered = np.sort(self._absolute(trial, times))
            entries.append(entered[~np.isnan(entered)])
        return entries

    def events(self, prefix: str) -> list[Floats]:
        """Return, for each trial, the times of all events with this prefix, in order."""
        event_times = []
        for trial in self.trials:
            events = trial["behavior_data"]["Events timestamps"]
            times = [t for name, times in events.items() if name.startswith(prefix) for t in times]
            event_times.append(np.sort(self._absolute(trial, times)))
        return event_times


def find_collection(session: Path | str, collection: str | None = None) -> Path:
    """Return the folder with a session's raw task data.

    Parameters
    ----------
    session : path
        Session folder.
    collection : str, optional
        Folder within it; by default the first of ``raw_behavior_data``, ``raw_task_data_NN`` that
        holds task data, or the session folder itself.

    Raises
    ------
    RawFileMissing
        There is no such folder with task data.
    """
    session = Path(session)
    if collection:
        folders = [session / collection]
    else:
        folders = [f for c in COLLECTIONS for f in sorted(session.glob(c))] + [session]
    for folder in folders:
        if any(folder.glob("_iblrig_taskData.raw*.jsonable")):
            return folder
    old = sorted({f.name for folder in folders for glob in OLD_NAMES for f in folder.glob(glob)})
    if old and not any(name.startswith("_iblrig_") for name in old):
        raise TaskUnsupported(
            old[0],
            "a name of rigs of 2018, whose files are not supported",
            "name the files as rigs since 2019 do (_iblrig_taskData.raw.jsonable, "
            "_iblrig_taskSettings.raw.json), if their content is the same",
        )
    raise RawFileMissing(
        "_iblrig_taskData.raw.jsonable",
        f"not in {collection or ' or '.join(COLLECTIONS)} of {session.name}",
        "copy the session's raw task data from the rig",
    )


def read_task(session: Path | str, collection: str | None = None) -> RawTask:
    """Read trials and settings of a session.

    Parameters
    ----------
    session : path
        Session folder.
    collection : str, optional
        Folder within it, see :func:`find_collection`.

    Raises
    ------
    RawFileMissing
        No task data, or no settings.
    RawFileInvalid
        A file does not have a rig's format; the message names the line.
    TaskUnsupported
        The protocol has no trials at all, or the files are those of rigs of 2018.
    """
    return _read(Path(session), collection, lambda protocol: None)


def read_decisions(session: Path | str, collection: str | None = None) -> RawTask:
    """Read trials and settings of a run of the decision task; raises as :func:`read_task`.

    Raises
    ------
    TaskUnsupported
        The protocol is known to be another one.
    """
    return _read(Path(session), collection, check_decision)


def _read(session: Path, collection: str | None, check: Callable[[str], None]) -> RawTask:
    try:
        folder = find_collection(session, collection)
    except RawFileMissing:
        # A passive protocol with settings but no trials explains the missing file.
        for path in sorted(session.glob(f"{collection or '*'}/_iblrig_taskSettings.raw*.json")):
            check_decision(protocol_in(read_settings(path)))
        raise
    settings = settings_in(folder)
    check(protocol_in(settings))
    data = find_file(folder, "_iblrig_taskData.raw*.jsonable")
    return RawTask(read_task_data(data), settings)


def settings_in(folder: Path) -> dict[str, Any]:
    """Return the settings in a folder of raw task data; raises as :func:`read_task`."""
    return read_settings(find_file(folder, "_iblrig_taskSettings.raw*.json"))


def read_task_data(path: Path | str) -> list[dict[str, Any]]:
    """Read a file of trials, one JSON object a line.

    A torn last line, left by a rig that was killed while writing, is dropped; doubled and
    swapped lines are mended. The log reports each of these.

    Raises
    ------
    RawFileInvalid
        No trial, a line before the last that is not JSON, an object that is not a trial, or the
        trials of two runs.
    """
    path = Path(path)
    trials: list[dict[str, Any]] = []
    lines = path.read_bytes().splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            trial = json.loads(line)
        except ValueError as error:
            if trials and number == len(lines):
                log.warning(
                    "%s: the last line (%d) is torn: its %d whole trials are used",
                    path.name, number, len(trials),
                )  # fmt: skip
                break
            raise RawFileInvalid(
                path.name,
                f"line {number} is not JSON ({error})",
                "copy the file again from the rig; if it is so there, remove that line",
            ) from error
        if problem := _trial_problem(trial):
            raise RawFileInvalid(
                path.name,
                f"line {number} {problem}",
                "check that the file is the task data of a rig, and whole",
            )
        trials.append(trial)
    if not trials:
        fix = "the task was stopped before a trial ended: nothing to extract"
        raise RawFileInvalid(path.name, "no trials", fix)
    return in_order(path.name, trials, log.warning)


def _trial_problem(trial: Any) -> str | None:
    """Say why a JSON value is not a trial, if it is not."""
    raw = trial.get("behavior_data") if isinstance(trial, dict) else None
    if not isinstance(raw, dict):
        return "has no behavior_data"
    for stamp in ("Bpod start timestamp", "Trial start timestamp", "Trial end timestamp"):
        if not _is_finite(raw.get(stamp)):
            return f"has no number as {stamp!r}"
    states, events = raw.get("States timestamps"), raw.get("Events timestamps")
    if not isinstance(states, dict) or not isinstance(events, dict):
        return "has no states or no events"
    for name, visits in states.items():
        if not isinstance(visits, list) or not all(map(_is_visit, visits)):
            return f"has a state {name!r} that is not a list of pairs of times"
    for name, times in events.items():
        if not isinstance(times, list) or not all(map(_is_time, times)):
            return f"has an event {name!r} that is not a list of times"
    return None


def _is_time(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _is_finite(value: Any) -> bool:
    return _is_time(value) and abs(value) < 1e12


def _is_visit(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_time, value))


def find_file(folder: Path, pattern: str) -> Path:
    """Return the file of a pattern; its name may hold extra parts such as a UUID."""
    if path := next(iter(sorted(folder.glob(pattern))), None):
        return path
    raise RawFileMissing(
        pattern.replace("raw*", "raw"), f"not in {folder.name}", "copy it from the rig"
    )
