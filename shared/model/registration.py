"""Request bodies of ``/register-file`` and ``/import``: their types and bounds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from shared.model.limits import IMPORT_ROWS, PATH_BYTES, REGISTER_FILES

Text = Annotated[str, msgspec.Meta(max_length=1000)]
Scalar = Text | int | float | bool | None

Listed = (
    Annotated[str, msgspec.Meta(max_length=REGISTER_FILES * PATH_BYTES)]
    | Annotated[list[Scalar], msgspec.Meta(max_length=REGISTER_FILES)]
    | int
    | float
    | bool
    | None
)
"""One value for all files, or one for each; text with commas, too (the ONE client's forms)."""


class RegisterRequest(msgspec.Struct, frozen=True):
    """Body of ``/register-file`` and ``/check-protected``; other fields are ignored.

    The Alyx REST contract names the fields. Clients may send numbers and flags as text.
    """

    path: Text | None = None
    filenames: Listed = None
    created_by: Text | None = None
    content_type: Text | None = None
    object_id: Scalar = None
    hashes: Listed = None
    filesizes: Listed = None
    versions: Listed = None
    qc: Listed = None
    labs: Listed = None
    projects: Listed = None
    name: Text | None = None
    repository: Text | None = None
    hostname: Text | None = None
    exists: Scalar = None
    server_only: Scalar = None
    default: Scalar = None
    check_protected: Scalar = None


class ImportRequest(msgspec.Struct, frozen=True):
    """Body of ``/import``; the declaration of the resource reads each row."""

    resource: Text
    rows: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=IMPORT_ROWS)]
