"""The experiment description 1.0.0: what hardware and protocols a session has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.alf.layout import raw_collections_in

DESCRIPTION_NAME = "_ibl_experiment.description.yaml"
"""Where a session says what hardware recorded it."""

DESCRIPTION_FIELD = "experiment_description"
"""Where ingest keeps the parsed description in the session's JSON."""


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
    return raw_collections_in(paths)
