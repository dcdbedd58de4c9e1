"""A snapshot that cannot be read."""

from __future__ import annotations


class Damaged(Exception):
    """A file of the snapshot cannot be read; the message names the file and the fault."""
