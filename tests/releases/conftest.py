"""A system with sessions that a rig's client has uploaded, some of them tagged for a release."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lab.transfer import Transfer
from shared.alf.io import save
from tests.flow import LAB, SUBJECT, System
from tests.flow import aws_url as aws_url
from tests.flow import flow as flow
from tests.flow import system as system
from tests.site.conftest import trials_of

DATES = ("2024-07-01", "2024-07-02")
TAG = "2026_Q4_Fimbria"

TERMS = {
    "title": "Mice that decide",
    "description": "Choices of mice that turn a wheel, with wheel and licks, trial by trial.",
    "creators": [
        {"name": "Garrett, Ada", "orcid": "0000-0002-1825-0097", "affiliation": "Fimbria"},
        {"name": "Consortium of the Fimbria", "organisation": True},
    ],
    "keywords": ["decision", "mouse"],
    "papers": ["10.1234/paper"],
}


def write_session(folder: Path, seed: int = 0, trials: int = 30) -> dict[str, Any]:
    """Write a session's processed files as ONE has them; return what is in them by path."""
    rng = np.random.default_rng(seed)
    table = trials_of(trials, seed)
    content: dict[str, Any] = {
        "alf/_ibl_trials.table.pqt": table,
        "alf/_ibl_wheel.timestamps.npy": np.cumsum(rng.uniform(0.001, 0.01, 5000)),
        "alf/_ibl_wheel.position.npy": np.cumsum(rng.normal(0, 0.01, 5000)),
        "alf/probe00/spikes.times.npy": np.sort(rng.uniform(0, 100, 20_000)),
    }
    for path, value in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        save(folder / path, value)
    return content


def upload(system: System, folder: Path, date: str, number: int = 1, role: str = "rig") -> str:
    """Send a session as the client of a rig does; return the session's id."""
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    session = {"lab": LAB, "subject": SUBJECT, "date": date, "number": number}
    result = Transfer(system.client(role), folder).upload(session, paths)
    assert result.answer["state"] == "registered", result.answer
    return str(result.answer["session"])


class Published:
    """What a test works on: the system, two sessions in it, and the same as folders.

    Attributes
    ----------
    eids : list of str
    folders : list of Path
    manager, member : Client
    """

    def __init__(self, system: System, root: Path) -> None:
        self.system = system
        self.root = root
        self.folders = [self.write(date, seed) for seed, date in enumerate(DATES)]
        with ThreadPoolExecutor(2) as pool:
            self.eids = list(pool.map(lambda each: upload(system, *each), self._dated()))
        self.manager, self.member = system.client("manager"), system.client("member")

    def _dated(self) -> Iterator[tuple[Path, str]]:
        return zip(self.folders, DATES, strict=True)

    def write(self, date: str, seed: int = 0) -> Path:
        """Write a session's folder on the rig."""
        folder = self.root / LAB / "Subjects" / SUBJECT / date / "001"
        write_session(folder, seed)
        return folder

    def more(self, date: str = "2024-07-03") -> None:
        """Upload a further session and give its datasets the tag."""
        self.eids.append(upload(self.system, self.write(date, 3), date))
        self.tag(eids=self.eids[-1:])

    def tag(self, name: str = TAG, eids: list[str] | None = None) -> None:
        """Give all datasets of the sessions a tag."""
        if not self.manager.get("/tags", name=name)["results"]:
            self.manager.post("/tags", {"name": name})
        for eid in eids or self.eids:
            for row in self.manager.get("/datasets", session=eid, limit=250)["results"]:
                tags = sorted({*row["tags"], name})
                self.manager.patch(f"/datasets/{row['id']}", {"tags": tags})

    def create(self, name: str = TAG, **more: Any) -> dict[str, Any]:
        """Make a release of the tag."""
        body = {"tag": TAG, "name": name, "terms": TERMS, **more}
        made: dict[str, Any] = self.manager.post("/releases", body)
        return made

    def publish(self, name: str = TAG, version: int = 1, **more: Any) -> dict[str, Any]:
        """Show a release to the public."""
        shown: dict[str, Any] = self.manager.post(f"/releases/{name}/{version}/publish", more)
        return shown


@pytest.fixture
def published(system: System, tmp_path: Path) -> Published:
    """Two sessions that are not public, with all their datasets tagged."""
    made = Published(system, tmp_path / "rig")
    made.tag()
    return made


def same(loaded: Any, written: Any) -> bool:
    """Return whether what was loaded is what was written."""
    if isinstance(written, pd.DataFrame):
        return bool(loaded.reset_index(drop=True).equals(written.reset_index(drop=True)))
    return bool(np.array_equal(loaded, written))
