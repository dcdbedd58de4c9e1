"""Descriptions of data: types, formats, revisions, tags, notices; and records of downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from functions.api import permissions
from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    choice,
    date,
    datetime,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.errors import ApiError
from functions.api.resources.of_subject import now
from functions.api.resources.owners import labs_with
from functions.api.resources.people import plain_name, zone_name
from shared.access import policy
from shared.alf import names
from shared.datasets.named import is_built_in
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


IMPORTANCE = {"CRITICAL": 50, "HIGH": 40, "MEDIUM": 30, "LOW": 20}


SHOWING = ("public", "embargo_until", "embargo_zone")
"""Fields of a tag that decide who sees its datasets."""


def _zone_or_none(value: str) -> None:
    """Refuse an invalid time zone; a tag without an embargo has none."""
    if value:
        zone_name(value)


def _extension(value: str) -> None:
    if value and not value.startswith("."):
        raise ValueError("A file extension begins with a dot.")


revision_name = partial(names.check, "revision")


def _prepare_type(body: Body, old: Body | None, call: Call) -> Body:
    return {**body, "filename_pattern": (body.get("filename_pattern") or "").lower()}


def _permit_tag(old: Body | None, body: Body | None, call: Call) -> None:
    """Allow publishing only to managers of all labs concerned; check who may remove protection."""
    was, now = old or {}, body or {}
    changes = any((now.get(field) or None) != (was.get(field) or None) for field in SHOWING)
    name = now.get("name") or was["name"]
    if changes and (labs := labs_with(Where("tags", "exact", name))):
        permissions.require(policy.may_manage(call.who, labs, "The tag"))
    if was.get("protected") and not now.get("protected"):
        permissions.require(policy.may_unprotect(call.who))


def _permit_download(old: Body | None, body: Body | None, call: Call) -> None:
    """Allow a change of a download only to its user."""
    permissions.require(policy.may_change_own(call.who, (old or body or {})["user"], "download"))


def _keep_built_in(kind: str) -> Callable[[Body, Call], None]:
    """Return the function that refuses to delete built-in records of a kind."""

    def keep(body: Body, call: Call) -> None:
        if is_built_in(kind, str(body["name"])):
            raise ApiError(409, f"Every installation has the {kind} {body['name']}; it stays.")

    return keep


def _show_notice(shown: Body, row: Row, call: Call) -> Body:
    from html import escape

    paragraphs = [part.strip() for part in (row.get("description") or "").split("\n\n")]
    html = "".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)
    return {"id": row["id"], **shown, "description_html": html}


declare(
    Resource(
        path="dataset-types",
        django=False,
        kind="dataset-type",
        model="data.datasettype",
        key="name",
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "created_by": ref("user"),
            "description": text(maximum=1023),
            "filename_pattern": text(maximum=255),
        },
        unique=(("filename_pattern",),),
        prepare=_prepare_type,
        allow_delete=_keep_built_in("dataset-type"),
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "spikes.times", "filename_pattern": "*spikes.times*.npy"},
    ),
    Resource(
        path="data-formats",
        django=False,
        kind="data-format",
        model="data.dataformat",
        key="name",
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "description": text(maximum=255),
            "file_extension": text(maximum=255, check=_extension),
            "matlab_loader_function": text(maximum=255),
            "python_loader_function": text(maximum=255),
            "json": json(),
        },
        allow_delete=_keep_built_in("data-format"),
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "npy", "file_extension": ".npy"},
    ),
    Resource(
        path="revisions",
        django=False,
        kind="revision",
        model="data.revision",
        key="name",
        look=names.look,
        access=Access(read="public", worker="read create", rig="read create", change="manager"),
        fields={
            "name": text(required=True, maximum=255, check=revision_name),
            "description": text(maximum=1023),
            "created_datetime": datetime(default=now),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "2024-07-01"},
    ),
    Resource(
        path="tags",
        django=False,
        kind="tag",
        model="data.tag",
        key="name",
        look=names.look,
        access=Access(read="public", change="manager", delete="administrator"),
        reverse={"datasets": ("dataset", "tags", "name")},
        permit=_permit_tag,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "description": text(maximum=1023),
            "protected": flag(),
            "public": flag(),
            "embargo_until": date(param=False, latest="9999-12-31"),
            "embargo_zone": text(maximum=64, check=_zone_or_none),
            "hash": text(null=True, maximum=64),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "2024_Q3_Fimbria_et_al", "protected": True},
    ),
    Resource(
        path="data-notices",
        kind="data-notice",
        model="data.datanotice",
        access=Access(read="public"),
        fields={
            "name": text(required=True, maximum=255),
            "importance": choice(IMPORTANCE, default=20, null=False),
            "description": text(),
            "datasets": refs("dataset", by="id", on_delete="keep"),
            "version_affected": text(null=True, maximum=64),
            "start_datetime": datetime(),
            "end_datetime": datetime(),
            "json": json(),
        },
        filters={"dataset_tag": "datasets__tags"},
        show=_show_notice,
        example={"name": "Camera times shifted", "importance": "HIGH"},
    ),
    Resource(
        path="downloads",
        kind="download",
        model="data.download",
        actions="list read update partial_update",
        permit=_permit_download,
        fields={
            "user": ref("user", read_only=True, on_delete="cascade"),
            "dataset": ref("dataset", by="id", read_only=True, on_delete="keep"),
            "count": integer(read_only=True),
            "first_download": datetime(read_only=True),
            "last_download": datetime(read_only=True),
            "projects": refs("project"),
            "json": json(),
        },
        filters={"dataset_type": "dataset__dataset_type__icontains"},
        show=lambda shown, row, call: {"id": row["id"], **shown},
    ),
)
