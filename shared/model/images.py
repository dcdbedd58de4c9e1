"""Images of the notebook: what is taken, the sizes that are made of them, where they lie."""

from __future__ import annotations

from collections.abc import Mapping

from shared.model.prefixes import INCOMING, NOTES

FORMATS: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
"""Content types that are taken, and what Pillow calls them."""

WIDTHS = (200, 800)
"""Pixels across of the pictures that are made of an image; both are JPEG."""

MAX_BYTES = 20_000_000
"""Size of an image; photographs of phones have some 5 MB."""

ARRIVING = "image-"
"""Beginning of the folder below ``incoming/`` that an image is put into."""


def arriving_key(image: str) -> str:
    """Where a client puts an image."""
    return f"{INCOMING}{ARRIVING}{image}/original"


def kept_key(image: str, size: str) -> str:
    """Where an image is kept: ``original``, or a picture of it by its width."""
    return f"{NOTES}images/{image}/{size}"
