"""Provenance of a dataset: the record of the run, from which it can be made again."""

from __future__ import annotations

from typing import Any

import msgspec
from chalice.app import Blueprint

from functions.api.auth import identify
from functions.api.errors import ApiError, not_found
from functions.api.routes.downloads import ask_for_account, readable, review_of
from shared.access import policy
from shared.model.json import plain
from shared.records.errors import NotFound
from shared.sessions.contents import find_dataset
from shared.uploads.runs import run_of

routes = Blueprint(__name__)


@routes.route("/datasets/{id}/run-record", methods=["GET"])
def run_record(id: str) -> dict[str, Any]:
    """Return how a dataset was made: inputs and outputs with hashes, code, environment, times.

    Callers who may read the dataset may read this; only its lab sees the computer's name.
    """
    request: Any = routes.current_request
    try:
        session, item = find_dataset(id.lower())
    except NotFound:
        raise not_found("Dataset") from None
    who = identify.caller(request)
    if not readable(item, session, who, review_of(request)):
        raise ask_for_account(request)
    record = run_of(session, item) if session else None
    if session is None or record is None:
        raise ApiError(404, f"{item.path} was made by no task here: it came as it is.")
    if not policy.may_see_files(who, session.lab):
        record = msgspec.structs.replace(record, worker=None, host=None)
    view: dict[str, Any] = plain(record)
    return view
