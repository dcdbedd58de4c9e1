"""A session as exports read it: its facts and its files, from any source."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from shared.alf import io
from shared.alf.layout import ObjectFiles, objects


class ExportError(Exception):
    """A session cannot be exported; the message names what is missing and the next step."""


class SubjectFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The known facts of an animal.

    Attributes
    ----------
    nickname : str
    species : str
        Latin binomial.
    sex : {'M', 'F', 'U', 'O'}
    birth_date : date, optional
    strain, genotype, description : str
        Empty if unknown.
    """

    nickname: str
    species: str = "Mus musculus"
    sex: str = "U"
    birth_date: dt.date | None = None
    strain: str = ""
    genotype: str = ""
    description: str = ""


class ExportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The known facts of a session beside its files.

    Attributes
    ----------
    id : str
        UUID.
    start : datetime
        With the lab's time zone.
    experimenters : tuple of str
        As ``Last, First``.
    """

    id: str
    lab: str
    subject: SubjectFacts
    date: str
    number: int
    start: dt.datetime
    protocol: str = ""
    institution: str = ""
    experimenters: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    narrative: str = ""
    synthetic: bool = False

    @property
    def reference(self) -> str:
        """``subject/date/NNN``, the name of a session for people."""
        return f"{self.subject.nickname}/{self.date}/{self.number:03d}"


class ExportSession(ABC):
    """A session's facts and files.

    Attributes
    ----------
    facts : ExportFacts
    paths : tuple of str
        Datasets' paths within the session.
    preferred : frozenset of str
        Paths that are the default among their revisions.
    """

    facts: ExportFacts
    paths: tuple[str, ...]
    preferred: frozenset[str] = frozenset()

    @abstractmethod
    def local(self, path: str) -> Path:
        """Return a complete file on this computer with the content of a dataset."""

    @abstractmethod
    def address(self, path: str) -> str:
        """Return the absolute path or HTTP address of the bytes of a dataset."""

    def lasting_address(self, path: str) -> str:
        """Return where others find the bytes of a dataset later: by default `address`."""
        return self.address(path)

    def objects(self, name: str) -> list[ObjectFiles]:
        """Return the files of an object by collection."""
        return objects(self.paths, name, self.preferred)

    def load(self, files: ObjectFiles, wanted: Iterable[str] | None = None) -> dict[str, Any]:
        """Return an object's attributes, with its table split into columns.

        Parameters
        ----------
        files : ObjectFiles
        wanted : iterable of str, optional
            Attributes to load; by default all that are arrays or tables.

        Raises
        ------
        shared.alf.FileInvalid
            A file is damaged.
        """
        names = files.files.keys() if wanted is None else set(wanted) & files.files.keys()
        loaded = {
            name: io.load(self.local(files.files[name]))
            for name in sorted(names)
            if files.files[name].endswith((".npy", ".pqt", ".csv"))
        }
        table = loaded.pop("table", None)
        return loaded if table is None else loaded | io.explode(table)

    def first(self, name: str, collection: str | None = None) -> ObjectFiles | None:
        """Return the files of an object in a collection, or in the first that has it."""
        objects = [
            files
            for files in self.objects(name)
            if collection is None or files.collection == collection
        ]
        return objects[0] if objects else None

    @cached_property
    def probes(self) -> list[str]:
        """The names of the probes with raw or sorted data."""
        names = set()
        for path in self.paths:
            for part in path.split("/")[1:-1]:
                if part.startswith("probe"):
                    names.add(part)
                    break
        return sorted(names)
