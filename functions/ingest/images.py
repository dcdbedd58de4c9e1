"""Arrived images of the notebook: inspect and store them, make smaller pictures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

from shared.model.images import FORMATS, MAX_BYTES, WIDTHS, arriving_key, kept_key
from shared.records import aws, documents, env, objects
from shared.records.errors import NotFound

WHO = "ingest"

QUALITY = 85
"""Quality of the JPEG pictures (Pillow advises against more than 95)."""


def keep(image: str) -> str:
    """Store an image that has arrived; return its state.

    It may be called again: a stored image stays. Unannounced or invalid images are deleted.
    """
    stored = objects.head(arriving_key(image))
    try:
        body = documents.get("image", image).body
    except NotFound:
        objects.delete([arriving_key(image)])
        return "unknown"
    if stored is None or body["state"] != "waiting":
        return str(body["state"])
    try:
        if stored.size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        content = objects.read(arriving_key(image))
        pictures, width, height = made_of(content, body["content_type"])
    except ValueError as error:
        return _end(image, {"state": "refused", "reason": str(error)[:255]})
    _write(kept_key(image, "original"), content, body["content_type"])
    for across, picture in pictures.items():
        _write(kept_key(image, str(across)), picture, "image/jpeg")
    return _end(image, {"state": "ready", "width": width, "height": height})


def made_of(content: bytes, content_type: str) -> tuple[dict[int, bytes], int, int]:
    """Return the pictures of an image by their width, and its size as viewed.

    They have no metadata, such as the place or the camera of a photograph.

    Raises
    ------
    ValueError
        It is not an image of its type, or would fill the memory.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for images that would fill the memory
            with Image.open(io.BytesIO(content), formats=[FORMATS[content_type]]) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGB")
                pictures = {across: _picture(upright, across) for across in WIDTHS}
    except Exception as error:  # Pillow raises many kinds of error for damaged images
        raise ValueError(f"it cannot be read as {content_type}: {error}") from None
    return pictures, upright.width, upright.height


def _picture(image: Any, across: int) -> bytes:
    """Return an image as JPEG, at most so many pixels across."""
    small = image.copy()
    small.thumbnail((across, 10 * across))
    into = io.BytesIO()
    small.save(into, format="JPEG", quality=QUALITY)
    return into.getvalue()


def _write(key: str, content: bytes, content_type: str) -> None:
    aws.client("s3").put_object(
        Bucket=env.data_bucket(), Key=key, Body=content, ContentType=content_type
    )


def _end(image: str, change: Mapping[str, Any]) -> str:
    documents.update("image", image, lambda body: {**body, **change}, who=WHO)
    objects.delete([arriving_key(image)])
    return str(change["state"])
