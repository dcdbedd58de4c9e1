"""Bodies of ``/register-file`` and ``/import``: types and bounds of what they may say."""

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
"""One value for all files, or one for each; also as text with commas (the ONE client's forms)."""


class RegisterRequest(msgspec.Struct, frozen=True):
    """What ``/register-file`` and ``/check-protected`` are asked; other fields are ignored.

    The Alyx REST contract names them: clients send numbers and flags also as text.
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
    """What ``/import`` is asked; each row is read by the declaration of its resource."""

    resource: Text
    rows: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=IMPORT_ROWS)]
