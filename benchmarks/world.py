"""A simulated institute of the size used in benchmarks, as bodies of ``POST /import``.

It has five labs with 20 mice each. Each mouse has sessions of 30 datasets with two copies each,
every fifth with a probe, and a restriction. With 2,000 sessions it has 60 weights and 80
waterings, and the first lab 230 tasks; with fewer sessions in proportion. All runs are equal.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]

LABS = tuple(f"benchlab{number}" for number in range(5))
SUBJECTS = 100
WHOLE = 2000
"""Sessions for which `DAYS` and `TASKS` are."""
DAYS = 60
DATASETS = 30
PROBE_EVERY = 5
TASKS = 230
LOG = "extracted 731 trials of raw_behavior_data\n" * 10
BORN = datetime(2023, 1, 1, tzinfo=UTC)
FILES = tuple(
    [("alf", f"_ibl_trials.{name}.npy") for name in ("intervals", "choice", "feedback_times")]
    + [("alf", "_ibl_trials.table.pqt"), ("alf", "_ibl_wheel.position.npy")]
    + [("alf", "_ibl_wheel.timestamps.npy"), ("alf", "_ibl_wheelMoves.intervals.npy")]
    + [("alf", f"_ibl_{side}Camera.times.npy") for side in ("left", "right", "body")]
    + [("raw_video_data", f"_iblrig_{side}Camera.raw.mp4") for side in ("left", "right", "body")]
    + [("raw_behavior_data", "_iblrig_taskData.raw.jsonable")]
    + [("raw_behavior_data", "_iblrig_taskSettings.raw.json")]
    + [("raw_behavior_data", "_iblrig_encoderEvents.raw.ssv")]
    + [("raw_behavior_data", "_iblrig_encoderPositions.raw.ssv")]
    + [("raw_behavior_data", "_iblrig_encoderTrialInfo.raw.ssv")]
    + [("alf/probe00/pykilosort", f"spikes.{name}.npy") for name in ("times", "clusters", "amps")]
    + [("alf/probe00/pykilosort", f"spikes.{name}.npy") for name in ("depths", "samples")]
    + [("alf/probe00/pykilosort", f"clusters.{name}.npy") for name in ("channels", "depths")]
    + [("alf/probe00/pykilosort", f"channels.{name}.npy") for name in ("rawInd",)]
    + [("alf/probe00/pykilosort", "channels.localCoordinates.npy")]
    + [("alf/probe00/pykilosort", "clusters.metrics.pqt")]
    + [("alf/probe00/pykilosort", "templates.waveforms.npy")]
    + [("alf/probe00", "electrodeSites.mlapdv.npy")]
)


@dataclass
class World:
    """Rows of an institute, and the names that requests need.

    Parameters
    ----------
    n_sessions : int
        Total number of sessions.
    """

    n_sessions: int
    subjects: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(7)
        share = min(1.0, self.n_sessions / WHOLE)
        self.days, self.tasks = max(3, round(DAYS * share)), max(20, round(TASKS * share))
        self.subjects = [f"BM_{number:03d}" for number in range(SUBJECTS)]
        self.sessions = [self._id() for _ in range(self.n_sessions)]

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield each row with its resource, after the rows that it refers to."""
        assert len(FILES) == DATASETS
        for lab in LABS:
            yield "labs", {"name": lab, "timezone": "Europe/London"}
            for place, personal in (("local", True), ("server", False)):
                yield "data-repository", {"name": f"{lab}_{place}", "globus_is_personal": personal}
        yield "projects", {"name": "bench"}
        for number, nickname in enumerate(self.subjects):
            yield "subjects", self._subject(number, nickname)
        for number in range(self.n_sessions):
            yield "sessions", self._session(number)
        for number in range(self.n_sessions):
            for dataset in self._datasets(number):
                yield "datasets", dataset
        for number in range(0, self.n_sessions, PROBE_EVERY):
            session = self.sessions[number]
            yield "insertions", {"id": self._id(), "session": session, "name": "probe00"}
        for number in range(SUBJECTS):
            yield from self._notebook(number)

    def dates_of(self, turn: int) -> str:
        """Return a month of training, as ``date_range`` takes it."""
        first = BORN + timedelta(days=100 + 7 * (turn % 5))
        return f"{first:%Y-%m-%d},{first + timedelta(days=28):%Y-%m-%d}"

    def _id(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))

    def _start(self, number: int) -> datetime:
        return BORN + timedelta(days=90 + 2 * (number // SUBJECTS), hours=10, minutes=number % 60)

    def _subject(self, number: int, nickname: str) -> Row:
        return {
            "id": self._id(),
            "nickname": nickname,
            "lab": LABS[number % len(LABS)],
            "sex": "MF"[number % 2],
            "birth_date": f"{BORN:%Y-%m-%d}",
            "projects": ["bench"],
            "responsible_user": "admin",
        }

    def _session(self, number: int) -> Row:
        start = self._start(number)
        trials = self._draw.randrange(200, 900)
        return {
            "id": self.sessions[number],
            "subject": self.subjects[number % SUBJECTS],
            "lab": LABS[number % len(LABS)],
            "number": 1,
            "start_time": f"{start:%Y-%m-%dT%H:%M:%S}",
            "end_time": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}",
            "task_protocol": "_iblrig_tasks_trainingChoiceWorld6.4.2",
            "users": ["admin"],
            "projects": ["bench"],
            "n_trials": trials,
            "n_correct_trials": trials // 2,
            "extended_qc": {"_task_stimOn_delays": round(self._draw.random(), 3)},
            "json": {"IBLRIG_VERSION": "6.4.2"},
        }

    def _datasets(self, number: int) -> Iterator[Row]:
        lab = LABS[number % len(LABS)]
        folder = f"{self.subjects[number % SUBJECTS]}/{self._start(number):%Y-%m-%d}/001"
        for collection, name in FILES:
            path = f"{folder}/{collection}/{name}"
            copies = [
                {"data_repository": f"{lab}_{place}", "relative_path": path, "exists": True}
                for place in ("local", "server")
            ]
            yield {
                "id": self._id(),
                "session": self.sessions[number],
                "collection": collection,
                "name": name,
                "file_size": self._draw.randrange(1_000, 100_000_000),
                "hash": f"{self._draw.getrandbits(128):032x}",
                "version": "2.12.0",
                "created_by": "admin",
                "file_records": copies,
            }

    def _notebook(self, number: int) -> Iterator[tuple[str, Row]]:
        animal, first = {"subject": self.subjects[number]}, BORN + timedelta(days=90)
        start = f"{first:%Y-%m-%dT09:00:00}"
        end = None if number % 4 == 0 else f"{first + timedelta(days=self.days):%Y-%m-%dT09:00:00}"
        restriction = {"id": self._id(), "start_time": start, "end_time": end}
        yield "water-restriction", animal | restriction | {"reference_weight": 25.0}
        for day in range(self.days):
            when = f"{first + timedelta(days=day):%Y-%m-%dT}"
            weight = {
                "weight": round(25 - 3 * self._draw.random(), 2),
                "date_time": f"{when}09:30:00",
            }
            yield "weighings", animal | {"id": self._id(), "user": "admin"} | weight
            for hour in (18, 19) if day % 3 == 0 else (18,):
                water = {"water_administered": 0.7, "date_time": f"{when}{hour}:00:00"}
                yield "water-administrations", animal | {"id": self._id(), "user": "admin"} | water
