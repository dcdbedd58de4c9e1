"""Releases: the page of a version, and the list of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote

from markupsafe import Markup
from msgspec import Struct

from shared.model.release import ReleaseManifest, ReleaseRecord, ReleaseState, Tombstone
from shared.releases import describe, linked
from shared.releases.describe import ReleaseAddresses
from shared.results import addresses
from shared.results.views.page import Crumb, PageFrame

SESSIONS_SHOWN = 500
"""Sessions listed on a page; the manifest has all of them."""


class ReleaseRow(Struct, frozen=True):
    """A version in a list."""

    name: str
    version: int
    title: str
    date: str
    n_sessions: int
    n_files: int
    size: str
    doi: str
    state: str


class SessionRow(Struct, frozen=True):
    """A session of a release, with the number and bytes of its files."""

    name: str
    lab: str
    projects: str
    n_files: int
    size: str
    nwb: str = ""
    """Address of the session as NWB, where a worker has written it."""
    nwb_raw: str = ""
    """Address of its raw recordings as NWB, copied or by reference."""


class NwbPlaces(Struct, frozen=True):
    """Places of a session's NWB files in the own store; empty where there is none."""

    processed: str = ""
    raw: str = ""


class ReleasesView(Struct, frozen=True):
    """All versions of all public releases."""

    template: ClassVar[str] = "releases"

    page: PageFrame
    rows: list[ReleaseRow]


class ReleaseView(Struct, frozen=True):
    """A version of a release: what it is, how to load, cite and verify it.

    Attributes
    ----------
    json_ld : Markup
        schema.org's description, escaped for a script element.
    documents : list of (str, str)
        Addresses and labels of the documents that describe it.
    """

    template: ClassVar[str] = "release"

    page: PageFrame
    row: ReleaseRow
    description: str
    creators: list[str]
    projects: list[str]
    labs: list[str]
    licence: str
    licence_url: str
    citation: str
    digest: str
    versions: list[ReleaseRow]
    sessions: list[SessionRow]
    n_left: int
    has_nwb: bool
    tombstones: list[Tombstone]
    documents: list[tuple[str, str]]
    load: str
    fetch: str
    verify: str
    json_ld: Markup


def human(size: int) -> str:
    """Return bytes in powers of 1000, for people."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def release_row(record: ReleaseRecord) -> ReleaseRow:
    """Return a version for lists."""
    return ReleaseRow(
        name=record.name,
        version=record.version,
        title=record.terms.title or record.name,
        date=(record.published or record.created)[:10],
        n_sessions=record.n_sessions,
        n_files=record.n_files - len(record.withdrawn),
        size=human(record.size),
        doi=record.doi,
        state=record.state.value,
    )


def releases_view(records: Sequence[ReleaseRecord]) -> ReleasesView:
    """Return the list of releases, the newest version of each first."""
    ordered = sorted(records, key=lambda record: (record.name, -record.version))
    page = PageFrame(
        address=addresses.RELEASES,
        title="Releases",
        description="Fixed, citable versions of the data, with checksums of every file.",
    )
    return ReleasesView(page, [release_row(record) for record in ordered])


def release_view(
    record: ReleaseRecord,
    manifest: ReleaseManifest,
    versions: Sequence[ReleaseRecord],
    where: ReleaseAddresses,
    nwb: Mapping[str, NwbPlaces] = MappingProxyType({}),
) -> ReleaseView:
    """Return the page of a version.

    Parameters
    ----------
    record, manifest
        The version; if it was withdrawn, only the tombstone is shown.
    versions : sequence of ReleaseRecord
        All public versions of the release.
    where : ReleaseAddresses
    nwb : mapping
        Places of NWB files, by session.
    """
    gone = record.state is ReleaseState.WITHDRAWN
    listed = release_row(record)
    shown_sessions = [] if gone else _sessions(record, manifest, where.api, nwb)
    address = f"{where.api}/releases/{record.name}/{record.version}"
    version = f"{record.name}/{record.version}"
    creators = describe.creators(manifest)
    page = PageFrame(
        address=addresses.release_page(record.name, record.version),
        title=f"{listed.title}, version {record.version}",
        description=describe.description(manifest)[:300],
        crumbs=(Crumb(addresses.RELEASES, "Releases"),),
    )
    described = {} if gone else linked.page_json_ld(manifest, where)
    return ReleaseView(
        page=page,
        row=listed,
        description=describe.description(manifest),
        creators=[one.name for one in creators],
        projects=describe.projects(manifest),
        labs=list(record.labs),
        licence=describe.licence_name(manifest.terms.licence),
        licence_url=describe.licence_url(manifest.terms.licence),
        citation=describe.citation(manifest, where),
        digest=record.manifest,
        versions=[release_row(one) for one in sorted(versions, key=lambda one: -one.version)],
        sessions=shown_sessions[:SESSIONS_SHOWN],
        n_left=max(0, len(shown_sessions) - SESSIONS_SHOWN),
        has_nwb=any(one.nwb for one in shown_sessions),
        tombstones=list(record.tombstones),
        documents=[] if gone else _documents(record, where),
        load=(
            "import fornix\n\n"
            f'release = fornix.open("{address}")\n'
            'trials = release.load(release.sessions[0].id, "trials")'
        ),
        fetch=f"fornix mirror {address} {record.name}\n"
        f"fornix release zip {version} --out {record.name}.zip",
        verify=f"fornix release verify {record.name}  # the folder or the zip",
        json_ld=script_safe(described),
    )


def _documents(record: ReleaseRecord, where: ReleaseAddresses) -> list[tuple[str, str]]:
    _, *files = addresses.release_files(record.name, record.version)
    labels = ("DataCite", "RO-Crate", "Croissant")
    documents = list(zip(files, labels, strict=True))
    return documents if where.api else []


def _sessions(
    record: ReleaseRecord, manifest: ReleaseManifest, api: str, nwb: Mapping[str, NwbPlaces]
) -> list[SessionRow]:
    def at(place: str) -> str:
        return f"{api}/{quote(place)}" if api and place else ""

    none = NwbPlaces()
    counts: dict[str, list[int]] = {}
    for file in manifest.files:
        if file.id not in record.withdrawn:
            counts.setdefault(file.session, []).append(file.size)
    return [
        SessionRow(
            name=session.folder.partition("/Subjects/")[2],
            lab=session.lab,
            projects=", ".join(session.projects),
            n_files=len(counts[session.id]),
            size=human(sum(counts[session.id])),
            nwb=at(nwb.get(session.id, none).processed),
            nwb_raw=at(nwb.get(session.id, none).raw),
        )
        for session in manifest.sessions
        if session.id in counts
    ]


def script_safe(value: Any) -> Markup:
    """Return JSON that is safe in a script element: it cannot end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, escaped)
    return Markup(text)  # noqa: S704 - nothing in it can end the element
