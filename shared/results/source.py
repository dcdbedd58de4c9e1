"""The builders' view of sessions, subjects and labs, and the gate to the public."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import pandas as pd

from shared.access.visibility import is_public
from shared.alf import ALFInvalid, with_uuid
from shared.alf.layout import (
    FilmFiles,
    ObjectFiles,
    RecordingFiles,
    films_in,
    recordings_in,
    sortings_in,
    trials_in,
    wheel_in,
)
from shared.model.identity import nickname_of
from shared.model.visibility import Visibility
from shared.results.store import encode


class Unreadable(ValueError):
    """A file of a session cannot be shown; the message is for the session's page."""


@dataclass(frozen=True)
class SourceFile:
    """A file behind a page.

    Attributes
    ----------
    location : str
        Where the source has the bytes: a path or an object's key.
    elsewhere : str
        Servers that have the bytes while the source does not.
    """

    id: str
    name: str
    collection: str = "alf"
    revision: str = ""
    hash: str = ""
    public: bool = True
    default: bool = True
    location: str = ""
    elsewhere: str = ""

    @property
    def path(self) -> str:
        """Return the path within the session folder (ONE convention)."""
        revision = f"#{self.revision}#" if self.revision else ""
        return "/".join(part for part in (self.collection, revision, self.name) if part)


@dataclass(frozen=True)
class SiteSession:
    """A session for the site; times are naive and local to the lab.

    Attributes
    ----------
    subject : str
        The animal's key (`shared.model.identity.animal_key`), as in `Subject`.
    refused : str
        Why the session cannot be shown at all; empty if it can.
    remarks : tuple of str
        Remarks for the person who builds the site.
    quality : mapping
        Quality of the tasks' data, as Alyx keeps it (``extended_qc``).
    """

    id: str
    lab: str
    subject: str
    date: str
    number: int
    start_time: str = ""
    end_time: str = ""
    task_protocol: str = ""
    projects: tuple[str, ...] = ()
    location: str = ""
    delay_start: float = 0.0
    public: bool = False
    embargo_until: dt.date | None = None
    timezone: str = "UTC"
    synthetic: bool = False
    datasets: tuple[SourceFile, ...] = ()
    refused: str = ""
    remarks: tuple[str, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def reference(self) -> str:
        """Return ``subject/date/number``, the name of a session for people."""
        return f"{nickname_of(self.subject)}/{self.date}/{self.number:03d}"

    @cached_property
    def by_path(self) -> dict[str, SourceFile]:
        """The public datasets by their paths."""
        return {dataset.path: dataset for dataset in public_datasets(self)}

    @property
    def paths(self) -> Iterable[str]:
        """The paths of the public datasets."""
        return self.by_path.keys()

    @property
    def preferred(self) -> frozenset[str]:
        """The paths of default revisions."""
        return frozenset(path for path, dataset in self.by_path.items() if dataset.default)

    @cached_property
    def trials(self) -> list[ObjectFiles]:
        """The trials of each protocol, in order."""
        return trials_in(self.paths, self.preferred)

    @cached_property
    def sortings(self) -> list[str]:
        """The collections with sorted spikes."""
        return [files.collection for files in sortings_in(self.paths, self.preferred)]

    def recordings(self, probe: str) -> list[RecordingFiles]:
        """Return the compressed raw recordings of a probe, one for each band."""
        recordings = recordings_in(self.paths, self.preferred)
        return [files for files in recordings if files.probe == probe]

    @property
    def films(self) -> list[FilmFiles]:
        """The films of the cameras, with the times of their frames."""
        return films_in(self.paths, self.preferred)

    @property
    def wheel(self) -> ObjectFiles | None:
        """The wheel of the first protocol."""
        return next(iter(wheel_in(self.paths, self.preferred)), None)

    def dataset(self, path: str) -> SourceFile:
        """Return the dataset of that path, if the source has its bytes.

        Raises
        ------
        Unreadable
            Only other servers have the bytes.
        """
        dataset = self.by_path[path]
        if dataset.elsewhere:
            raise Unreadable(f"{path} is not in this store, only on {dataset.elsewhere}")
        return dataset


@dataclass(frozen=True)
class Subject:
    """A subject for the site.

    ``nickname`` is its key. Pages show only the part before the ``~``: another lab may have an
    animal of that nickname.
    """

    nickname: str
    lab: str
    id: str = ""
    sex: str = ""
    birth_date: str = ""
    line: str = ""
    strain: str = ""
    species: str = ""
    projects: tuple[str, ...] = ()
    synthetic: bool = False


@dataclass(frozen=True)
class Lab:
    """A lab for the site; coordinates in degrees if known."""

    name: str
    institution: str = ""
    timezone: str = ""
    latitude: float | None = None
    longitude: float | None = None
    synthetic: bool = False


@dataclass(frozen=True)
class Sorting:
    """A probe's sorted spikes, as loaded from its ONE files (s, V, µm).

    ``metrics`` is the table ``clusters.metrics``, its numeric columns. ``regions`` are acronyms
    of the units' brain regions, by cluster; empty where histology has not decided.
    """

    collection: str
    spikes: dict[str, np.ndarray]
    clusters: dict[str, np.ndarray]
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    metrics: pd.DataFrame | None = None
    regions: Mapping[int, str] = field(default_factory=dict)


class Source(Protocol):
    """A source of sessions: a folder, the cloud's records, a simulation."""

    def subjects(self) -> Iterable[str]:
        """Return the keys of all subjects with sessions."""

    def subject(self, nickname: str) -> Subject:
        """Return the facts about a subject."""

    def sessions(self, subject: str) -> list[SiteSession]:
        """Return all sessions of a subject with their visible datasets, private ones too."""

    def labs(self) -> list[Lab]:
        """Return all labs."""

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        """Return the trials table (ONE convention), None if the session has none.

        Raises
        ------
        Unreadable
            A file is damaged or elsewhere.
        """

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        """Return the sorted spikes in a collection, None if they are not complete.

        Raises
        ------
        Unreadable
            A file is damaged or elsewhere.
        """


def is_visible(session: SiteSession, at: dt.datetime) -> bool:
    """Tell whether the public may see a session at a moment (`shared.access.visibility`).

    The only gate before anything is computed for the site.
    """
    day = session.embargo_until
    return is_public(
        Visibility(session.public, day.isoformat() if day else None, session.timezone), at
    )


def public_datasets(session: SiteSession) -> tuple[SourceFile, ...]:
    """Return the datasets of a visible session that are themselves public."""
    return tuple(dataset for dataset in session.datasets if dataset.public)


def file_address(session: SiteSession, dataset: SourceFile) -> str:
    """Return the address of a file below the API's, empty if its name cannot hold an id."""
    try:
        name = with_uuid(dataset.path, dataset.id)
    except ALFInvalid:
        return ""
    folder = f"{session.lab}/Subjects/{session.reference}"
    return "/data/" + quote(f"{folder}/{name}")


def fingerprint(*parts: Any) -> str:
    """Return the SHA-256 of an output's inputs."""
    return hashlib.sha256(encode(parts)).hexdigest()
