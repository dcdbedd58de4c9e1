"""Releases: datasets published together, under one name and version, with fixed content."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from shared.model.identity import SessionKey, split_path
from shared.model.visibility import Visibility

FORMAT = 1
"""Version of the manifest's format."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


def check_release_name(name: str) -> None:
    """Refuse an invalid release name: it becomes a folder, a file's stem and part of URLs.

    Raises
    ------
    ValueError
    """
    if not re.fullmatch(_NAME, name):
        raise ValueError(
            f"{name[:80]!r} is no name of a release: use 1 to 64 ASCII letters, digits, _ and -, "
            "beginning with a letter or digit."
        )


_OF_NWB = ".nwb"


class ReleaseState(StrEnum):
    """State of a version of a release."""

    CREATED = "created"
    """Its content is fixed; the public does not see it."""
    PUBLISHED = "published"
    """Anybody sees it, from the end of its embargo on."""
    WITHDRAWN = "withdrawn"
    """Only its tombstone is left."""


class Creator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person or organisation to cite for a release.

    Attributes
    ----------
    name : str
        ``Family, Given`` of a person; an organisation's name.
    orcid : str
        ``0000-0002-1825-0097``.
    affiliation : str
    organisation : bool
        Whether this is a laboratory or consortium, not a person.
    """

    name: str
    orcid: str = ""
    affiliation: str = ""
    organisation: bool = False


class ReleaseTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of a release that people write.

    Attributes
    ----------
    title, description : str
        Search engines for data ask for a description of 50 to 5,000 characters.
    creators : tuple of Creator
    licence : str
        SPDX identifier, e.g. ``CC-BY-4.0``.
    publisher : str
    keywords : tuple of str
    papers : tuple of str
        DOIs of papers that describe the data.
    """

    title: str = ""
    description: str = ""
    creators: tuple[Creator, ...] = ()
    licence: str = "CC-BY-4.0"
    publisher: str = "Fornix"
    keywords: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()


class ReleasedSession(msgspec.Struct, frozen=True):
    """A session with files in a release; ``start_time`` has the lab's UTC offset."""

    id: str
    lab: str
    subject: str
    date: str
    number: int
    start_time: str = ""
    task_protocol: str = ""
    projects: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """``lab/Subjects/subject/date/NNN``."""
        return SessionKey(self.lab, self.subject, self.date, self.number).folder


class ReleasedFile(msgspec.Struct, frozen=True):
    """A file of a release.

    Attributes
    ----------
    id : str
        The dataset's id.
    session : str
        The session's id.
    path : str
        ``collection/#revision#/name`` below the session.
    size : int
        Bytes.
    sha256, md5 : str, optional
        In hexadecimal.
    place : str
        Key of the bytes in the own store; also their path below the API's address.
    dataset_type : str
    default : bool
        Whether it was the default revision when the release was made.
    qc : str
        Name of its quality.
    code_version : str, optional
        Package that made it, and its version (``fornix 0.1.0``), as the record of the run has
        them; only for outputs of tasks.
    """

    id: str
    session: str
    path: str
    size: int
    sha256: str | None = None
    md5: str | None = None
    place: str = ""
    dataset_type: str = ""
    default: bool = True
    qc: str = "NOT_SET"
    code_version: str | None = None

    @property
    def revision(self) -> str:
        """Revision, empty for none."""
        return split_path(self.path)[1] or ""

    @property
    def suffix(self) -> str:
        """Extension without its dot."""
        return self.path.rpartition(".")[2]


class ReleaseManifest(msgspec.Struct, frozen=True):
    """The content of a version of a release: written once, never changed.

    Attributes
    ----------
    name : str
    version : int
        1, 2, …
    tag : str
        Tag of its datasets.
    created : str
        UTC.
    created_by : str
        User name.
    content : str
        Digest of the files (`content_digest`): two releases of the same files have the same.
    terms : ReleaseTerms
    sessions, files
        Sorted by folder and path.
    """

    name: str
    version: int
    tag: str
    created: str
    created_by: str
    content: str
    terms: ReleaseTerms
    sessions: tuple[ReleasedSession, ...] = ()
    files: tuple[ReleasedFile, ...] = ()
    previous: int | None = None
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def path_of(self, file: ReleasedFile) -> str:
        """Return a file's path in a copy of the release, as ONE lays it out on disk."""
        return f"{self._folders[file.session]}/{file.path}"

    @property
    def _folders(self) -> dict[str, str]:
        return {session.id: session.folder for session in self.sessions}

    def paths(self) -> dict[str, ReleasedFile]:
        """Return the files by their paths in a copy of the release."""
        folders = self._folders
        return {f"{folders[file.session]}/{file.path}": file for file in self.files}


class Tombstone(msgspec.Struct, frozen=True):
    """A withdrawal of a dataset, or of the whole version if ``dataset`` is empty."""

    dataset: str
    path: str
    reason: str
    at: str
    by: str


class ReleaseRecord(msgspec.Struct, frozen=True):
    """A version of a release as the API stores and shows it; all but its content may change.

    Attributes
    ----------
    manifest : str
        SHA-256 of the manifest's bytes; it names the manifest and proves it.
    embargo_until : str, optional
        First day (ISO date) in public.
    embargo_zone : str
        IANA zone in which that day begins: among its labs' zones, the last to begin it.
    doi : str
        ``10.…/…`` once minted.
    """

    name: str
    version: int
    tag: str
    state: ReleaseState
    created: str
    created_by: str
    manifest: str
    content: str
    n_files: int
    n_sessions: int
    size: int
    terms: ReleaseTerms
    labs: tuple[str, ...] = ()
    published: str | None = None
    published_by: str | None = None
    embargo_until: str | None = None
    embargo_zone: str = "UTC"
    doi: str = ""
    tombstones: tuple[Tombstone, ...] = ()

    @property
    def visibility(self) -> Visibility:
        """Its visibility; for a withdrawn version, the visibility of its tombstone."""
        return Visibility(self.published is not None, self.embargo_until, self.embargo_zone)

    @property
    def key(self) -> str:
        """``name@version``."""
        return release_key(self.name, self.version)

    @property
    def withdrawn(self) -> frozenset[str]:
        """Ids of the datasets that were withdrawn one by one."""
        return frozenset(tombstone.dataset for tombstone in self.tombstones if tombstone.dataset)


def nwb_tag(tag: str) -> str:
    """Return the tag of the NWB files made from the datasets with a tag."""
    return f"{tag[:250]}{_OF_NWB}"


def tag_of_nwb(name: str) -> str | None:
    """Return the tag of the datasets that NWB files are made from; None if it is no NWB tag."""
    return name.removesuffix(_OF_NWB) if name.endswith(_OF_NWB) else None


def nwb_collection(tag: str) -> str:
    """Return the folder, within a session, of the NWB file made from datasets with a tag."""
    return f"nwb/{re.sub('[^A-Za-z0-9_-]', '_', tag)[:60]}"


def release_key(name: str, version: int) -> str:
    """Return the key of a version's record."""
    return f"{name}@{version}"
