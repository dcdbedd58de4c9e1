"""Secrets of the old server, which are removed before a dump is stored on the shelf."""

from __future__ import annotations

import re
from typing import Any

from lab.importers.dump.models import LEFT, SECRET, SECRETS
from lab.importers.dump.reading import DumpRow

SECRET_NAME = re.compile(r"secret|passw|token|credential|access.?key|private.?key", re.IGNORECASE)
"""Keys of the ``json`` of a data repository that hold secrets (``alyx.md``: static AWS keys)."""


def stripped(row: DumpRow) -> dict[str, Any]:
    """Return the fields of a row that are stored."""
    if LEFT.get(row.model) == SECRET:
        return {}
    fields = {name: value for name, value in row.fields.items() if name not in SECRETS}
    if row.model == "data.datarepository":
        fields["json"] = _without_secrets(fields.get("json"))
    return fields


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        harmless = {k: v for k, v in value.items() if not SECRET_NAME.search(str(k))}
        return {k: _without_secrets(v) for k, v in harmless.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
