"""A source in memory and small known sessions, for everything about the results site."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pandas as pd
import pytest

from lab.simulate.spikes import simulate_sorting
from lab.site import server_of
from shared.results.build import Site
from shared.results.reading import load_sorting
from shared.results.render import SiteSettings
from shared.results.source import Lab, SiteSession, Sorting, SourceFile, Subject
from shared.results.store import FolderStore, tag

TRIALS = "_ibl_trials.table.pqt"

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def trials_of(n: int, seed: int, skill: float = 0.9, biased: bool = False) -> pd.DataFrame:
    """Return a plausible trials table of `n` trials."""
    rng = np.random.default_rng(seed)
    contrast = rng.choice([1.0, 0.25, 0.125, 0.0625, 0.0], n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    p_left = np.full(n, 0.5)
    if biased:
        later = np.arange(90, n)
        p_left[90:] = np.where((later // 50) % 2 == 0, 0.2, 0.8)[: max(0, n - 90)]
    left = rng.random(n) < p_left
    right_answer = rng.random(n) < 0.5 + (skill - 0.5) * np.minimum(1, 0.3 + 2 * contrast)
    choice = np.where(left == right_answer, 1, -1)
    start = np.cumsum(rng.uniform(3, 8, n))
    return pd.DataFrame(
        {
            "choice": choice,
            "contrastLeft": np.where(left, contrast, np.nan),
            "contrastRight": np.where(left, np.nan, contrast),
            "feedbackType": np.where(right_answer, 1, -1),
            "probabilityLeft": p_left,
            "stimOn_times": start,
            "response_times": start + rng.lognormal(-1, 0.5, n),
            "intervals_0": start - 0.5,
            "intervals_1": start + 3,
            "feedback_times": start + 1.2,
            "firstMovement_times": start + 0.25,
        }
    )


@dataclass
class Shelf:
    """Sessions in memory; a test puts them in, changes them and takes them out."""

    all: dict[str, tuple[SiteSession, pd.DataFrame | None]] = field(default_factory=dict)
    about: dict[str, Subject] = field(default_factory=dict)
    places: list[Lab] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    bytes: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    acronyms: dict[int, str] = field(default_factory=dict)

    def put(
        self,
        subject: str,
        day: str,
        trials: pd.DataFrame | None,
        *,
        lab: str = "fimbrialab",
        number: int = 1,
        protocol: str = "_iblrig_tasks_trainingChoiceWorld7.0",
        **values: object,
    ) -> SiteSession:
        """Put a session on the shelf, public unless said otherwise."""
        eid = str(uuid5(NAMESPACE_URL, f"{subject}/{day}/{number}"))
        datasets: tuple[SourceFile, ...] = ()
        if trials is not None:
            content = tag(trials.to_csv().encode())
            datasets = (SourceFile(str(uuid5(NAMESPACE_URL, eid)), TRIALS, hash=content),)
        known = {
            "start_time": f"{day}T10:00:00",
            "projects": ("ibl_neuropixel_brainwide_01",),
            "public": True,
            "datasets": datasets,
            **values,
        }
        one = SiteSession(eid, lab, subject, day, number, task_protocol=protocol, **known)  # type: ignore[arg-type]
        self.all[eid] = (one, trials)
        return one

    def change(self, eid: str, **values: object) -> None:
        """Change attributes of a session."""
        one, trials = self.all[eid]
        self.all[eid] = (replace(one, **values), trials)  # type: ignore[arg-type]

    def subjects(self) -> Iterable[str]:
        return {one.subject for one, _ in self.all.values()}

    def subject(self, nickname: str) -> Subject:
        return self.about.get(nickname, Subject(nickname, "fimbrialab"))

    def sessions(self, subject: str) -> list[SiteSession]:
        return [one for one, _ in self.all.values() if one.subject == subject]

    def labs(self) -> list[Lab]:
        return self.places

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        self.reads.append(session.id)
        return self.all[session.id][1]

    def put_probe(
        self,
        eid: str,
        collection: str = "alf/probe00",
        n_units: int = 12,
        more: dict[str, pd.DataFrame | np.ndarray] | None = None,
    ) -> None:
        """Give a session sorted spikes of a probe, and tables by name."""
        one, trials = self.all[eid]
        assert trials is not None
        files: dict[str, np.ndarray | pd.DataFrame] = {
            **simulate_sorting(trials, seed=1, n_units=n_units), **(more or {})
        }  # fmt: skip
        for name, content in files.items():
            self.bytes[eid, collection, name] = content
        added = tuple(
            SourceFile(str(uuid5(NAMESPACE_URL, eid + collection + name)), name, collection)
            for name in files
        )
        self.all[eid] = (replace(one, datasets=one.datasets + added), trials)

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        def read(dataset: SourceFile) -> BinaryIO:
            out = BytesIO()
            content = self.bytes[session.id, dataset.collection, dataset.name]
            if isinstance(content, pd.DataFrame):
                content.to_parquet(out)
            else:
                np.save(out, content)
            out.seek(0)
            return out

        return load_sorting(
            session, collection, read, lambda each: self.acronyms.get(each, str(each))
        )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "site")


@pytest.fixture
def site(shelf: Shelf, store: FolderStore) -> Site:
    settings = SiteSettings(api_url="http://127.0.0.1:8000")
    return Site(shelf, store, settings, now=lambda: NOW, images=False)


@pytest.fixture
def real_trials(shared_data: Path) -> dict[str, tuple[str, pd.DataFrame]]:
    """Return protocol and trials of eleven consecutive real sessions of one mouse, by date."""
    table = pd.read_csv(shared_data / "training_status" / "SWC_054_11_sessions_trials.csv")
    about = ["subject", "session_date", "task_protocol", "trial"]
    return {
        str(day): (rows["task_protocol"].iloc[0], rows.drop(columns=about).reset_index(drop=True))
        for day, rows in table.groupby("session_date")
    }


def serve(folder: Path) -> Iterator[str]:
    """Serve a site as `fornix site serve` does; yield its address."""
    server = server_of(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
