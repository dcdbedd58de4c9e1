"""Data repositories and their kinds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    declare,
    flag,
    json,
    ref,
    text,
)
from functions.api.engine.stores import Documents
from functions.api.errors import ApiError, Invalid
from functions.api.resources.owners import labs_with
from functions.api.resources.people import plain_name
from shared import catalog
from shared.access import policy
from shared.alf import names
from shared.model.copies import OWN, own_repository
from shared.model.identity import uuid4_from
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


class RepositoryStore(Documents):
    """Data repositories, including the own store and one that ONE knows by a built-in name."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a repository.

        The ONE client asks for ``aws_cortexlab`` before each download, to find a public bucket. It
        caches the answer, and without a bucket it uses the web server.

        Raises
        ------
        ApiError
            404.
        """
        try:
            return super().get(resource, key, call)
        except ApiError:
            if key == OWN:
                return {"id": uuid4_from("", key), **own_repository()}
            if key != "aws_cortexlab":
                raise
        return {"id": uuid4_from("", key), "name": key, "json": None}


def _permit_repository(old: Body | None, body: Body | None, call: Call) -> None:
    """Allow a change only to managers of all labs that use the repository or have files on it.

    Nobody may change the own store: its places follow from the installation.
    """
    name = (body or old or {})["name"]
    if name == OWN:
        raise Invalid({"name": [f"{OWN!r} is this installation's own store; it stays as it is."]})
    if old is not None and body is not None and old != body:
        listing = catalog.table("lab").select([Where("repositories", "exact", name)])
        labs = listing.values("name") | labs_with(Where("repositories", "exact", name))
        permissions.require(policy.may_change_repository(call.who, labs, old, body))


def _address(value: str) -> None:
    """Refuse characters that cannot be part of an address: the value goes into a header."""
    if not re.fullmatch(r"[!-~]*", value):
        raise ValueError("An address has no spaces, control characters or other letters.")


def _data_url(value: str) -> None:
    _address(value)
    if value and not re.match(r"https?://[^/]|/(?!/)", value):
        raise ValueError("An address begins with https:// or http://, or / below the API's own.")


def _show_repository(shown: Body, row: Row, call: Call) -> Body:
    """Hide credentials from callers who see public data only."""
    described = dict(shown.get("json") or {})
    if call.who.is_public and not _open(described):
        described = {k: v for k, v in described.items() if "key" not in k.lower()}
    if (shown.get("data_url") or "").startswith("/"):
        shown["data_url"] = call.url(shown["data_url"])
    return {**shown, "json": described or None}


def _open(described: Mapping[str, Any]) -> bool:
    return "public" in str(described.get("bucket_name", "")).lower()


declare(
    Resource(
        path="data-repository-type",
        django=False,
        kind="data-repository-type",
        model="data.datarepositorytype",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=255, check=plain_name), "json": json()},
        example={"name": "Fileserver"},
    ),
    Resource(
        path="data-repository",
        django=False,
        kind="data-repository",
        store=RepositoryStore(),
        model="data.datarepository",
        key="name",
        look=names.look,
        access=Access(
            read="public",
            create="manager",
            change="manager",
            delete="administrator",
            rig="read",
            worker="read change",
        ),
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "timezone": text(maximum=64),
            "repository_type": ref("data-repository-type"),
            "globus_path": text(maximum=1000, check=_address),
            "globus_endpoint_id": text(null=True, maximum=36),
            "globus_is_personal": flag(default=None),
            "hostname": text(maximum=200, check=_address),
            "data_url": text(null=True, maximum=1000, check=_data_url),
            "json": json(indexed=False),  # may contain credentials
        },
        filters={
            "globus_is_personal": "globus_is_personal",
            "globus_endpoint_id": "globus_endpoint_id",
        },
        reverse={"lab": ("lab", "repositories", "name")},
        permit=_permit_repository,
        show=_show_repository,
        example={"name": "flatiron", "data_url": "https://ibl.flatironinstitute.org/"},
    ),
)
