"""Images of the notebook: accepted formats, sizes of the previews, keys in the bucket."""

from __future__ import annotations

from collections.abc import Mapping

from shared.model.prefixes import INCOMING, NOTES

FORMATS: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
"""Accepted content types, and Pillow's names of them."""

WIDTHS = (200, 800)
"""Widths in pixels of an image's previews; both are JPEG."""

MAX_BYTES = 20_000_000
"""Largest image, bytes; photographs of phones have about 5 MB."""

ARRIVING = "image-"
"""Prefix of the folder below ``incoming/`` that an image is uploaded to."""


def arriving_key(image: str) -> str:
    """Return the key to which a client uploads an image."""
    return f"{INCOMING}{ARRIVING}{image}/original"


def kept_key(image: str, size: str) -> str:
    """Return the key of a stored image; ``size`` is ``original`` or a preview's width."""
    return f"{NOTES}images/{image}/{size}"
