"""Releases: what is published together, under one name and version, and never changes again."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from shared.model.identity import SessionKey, split_path
from shared.model.visibility import Visibility

FORMAT = 1
"""Version of the manifest's own shape."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_release_name(name: str) -> None:
    """Refuse what is no name of a release: it is a folder, a file's stem and part of addresses.

    Raises
    ------
    ValueError
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is no name of a release: use 1 to 64 ASCII letters, digits, _ and -, "
            "beginning with a letter or digit."
        )


_OF_NWB = ".nwb"


class ReleaseState(StrEnum):
    """Where a version of a release stands."""

    CREATED = "created"
    """Its content is fixed; the public does not see it."""
    PUBLISHED = "published"
    """Anybody sees it, from the end of its embargo on."""
    WITHDRAWN = "withdrawn"
    """Only its tombstone is left."""


class Creator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is to be cited for a release.

    Attributes
    ----------
    name : str
        ``Family, Given`` of a person; an organisation's name.
    orcid : str
        ``0000-0002-1825-0097``.
    affiliation : str
    organisation : bool
        Whether this is a laboratory or consortium, and no person.
    """

    name: str
    orcid: str = ""
    affiliation: str = ""
    organisation: bool = False


class ReleaseTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people say of a release.

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
        DOIs of what describes the data.
    """

    title: str = ""
    description: str = ""
    creators: tuple[Creator, ...] = ()
    licence: str = "CC-BY-4.0"
    publisher: str = "Fornix"
    keywords: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()


class ReleasedSession(msgspec.Struct, frozen=True):
    """A session of which a release has files; ``start_time`` has the lab's UTC offset."""

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
        The dataset's.
    session : str
        The session's id.
    path : str
        ``collection/#revision#/name`` below the session.
    size : int
        Bytes.
    sha256, md5 : str, optional
        In hexadecimal.
    place : str
        Key of the bytes in the own store; below the API's address it answers with them.
    dataset_type : str
    default : bool
        Whether it is the default among its revisions, when the release was made.
    qc : str
        Name of its quality.
    code_version : str, optional
        What made it, of what a worker made: the package that has the task, and its version, as the
        record of the run has them.
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
    """What a version of a release is: written once, never changed.

    Attributes
    ----------
    name : str
    version : int
        1, 2, …
    tag : str
        The datasets' tag that it was made from.
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
        """Return where a file lies in a copy of the release, as ONE has it on disk."""
        return f"{self._folders[file.session]}/{file.path}"

    @property
    def _folders(self) -> dict[str, str]:
        return {session.id: session.folder for session in self.sessions}

    def paths(self) -> dict[str, ReleasedFile]:
        """Return the files by where they lie in a copy of the release."""
        folders = self._folders
        return {f"{folders[file.session]}/{file.path}": file for file in self.files}


class Tombstone(msgspec.Struct, frozen=True):
    """What was withdrawn: the dataset's id (empty: the version as a whole), and why."""

    dataset: str
    path: str
    reason: str
    at: str
    by: str


class ReleaseRecord(msgspec.Struct, frozen=True):
    """A version of a release as the API keeps and shows it; all but its content may change.

    Attributes
    ----------
    manifest : str
        SHA-256 of the manifest's bytes, by which it is found and proved.
    embargo_until : str, optional
        First day (ISO date) in public.
    embargo_zone : str
        IANA zone in which that day begins: of its labs' the one where it begins last.
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
        """Who may see it; that of a withdrawn version tells who may see its tombstone."""
        return Visibility(self.published is not None, self.embargo_until, self.embargo_zone)

    @property
    def key(self) -> str:
        """``name@version``."""
        return release_key(self.name, self.version)

    @property
    def withdrawn(self) -> frozenset[str]:
        """Ids of the datasets that were withdrawn one by one."""
        return frozenset(one.dataset for one in self.tombstones if one.dataset)


def nwb_tag(tag: str) -> str:
    """Return the tag of the NWB files that are made of what has a tag."""
    return f"{tag[:250]}{_OF_NWB}"


def tag_of_nwb(name: str) -> str | None:
    """Return the tag that NWB files with a tag are made of; None if it is no such tag."""
    return name.removesuffix(_OF_NWB) if name.endswith(_OF_NWB) else None


def nwb_collection(tag: str) -> str:
    """Return the folder, within a session, of the NWB file made of what has a tag."""
    return f"nwb/{re.sub('[^A-Za-z0-9_-]', '_', tag)[:60]}"


def release_key(name: str, version: int) -> str:
    """Return the key of a version's record."""
    return f"{name}@{version}"
