"""The notebook: procedures and notes with images."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from functions.api import values
from functions.api.declarations import (
    KINDS,
    MODELS,
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    datetime,
    declare,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from shared.records import search, times

if TYPE_CHECKING:
    from functions.api.call import Call

MAX_IMAGE = 10_000_000
IMAGES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}


def _model(value: str) -> None:
    if value.lower() not in MODELS:
        raise ValueError(f'Invalid value: "{value}" is not a kind of record.')


def _prepare_note(body: Body, old: Body | None, call: Call) -> Body:
    """Find the record that the note is about; keep its image."""
    resource = MODELS[str(body["content_type"]).lower()]
    target = str(body["object_id"])
    key = values.key_of(resource.kind, target)
    if key is None:
        raise Invalid({"object_id": [f'Invalid pk "{target}" - object does not exist.']})
    body = {**body, "content_type": resource.model}
    row = search.table(resource.kind).get(key) or {}
    body["lab"] = values.lab_of(resource, row)
    body["session"] = target if resource.kind == "session" else row.get("session")
    if image := call.files.get("image"):
        body["image"] = _keep_image(image)
    return body


def _keep_image(image: Any) -> str:
    """Store an uploaded image; return its key below ``notes/``."""
    import os

    from shared.records import aws

    extension = image.name.rpartition(".")[2].lower()
    if extension not in IMAGES or len(image.content) > MAX_IMAGE or not image.content:
        raise Invalid({"image": [f"Upload an image ({', '.join(IMAGES)}) of at most 10 MB."]})
    stem = re.sub(r"[^\w.-]", "_", image.name.rpartition("/")[2].rpartition(".")[0])[:80]
    key = f"{times.now():%Y/%m/%d}/{stem or 'image'}_{uuid.uuid4().hex[:10]}.{extension}"
    aws.client("s3").put_object(
        Bucket=os.environ["FORNIX_DATA_BUCKET"],
        Key=f"notes/{key}",
        Body=image.content,
        ContentType=IMAGES[extension],
    )
    return key


def _place_note(body: Body) -> tuple[str, str] | None:
    """Return the place within the session it is about, so that one query reads both."""
    if KINDS["session"].model != body["content_type"]:
        return None
    return f"SES#{body['object_id']}", f"G#{body['id']}"


def _show_note(shown: Body, row: Row, call: Call) -> Body:
    image = row.get("image")
    return {
        "id": row["id"],
        **shown,
        "image": call.url(f"/uploaded/{image}") if image else None,
    }


declare(
    Resource(
        path="procedures",
        django=False,
        kind="procedure",
        model="actions.proceduretype",
        key="name",
        actions="list create",
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255),
            "json": json(),
            "description": text(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "Behavior training/tasks"},
    ),
    Resource(
        path="notes",
        kind="note",
        model="misc.note",
        access=Access(worker="read create change delete", rig="read create"),
        lab="lab",
        fields={
            "user": ref("user", default=lambda call: call.who.username),
            "date_time": datetime(default=lambda call: times.now().isoformat()),
            "content_type": text(required=True, check=_model),
            "object_id": text(required=True, maximum=64),
            "text": text(),
            "image": text(null=True, read_only=True, indexed=False),
            "lab": text(null=True, read_only=True, hidden=True),
            "json": json(),
        },
        prepare=_prepare_note,
        place=_place_note,
        show=_show_note,
        example={"content_type": "session", "object_id": "<session id>", "text": "Looks good"},
    ),
)
