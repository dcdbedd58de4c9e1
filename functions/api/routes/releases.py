"""Releases: created from a tag, published, withdrawn; their manifests and descriptions.

Long work is done in parts: 202 tells the progress, and repeating the request continues it.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.engine import paging
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.routes.downloads import presigned, redirect, review_of
from shared import catalog
from shared.access import policy
from shared.access.visibility import is_public, last_zone
from shared.catalog import visible
from shared.model import json, moment
from shared.model.messages import ReleaseChanged
from shared.model.release import (
    ReleaseRecord,
    ReleaseState,
    ReleaseTerms,
    check_release_name,
)
from shared.publishing import nwb, reviewers, store
from shared.publishing.gather import GatheredSoFar, NotReleasable, gather, labs_of
from shared.publishing.reviewers import ReviewerLink
from shared.records import env, queues
from shared.records.errors import NotFound
from shared.releases import describe, linked
from shared.releases.describe import ReleaseAddresses
from shared.results import addresses

routes = Blueprint(__name__)

DESCRIPTIONS = {
    "datacite.json": describe.datacite,
    "ro-crate-metadata.json": linked.ro_crate,
    "croissant.json": linked.croissant,
}
"""Descriptions of a release by file name, made from manifest and record."""


class NewRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new release of a tag's datasets; ``name`` is the tag's by default."""

    tag: str
    name: str = ""
    terms: ReleaseTerms = msgspec.field(default_factory=ReleaseTerms)
    dry_run: bool = False


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The publication of a version: at once, or at the beginning of a day (ISO).

    With ``nwb`` workers also write its sessions as NWB. Of raw recordings they write where these
    lie (``link``: a small file by which pynwb reads them there), or copy them (``copy``).
    """

    embargo_until: str | None = None
    nwb: bool = True
    nwb_raw: Literal["link", "copy"] = "link"


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The withdrawal of a version or of some datasets by id, with the reason."""

    reason: str
    datasets: tuple[str, ...] | None = None


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The days for which reviewers see a version, and a note about the address."""

    days: int = 30
    note: str = ""


class DoiOfRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The DOI that was minted for a version."""

    doi: str


@routes.route("/releases", methods=["GET"])
def list_releases() -> dict[str, Any]:
    """List all versions of all releases that the caller may see."""
    call = Call(routes.current_request)
    releases = [_shown(record, call) for record in store.every() if _may_see(record, call)]
    return {"count": len(releases), "results": releases}


@routes.route("/releases", methods=["POST"])
def create_release() -> Response:
    """Fix the content of a tag as a new version of a release; the same once more is none.

    202 with ``done`` and ``of`` sessions: there are more; repeat the request.
    """
    call = Call(routes.current_request)
    wanted = _body(call, NewRelease)
    name = wanted.name or wanted.tag
    try:
        check_release_name(name)
    except ValueError as error:
        raise Invalid({"name": [str(error)]}) from None
    if catalog.table("tag").get(wanted.tag) is None:
        raise Invalid({"tag": [f'Invalid pk "{wanted.tag}" - object does not exist.']})
    if any(version.tag != wanted.tag for version in store.versions(name)):
        raise Invalid({"name": [f"{name} is the release of another tag."]})
    if labs := labs_of(wanted.tag):
        permissions.require(policy.may_manage(call.who, labs, "The release"))
    try:
        gathered = gather(wanted.tag)
    except NotReleasable as error:
        raise Invalid({"tag": [str(error)]}) from None
    if isinstance(gathered, GatheredSoFar):
        return _unfinished(gathered)
    permissions.require(policy.may_manage(call.who, gathered.labs, "The release"))
    if wanted.dry_run:
        size = sum(file.size for file in gathered.files)
        return Response(
            {
                "name": name,
                "n_files": len(gathered.files),
                "n_sessions": len(gathered.sessions),
                "size": size,
                "labs": list(gathered.labs),
            }
        )
    record, is_new = store.create(name, wanted.tag, wanted.terms, gathered, who=call.who.username)
    return Response({**_shown(record, call), "made": is_new}, status_code=201 if is_new else 200)


@routes.route("/releases/{name}", methods=["GET"])
def versions_of_release(name: str) -> dict[str, Any]:
    """List the versions of a release, the oldest first."""
    call = Call(routes.current_request)
    versions = [
        _shown(record, call) for record in store.versions(unquote(name)) if _may_see(record, call)
    ]
    if not versions:
        raise not_found("Release")
    return {"count": len(versions), "results": versions}


@routes.route("/releases/{name}/{version}", methods=["GET"])
def show_release(name: str, version: str) -> dict[str, Any]:
    """Show a version of a release; ``latest`` is the newest that the caller may see."""
    call = Call(routes.current_request)
    return _shown(_find(name, version, call), call)


@routes.route("/releases/{name}/{version}", methods=["PATCH"])
def set_doi(name: str, version: str) -> dict[str, Any]:
    """Note the DOI of a version."""
    call = Call(routes.current_request)
    record = _managed(name, version, call)
    doi = _body(call, DoiOfRelease).doi
    if not doi.startswith("10.") or "/" not in doi or len(doi) > 200:
        raise Invalid({"doi": [f"{doi[:80]!r} is no DOI; write one like 10.1234/abc."]})
    done = store.set_doi(record, doi, who=call.who.username)
    _tell(done)
    return _shown(done, call)


@routes.route("/releases/{name}/{version}/publish", methods=["POST"])
def publish_release(name: str, version: str) -> Response:
    """Show a version to the public, at once or from a day on; 202 as when it is made."""
    call = Call(routes.current_request)
    record = _managed(name, version, call)
    wanted = _body(call, Publication)
    day = wanted.embargo_until
    zones = visible.zones_of(catalog.table)
    try:
        zone = last_zone(day, {zones.get(lab, "UTC") for lab in record.labs})
    except ValueError:
        raise Invalid({"embargo_until": [f"{day!r} is no day; write YYYY-MM-DD."]}) from None
    try:
        done = store.publish(
            record,
            who=call.who.username,
            embargo_until=day,
            zone=zone,
            as_nwb=wanted.nwb,
            raw_as_nwb=wanted.nwb_raw == "copy",
        )
    except NotReleasable as error:
        raise ApiError(409, str(error)) from None
    if isinstance(done, GatheredSoFar):
        return _unfinished(done)
    _tell(done)
    return Response(_shown(done, call))


@routes.route("/releases/{name}/{version}/withdraw", methods=["POST"])
def withdraw_release(name: str, version: str) -> Response:
    """Withdraw a version or some of its datasets; tombstones tell of them.

    202 with ``left``: the number of files still shown; repeat the request.
    """
    call = Call(routes.current_request)
    record = _managed(name, version, call)
    wanted = _body(call, Withdrawal)
    if not wanted.reason.strip():
        raise Invalid({"reason": ["Say why: the tombstone tells it."]})
    if wanted.datasets is None:
        done, left = store.withdraw(record, wanted.reason, who=call.who.username)
    else:
        ids = frozenset(identity.lower() for identity in wanted.datasets)
        done, left = store.withdraw_datasets(record, ids, wanted.reason, who=call.who.username), 0
    _tell(done)
    return Response({**_shown(done, call), "left": left}, status_code=202 if left else 200)


@routes.route("/releases/{name}/{version}/reviewers", methods=["POST"])
def invite_reviewers(name: str, version: str) -> Response:
    """Make an address by which reviewers see a version for some days; it is shown once."""
    call = Call(routes.current_request)
    record = _managed(name, version, call)
    wanted = _body(call, Invitation)
    try:
        link, token = reviewers.make(record, wanted.days, wanted.note, who=call.who.username)
    except ValueError as error:
        raise Invalid({"days": [str(error)]}) from None
    address = call.url(f"/releases/{record.name}/{record.version}?review={token}")
    return Response({**_shown_link(link), "url": address}, status_code=201)


@routes.route("/releases/{name}/{version}/reviewers", methods=["GET"])
def list_reviewers(name: str, version: str) -> dict[str, Any]:
    """List the addresses of a version that were made for reviewers, without their secrets."""
    call = Call(routes.current_request)
    links = [_shown_link(link) for link in reviewers.links_of(_managed(name, version, call))]
    return {"count": len(links), "results": links}


@routes.route("/releases/{name}/{version}/reviewers/{link}", methods=["DELETE"])
def revoke_reviewers(name: str, version: str, link: str) -> Response:
    """Revoke an address."""
    call = Call(routes.current_request)
    reviewers.revoke(_managed(name, version, call), link, who=call.who.username)
    return Response("", status_code=204)


def _shown_link(link: ReviewerLink) -> dict[str, Any]:
    view: dict[str, Any] = json.plain(link)
    del view["digest"]
    return view


@routes.route("/releases/{name}/{version}/nwb", methods=["GET"])
def nwb_of_release(name: str, version: str) -> dict[str, Any]:
    """List the NWB files that workers have written of a version's sessions, by pages of these."""
    call = Call(routes.current_request)
    record = _find(name, version, call)
    if record.state is ReleaseState.WITHDRAWN:
        raise ApiError(410, f"{record.key} was withdrawn: {record.tombstones[-1].reason}")
    sessions = {session.id: session for session in store.manifest_of(record).sessions}
    offset, limit = paging.bounds(call.query)
    count, files = nwb.nwb_files(record, sessions, offset, limit)
    results = [
        {
            **json.plain(file),
            "folder": sessions[file.session].folder,
            "url": call.url(f"/{quote(file.place)}"),
        }
        for file in files
    ]
    return {"of": len(sessions), "count": count, "results": results}


@routes.route("/releases/{name}/{version}/{document}", methods=["GET"])
def release_document(name: str, version: str, document: str) -> Response:
    """Redirect to a version's manifest, or answer with its DataCite, RO-Crate or Croissant."""
    call = Call(routes.current_request)
    record = _find(name, version, call)
    if record.state is ReleaseState.WITHDRAWN:
        raise ApiError(410, f"{record.key} was withdrawn: {record.tombstones[-1].reason}")
    if document == "manifest.json":
        return redirect(presigned(store.manifest_key(record), f"{record.key}.json"))
    make = DESCRIPTIONS.get(document)
    if make is None:
        documents = ", ".join(["manifest.json", *DESCRIPTIONS])
        raise ApiError(404, f"A release has no {document[:80]}; it has {documents}.")
    content = make(store.manifest_of(record), where_of(record, call.base_url))
    return Response(content, headers={"Content-Type": "application/json"})


def _unfinished(how_far: GatheredSoFar) -> Response:
    return Response(json.plain(how_far), status_code=202)


def where_of(record: ReleaseRecord, api: str) -> ReleaseAddresses:
    """Return the addresses of a version."""
    site = env.site_url()
    page = f"{site}/{addresses.release_page(record.name, record.version)}" if site else ""
    return ReleaseAddresses(api=api, page=page, doi=record.doi)


def _body(call: Call, kind: type[Any]) -> Any:
    try:
        return json.read(call.body, kind)
    except json.Faulty as error:
        raise Invalid(error.fields) from None


def _find(name: str, version: str, call: Call) -> ReleaseRecord:
    name = unquote(name)
    if version == "latest":
        versions = [
            version_record
            for version_record in store.versions(name)
            if _may_see(version_record, call)
        ]
        standing = [
            version_record
            for version_record in versions
            if version_record.state is not ReleaseState.WITHDRAWN
        ]
        if standing:
            return standing[-1]
        raise not_found("Release")
    if not version.isascii() or not version.isdecimal() or len(version) > 6:
        raise not_found("Release")
    try:
        record = store.find(name, int(version))
    except NotFound:
        raise not_found("Release") from None
    if not _may_see(record, call):
        raise not_found("Release")
    return record


def _managed(name: str, version: str, call: Call) -> ReleaseRecord:
    record = _find(name, version, call)
    permissions.require(policy.may_manage(call.who, record.labs, "The release"))
    return record


def _may_see(record: ReleaseRecord, call: Call) -> bool:
    """Return whether a caller may see a version: by account, or because it is public."""
    if any(policy.may_see_files(call.who, lab) for lab in record.labs):
        return True
    if is_public(record.visibility, moment.now()):
        return True
    token = review_of(call.request)
    seen = reviewers.reviewed(token) if token else None
    return seen is not None and seen.key == record.key


def _shown(record: ReleaseRecord, call: Call) -> dict[str, Any]:
    where = f"/releases/{record.name}/{record.version}"
    view: dict[str, Any] = json.plain(record)
    if call.who.is_public:
        view["tombstones"] = [{**tombstone, "by": ""} for tombstone in view["tombstones"]]
        view |= {"created_by": "", "published_by": ""}
    return {
        **view,
        "url": call.url(where),
        "page": where_of(record, call.base_url).page,
        "manifest_url": call.url(f"{where}/manifest.json"),
    }


def _tell(record: ReleaseRecord) -> None:
    queues.notify("analysis", ReleaseChanged(record.name))
