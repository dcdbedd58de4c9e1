"""Pages of releases: one per public version, and their list."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared import catalog
from shared.access.visibility import is_public
from shared.model import moment
from shared.model.release import ReleaseManifest, ReleaseRecord, ReleaseState
from shared.publishing import nwb
from shared.publishing import store as releases
from shared.releases import describe, linked
from shared.releases.describe import ReleaseAddresses
from shared.results import addresses
from shared.results.render import SiteSettings, render
from shared.results.store import SiteStore, encode, write_if_changed
from shared.results.views.release import (
    SESSIONS_SHOWN,
    NwbPlaces,
    release_view,
    releases_view,
)
from shared.tasks.declared.release import NWB_FILE


def refresh(
    store: SiteStore, settings: SiteSettings, names: Iterable[str] | None = None
) -> dict[str, int]:
    """Bring the pages of the named releases, or of all, up to date.

    Returns
    -------
    dict
        ``written`` files and ``shown`` versions.
    """
    catalog.start_request()
    at = moment.now()
    public = [record for record in releases.every() if is_public(record.visibility, at)]
    wanted = None if names is None else set(names)
    files: dict[str, bytes] = {
        addresses.RELEASES: render(releases_view(public), settings),
    }
    for record in public:
        if wanted is None or record.name in wanted:
            files |= _files_of(record, public, settings)
    written = sum(write_if_changed(store, key, body) for key, body in files.items())
    _remove_hidden(store, public)
    return {"written": written, "shown": len(public)}


def _files_of(
    record: ReleaseRecord, shown: list[ReleaseRecord], settings: SiteSettings
) -> dict[str, bytes]:
    manifest = releases.manifest_of(record)
    site = settings.site_url.rstrip("/")
    page, *documents = addresses.release_files(record.name, record.version)
    where = ReleaseAddresses(
        api=settings.api_url, page=f"{site}/{page}" if site else "", doi=record.doi
    )
    versions = [version for version in shown if version.name == record.name]
    view = release_view(record, manifest, versions, where, _nwb(record, manifest))
    files = {page: render(view, settings)}
    if record.state is not ReleaseState.WITHDRAWN:
        makers = (describe.datacite, linked.ro_crate, linked.croissant)
        contents = (encode(make(manifest, where)) for make in makers)
        files |= dict(zip(documents, contents, strict=True))
    return files


def _nwb(record: ReleaseRecord, manifest: ReleaseManifest) -> dict[str, NwbPlaces]:
    """Return the places of the NWB files of the sessions on a page, by session."""
    if not nwb.ordered(record.tag):
        return {}
    listed = [session.id for session in manifest.sessions[:SESSIONS_SHOWN]]
    places: dict[str, NwbPlaces] = {}
    for file in nwb.nwb_files(record, listed)[1]:
        former = places.get(file.session, NwbPlaces())
        kind = "processed" if file.path.endswith(NWB_FILE) else "raw"
        places[file.session] = msgspec.structs.replace(former, **{kind: file.place})
    return places


def _remove_hidden(store: SiteStore, shown: list[ReleaseRecord]) -> None:
    """Delete the files of versions that are no longer visible."""
    visible = {addresses.release_page(record.name, record.version) for record in shown}
    visible |= {
        file
        for record in shown
        if record.state is not ReleaseState.WITHDRAWN
        for file in addresses.release_files(record.name, record.version)
    }
    for folder in ("releases/", "data/releases/"):
        store.delete([name for name in store.names(folder) if name not in visible])
