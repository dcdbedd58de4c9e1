"""Downloads: an address with a dataset's id redirects to a presigned address.

The ONE client takes the file's name from the address. It asks without credentials first, and after
a 401 with Basic ones (user name and token); none are forwarded to the storage.
"""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

from chalice.app import Blueprint, Response

from functions.api.auth import identify
from functions.api.call import Call
from functions.api.engine.relations import lab_of_owner
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.shown.datasets import file_records
from functions.api.shown.repositories import repositories
from shared import catalog
from shared.access import policy
from shared.access.visibility import is_public
from shared.catalog import visible
from shared.datasets.freed import freed
from shared.datasets.read import datasets_of, owners_of
from shared.model import json, moment
from shared.model.copies import OWN
from shared.model.messages import IndexDue
from shared.model.object_index import (
    INDEXED,
    INDEXED_EXTENSIONS,
    NONE,
    LocatedObject,
    ObjectIndex,
    index_key,
)
from shared.model.people import Caller
from shared.model.prefixes import NOTES
from shared.publishing import reviewers
from shared.records import aws, documents, env, objects, queues
from shared.records.errors import Exists, NotFound
from shared.records.items import Dataset, Session
from shared.records.where import Where
from shared.sessions.contents import find_dataset

routes = Blueprint(__name__)

LIFE = 3600
"""Seconds for which a presigned address is valid."""

COUNTED = 100
"""Most downloads that one request counts."""

IN_ADDRESS = "%/:?&=+,;@!$'()*[]~"
"""Characters that are not quoted in an address; all others are, also a revision's ``#``."""

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _rest_of_path(request: Any) -> str:
    """Return the path of a greedy route; it may come encoded or decoded."""
    return unquote((request.uri_params or {}).get("path", ""))


def ask_for_account(request: Any) -> ApiError:
    """Return the refusal of a file: 401 without credentials; API Gateway then asks for them.

    See `functions.api.app.handler`.
    """
    if request.headers.get("authorization"):
        return ApiError(403, "You do not have permission to read this file.")
    return ApiError(401, "Authentication credentials were not provided.")


def readable(item: Dataset, session: Session | None, who: Caller, review: str = "") -> bool:
    """Return whether a caller may read a file: by account, as anybody, or as a reviewer."""
    lab = session.lab if session else lab_of_owner(item.owner)
    if policy.may_see_files(who, lab):
        return True
    seen = visible.of_item(session, visible.calendar_of(catalog.table), item)
    if is_public(seen, moment.now(), visible.released_tags(catalog.table)):
        return True
    return bool(review) and reviewers.opens(review, item.uuid)


def review_of(request: Any) -> str:
    """Return the reviewer's token in an address; empty if there is none."""
    return (request.query_params or {}).get("review") or ""


def presigned(key: str, name: str) -> str:
    """Return an address of an object, valid for `LIFE` seconds."""
    return aws.client("s3").generate_presigned_url(
        "get_object",
        Params={
            "Bucket": env.data_bucket(),
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        },
        ExpiresIn=LIFE,
    )


def redirect(location: str) -> Response:
    """Return a redirect that is not cached."""
    return Response(
        "", status_code=302, headers={"Location": location, "Cache-Control": "no-store"}
    )


@routes.route("/data/{path+}", methods=["GET", "HEAD"])
def download() -> Response:
    """Redirect to the bytes of the dataset whose id is in the file's name."""
    request: Any = routes.current_request
    path = _rest_of_path(request)
    ids = re.findall(_UUID, path.rpartition("/")[2], re.IGNORECASE)
    if not ids:
        raise not_found("Dataset")
    try:
        session, item = find_dataset(ids[-1].lower())
    except NotFound:
        raise not_found("Dataset") from None
    if not readable(item, session, identify.caller(request), review_of(request)):
        raise ask_for_account(request)
    if f"{item.path.rpartition('.')[0]}.{item.uuid}" not in path:
        raise not_found("Dataset")
    if item.in_own_store and item.stored_key:
        return redirect(presigned(item.stored_key, item.name))
    return redirect(_elsewhere(item, session, Call(request)))


def _gone(item: Dataset) -> ApiError | None:
    """Return the answer about a freed file that no other repository has, else None."""
    note = freed(item)
    return ApiError(410, note.told(item.path), copy=note.copy_id) if note else None


@routes.route("/datasets/{id}/index", methods=["GET"])
def index_of_dataset(id: str) -> dict[str, Any]:
    """Tell where a dataset's bytes are and what lies where in them, to be read by ranges."""
    request: Any = routes.current_request
    try:
        session, item = find_dataset(id.lower())
    except NotFound:
        raise not_found("Dataset") from None
    if not readable(item, session, identify.caller(request), review_of(request)):
        raise ask_for_account(request)
    if not (item.in_own_store and item.stored_key):
        absent = f"{item.path} is not in the own store: download it from where it is."
        raise _gone(item) or ApiError(404, absent)
    located = LocatedObject(
        id=item.uuid,
        path=item.path,
        size=int(item.file_size or 0),
        address=presigned(item.stored_key, item.name),
        good_for=LIFE,
        index=_index(item) if int(item.file_size or 0) >= INDEXED else None,
    )
    view: dict[str, Any] = json.plain(located)
    return view


def _index(item: Dataset) -> ObjectIndex | None:
    """Return the index of a dataset, else None; a missing one is requested."""
    index = objects.read_object(index_key(item.uuid), ObjectIndex)
    if index is None and item.name.rpartition(".")[2] in INDEXED_EXTENSIONS:
        queues.notify("ingest", IndexDue(item.uuid))
    return None if index is None or index.codec == NONE else index


def _elsewhere(item: Dataset, session: Session | None, call: Call) -> str:
    """Return the address of a file that is only on other web servers.

    Raises
    ------
    ApiError
        404 if no repository with an address has the file; 410 if it was freed.
    """
    addresses, silent = [], []
    for record in file_records(session.folder if session else "", item, repositories(), call):
        address = record["data_url"]
        if not record["exists"] or record["data_repository"] == OWN:
            continue
        if address and not address.startswith(call.base_url):
            addresses.append(quote(address, safe=IN_ADDRESS))
        else:
            silent.append(record["data_repository"])
    if addresses:
        return addresses[0]
    if answer := _gone(item):
        raise answer
    why = (
        f"it is on {', '.join(silent)}, which has no web address (data_url)"
        if silent
        else "no data repository has it"
    )
    raise ApiError(404, f"The file {item.path} cannot be downloaded: {why}.")


@routes.route("/uploaded/{path+}", methods=["GET"])
def uploaded() -> Response:
    """Redirect to the image of a note."""
    request: Any = routes.current_request
    path = _rest_of_path(request)
    rows = catalog.table("note").select([Where("image", "exact", path)])
    if not len(rows):
        raise not_found("Note")
    if not policy.may_see_files(identify.caller(request), rows.page(0, 1)[0].get("lab")):
        raise ask_for_account(request)
    return redirect(presigned(f"{NOTES}{path}", path.rpartition("/")[2]))


def _texts(call: Call, name: str) -> list[str]:
    """Return a field of the body that is a list of texts, or one with commas.

    Raises
    ------
    Invalid
        400 if it is neither.
    """
    value = call.body.get(name) or []
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Invalid({name: ["Expected a list of texts."]})
    return texts


@routes.route("/new-download", methods=["POST"])
def new_download() -> Response:
    """Count downloads of datasets by the caller."""
    call = Call(routes.current_request)
    ids = list(dict.fromkeys(identity.lower() for identity in _texts(call, "datasets")))
    projects = set(_texts(call, "projects"))
    if len(ids) > COUNTED:
        raise Invalid({"datasets": [f"Count at most {COUNTED} datasets at once."]})
    if unknown := sorted(projects - catalog.table("project").select().values("name")):
        raise Invalid({"projects": [f"There is no project {unknown[0][:100]!r}."]})
    existing = {item.uuid for owner in owners_of(ids) for item in datasets_of(owner)}
    if missing := [identity for identity in ids if identity not in existing]:
        raise ApiError(400, f"There is no dataset {missing[0][:100]}.")
    counted = [_count(identity, projects, call.who.username) for identity in ids]
    answer = {"download": [key for key, _ in counted], "count": [n for _, n in counted]}
    return Response(answer, status_code=201)


def _count(dataset: str, projects: set[str], who: str) -> tuple[str, int]:
    """Count one more download of a dataset by a user; return the record's id and the count."""
    key = str(uuid.uuid5(uuid.UUID(dataset), who))
    now = moment.now().isoformat()
    needs = [("project", project) for project in sorted(projects)]

    def one_more(body: dict[str, Any]) -> dict[str, Any]:
        all_projects = sorted({*body["projects"], *projects})
        return {**body, "count": body["count"] + 1, "last_download": now, "projects": all_projects}

    def again() -> tuple[str, int]:
        stored = documents.update("download", key, one_more, who=who, needs=needs)
        return key, int(stored.body["count"])

    with suppress(NotFound):
        return again()
    none = {"id": key, "user": who, "dataset": dataset, "count": 0, "first_download": now}
    first = one_more({**none, "projects": [], "json": None})
    with suppress(Exists):  # another request was faster
        documents.create("download", key, first, who=who, needs=[("user", who), *needs])
        return key, 1
    return again()
