"""The ONE client's cache tables: ``/cache/info[/tag]`` and the zip it names.

The client sends its token to addresses below the API's own, and Python's urllib would pass it on
to the storage, which refuses it. So ``location`` has its scheme in capitals: the client does not
recognise it as the API's address and sends no token. A signed grant makes it valid for an hour. It
redirects to the storage.
"""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError
from chalice.app import Blueprint, Response

from functions.api.auth import signing
from functions.api.call import Call
from functions.api.errors import ApiError, not_found
from functions.api.routes.downloads import presigned, redirect
from shared import catalog
from shared.access import policy
from shared.catalog import cache_tables, visible
from shared.model.people import Caller

routes = Blueprint(__name__)

LIFE = 3600
"""Seconds for which a grant is valid."""


def grant(scope: str) -> str:
    """Return a grant for an address: its holder may read a scope's tables for a while."""
    text = f"{scope}|{int(time.time()) + LIFE}"
    encoded = base64.urlsafe_b64encode(f"{text}|{signing.sign('grant', text)}".encode()).decode()
    return encoded.rstrip("=")


def granted(value: str) -> str:
    """Return the scope of a grant.

    Raises
    ------
    ApiError
        403 if the grant is invalid or expired.
    """
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
        scope, expires, signature = text.rsplit("|", 2)
        good = signing.is_good("grant", f"{scope}|{expires}", signature)
        if good and int(expires) > time.time():
            return scope
    except ValueError:
        pass
    raise ApiError(403, "This address has expired; ask /cache/info for another.")


def _scope(call: Call, tag: str | None) -> str:
    if tag is None:
        return _whole(call.who)
    stored_tag = catalog.table("tag").get(tag)
    hidden = _whole(call.who) != "all" and tag not in visible.released_tags(catalog.table)
    if stored_tag is None or hidden:
        raise not_found("Tag")
    return f"tag/{tag}"


def _whole(who: Caller) -> str:
    """Return the scope of a caller."""
    if who.is_public:
        return "public"
    return f"lab/{who.labs[0]}" if policy.sees_own_lab_only(who) else "all"


def _info(call: Call, tag: str | None) -> dict[str, Any]:
    scope = _scope(call, tag)
    facts = cache_tables.info(scope)
    if facts is None and tag is None:  # the schedule has not run yet
        with suppress(ClientError):  # where only the schedule may write the tables
            cache_tables.build()
            facts = cache_tables.info(scope)
    if facts is None:
        raise ApiError(404, "The cache tables have not been made yet.")
    scheme, _, rest = call.base_url.partition("://")
    location = f"{scheme.upper()}://{rest}/cache-files/{grant(scope)}/cache.zip"
    public = {name: value for name, value in facts.items() if name != "content"}
    return {**public, "location": location}


@routes.route("/cache/info", methods=["GET"])
def info() -> dict[str, Any]:
    """Describe the cache tables that the caller may read, and where they are."""
    return _info(Call(routes.current_request), None)


@routes.route("/cache/info/{tag}", methods=["GET"])
def info_of_tag(tag: str) -> dict[str, Any]:
    """Describe the cache tables of a release."""
    return _info(Call(routes.current_request), unquote(tag))


@routes.route("/cache.zip", methods=["GET"])
def tables() -> Response:
    """Redirect to the cache tables that the caller may read."""
    scope = _scope(Call(routes.current_request), None)
    return redirect(presigned(cache_tables.zip_key(scope), "cache.zip"))


@routes.route("/cache-files/{grant}/cache.zip", methods=["GET"])
def granted_tables(grant: str) -> Response:
    """Redirect to the cache tables that a grant is for."""
    return redirect(presigned(cache_tables.zip_key(granted(grant)), "cache.zip"))
