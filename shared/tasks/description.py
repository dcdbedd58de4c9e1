"""The experiment description 1.0.0: what hardware and protocols a session has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

DESCRIPTION_NAME = "_ibl_experiment.description.yaml"
"""Where a session says what hardware recorded it."""

DESCRIPTION_FIELD = "experiment_description"
"""Where ingest keeps the parsed description in the session's JSON."""

_PROTOCOL_COLLECTION = re.compile(r"raw_task_data_(\d{2})")


class BadDescription(ValueError):
    """An experiment description that cannot be read."""


def task_collections(paths: Iterable[str], description: Mapping[str, Any] | None) -> list[str]:
    """Return the raw collections of the task protocols that a session ran, in protocol order.

    The experiment description says so where there is one; otherwise the folders do:
    ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN).

    Raises
    ------
    BadDescription
        The description's ``tasks`` are not a list of {protocol: {collection: …}}.
    """
    if description and description.get("tasks"):
        try:
            return [
                str(devices["collection"])
                for protocol in description["tasks"]
                for devices in protocol.values()
                if devices.get("collection")
            ]
        except (AttributeError, TypeError):
            raise BadDescription(
                f"{DESCRIPTION_NAME}: tasks must be a list of {{protocol: {{collection: …}}}}"
            ) from None
    found = {path.partition("/")[0] for path in paths if "/" in path}
    return sorted(
        name for name in found if name == "raw_behavior_data" or _PROTOCOL_COLLECTION.match(name)
    )


def output_collection(collection: str) -> str:
    """Return where a protocol's results belong: ``alf``, or ``alf/task_NN`` for protocol NN."""
    numbered = _PROTOCOL_COLLECTION.fullmatch(collection)
    return f"alf/task_{numbered[1]}" if numbered else "alf"
