"""Tags of many datasets: given and taken by one request.

Alyx's own way, ``PATCH /datasets/ID`` with all tags of one dataset, stays. This one names the
datasets alone, so tags that others give at the same time are kept.
"""

from __future__ import annotations

from concurrent import futures
from typing import Any, cast
from urllib.parse import unquote

import msgspec
from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine.declarations import RESOURCES
from functions.api.errors import ApiError, Invalid, response_to
from functions.api.resources.datasets import Datasets
from shared import catalog
from shared.records.errors import RecordError

routes = Blueprint(__name__)

MOST = 200
"""Most datasets of a request, limited by the time of one request, as for a batch."""

AT_ONCE = 8


class Tagging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ids of the datasets that get a tag, and of those that lose it."""

    add: list[str] = []
    remove: list[str] = []


class NotTagged(msgspec.Struct, frozen=True):
    """A dataset that keeps its tags, and why."""

    dataset: str
    status: int
    detail: str


@routes.route("/tags/{name}/datasets", methods=["POST"])
def tag_datasets(name: str) -> dict[str, Any]:
    """Give a tag to datasets, and take it from others; one that is refused stops no other."""
    call = Call(routes.current_request)
    try:
        wanted = msgspec.convert(call.body, Tagging)
    except msgspec.ValidationError as error:
        raise Invalid({"datasets": [str(error)]}) from None
    if not 0 < len(wanted.add) + len(wanted.remove) <= MOST:
        raise Invalid({"datasets": [f"A request names 1 to {MOST} datasets; send several."]})
    if both := set(wanted.add) & set(wanted.remove):
        raise Invalid({"remove": [f"{min(both)[:100]} is in add, too."]})
    tag = unquote(name)
    if catalog.table("tag").get(tag) is None:
        raise ApiError(404, f"There is no tag {tag[:100]}: make it by POST /tags.")
    resource = RESOURCES["datasets"]
    store = cast(Datasets, resource.store)

    def one(asked: tuple[str, bool]) -> bool | NotTagged:
        key, given = asked
        try:
            return store.retag(resource, key, tag, given, call)
        except (ApiError, RecordError) as error:
            return NotTagged(key[:100], response_to(error).status_code, str(error))

    asked = [(key, True) for key in dict.fromkeys(wanted.add)]
    asked += [(key, False) for key in dict.fromkeys(wanted.remove)]
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(one, asked))
    refused = [each for each in results if isinstance(each, NotTagged)]
    return {
        "changed": sum(each is True for each in results),
        "unchanged": sum(each is False for each in results),
        "refused": msgspec.to_builtins(refused),
    }
