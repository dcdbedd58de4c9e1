"""The notebook: procedures and notes with images."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from functions.api.engine import meanings, read_values
from functions.api.engine.declarations import (
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
    refs,
    text,
)
from functions.api.engine.relations import labs_of
from functions.api.errors import Invalid
from functions.api.resources.of_subject import default_user, now
from shared import catalog
from shared.datasets.read import owners_of
from shared.model import moment
from shared.model.prefixes import NOTES
from shared.records import keys

if TYPE_CHECKING:
    from functions.api.call import Call

MAX_IMAGE = 10_000_000
MOST_IMAGES = 12
"""Images of a note."""
WIDTH = 800
"""Pixels across of a note's image unless another ``width`` is given (Alyx REST contract)."""
MAX_WIDTH = 10_000
MAX_PIXELS = 50_000_000
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
    if old and old["object_id"] == target and old["content_type"] == resource.model:
        key: str | None = old["about"]
    else:
        key = meanings.key_of(resource.kind, target, call, hint=call.lab_meant, is_write=True)
    if key is None:
        # ibllib searches for these words.
        message = f"{resource.name} matching query does not exist: {target}."
        raise Invalid({"object_id": [message]})
    body = {**body, "content_type": resource.model, "about": key}
    if resource.title and not read_values.is_uuid(target):
        row = catalog.table(resource.kind).get(key) or {}
        body["object_id"] = meanings.name_in_address(resource, row, call)
    body["lab"] = next(iter(labs_of(resource.kind, [key])), None)
    body["session"] = target if resource.kind == "session" else _session_of(resource, key)
    if len(body.get("images") or ()) > MOST_IMAGES:
        raise Invalid({"images": [f"A note has at most {MOST_IMAGES} images."]})
    if image := call.files.get("image"):
        body["image"] = _keep_image(image, call.body.get("width"))
    return body


def _session_of(resource: Resource, key: str) -> str | None:
    """Return the session of a record; a note about the record belongs to it."""
    if resource.kind == "dataset":
        return next((owner for owner in owners_of([key]) if "#" not in owner), None)
    return (catalog.table(resource.kind).get(key) or {}).get("session")


def scaled(content: bytes, width: int) -> bytes:
    """Return an image at a width in pixels, its proportions kept.

    Raises
    ------
    ValueError
        It is not a readable image, or too large.
    """
    import io
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for pictures that would fill the memory
            with Image.open(io.BytesIO(content)) as picture:
                height = max(1, round(picture.height * width / picture.width))
                if width * height > MAX_PIXELS:
                    raise ValueError(f"At {width} pixels across it would be {height} high.")
                buffer = io.BytesIO()
                picture.resize((width, height)).save(buffer, format=picture.format)
    except Exception as error:  # Pillow raises many kinds of error for damaged images
        raise ValueError(str(error)) from None
    return buffer.getvalue()


def _at_width(content: bytes, extension: str, width: Any) -> bytes:
    """Return an uploaded image for storage: at `WIDTH`, at a given width, or unchanged."""
    if str(width) == "orig" or extension in ("svg", "gif"):  # vector graphics or animations
        return content
    try:
        pixels = int(width or WIDTH)
    except ValueError:
        pixels = 0
    if not 1 <= pixels <= MAX_WIDTH:
        raise Invalid({"width": [f'Give 1 to {MAX_WIDTH} pixels, or "orig".']})
    try:
        return scaled(content, pixels)
    except ValueError:
        message = "The file you uploaded was either not an image or a corrupted image."
        raise Invalid({"image": [f"Upload a valid image. {message}"]}) from None


def _keep_image(image: Any, width: Any) -> str:
    """Store an uploaded image; return its key below ``notes/``."""
    from shared.records import aws, env

    extension = image.name.rpartition(".")[2].lower()
    if extension not in IMAGES or len(image.content) > MAX_IMAGE or not image.content:
        raise Invalid({"image": [f"Upload an image ({', '.join(IMAGES)}) of at most 10 MB."]})
    content = _at_width(image.content, extension, width)
    stem = re.sub(r"[^\w.-]", "_", image.name.rpartition("/")[2].rpartition(".")[0])[:80]
    key = f"{moment.now():%Y/%m/%d}/{stem or 'image'}_{uuid.uuid4().hex[:10]}.{extension}"
    aws.client("s3").put_object(
        Bucket=env.data_bucket(),
        Key=f"{NOTES}{key}",
        Body=content,
        ContentType=IMAGES[extension],
    )
    return key


def _place_note(body: Body) -> tuple[str, str] | None:
    """Return a place within the note's session, so that one query reads both."""
    if KINDS["session"].model != body["content_type"]:
        return None
    return keys.session(body["object_id"]), f"G#{body['id']}"


def _owners_of_note(body: Body) -> list[tuple[str, str]]:
    """Return the record that the note is about, if it is looked up by name."""
    kind = MODELS[str(body["content_type"])].kind
    return [] if kind in ("dataset", "file", "task") else [(kind, str(body["about"]))]


def _show_note(shown: Body, row: Row, call: Call) -> Body:
    """Add the address of a note's image: the one sent with it, else the first that it names."""
    image, images = row.get("image"), row.get("images") or ()
    where = f"/uploaded/{image}" if image else f"/images/{images[0]}" if images else None
    return {"id": row["id"], **shown, "image": call.url(where) if where else None}


declare(
    Resource(
        path="procedures",
        django=False,
        kind="procedure",
        model="actions.proceduretype",
        key="name",
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
            "user": ref("user", default=default_user),
            "date_time": datetime(default=now),
            "content_type": text(required=True, check=_model),
            "object_id": text(required=True, maximum=64),
            "text": text(),
            "image": text(null=True, read_only=True, indexed=False),
            "images": refs("image", by="id", indexed=False),
            "lab": text(null=True, read_only=True, hidden=True),
            "json": json(),
        },
        prepare=_prepare_note,
        place=_place_note,
        owners=_owners_of_note,
        show=_show_note,
        example={"content_type": "session", "object_id": "<session id>", "text": "Looks good"},
    ),
)
