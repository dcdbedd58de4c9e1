"""What a run found out about its session is written into the session's fields."""

from __future__ import annotations

import logging
from typing import Any

import requests

from lab.client import Client, ClientError
from shared.model.task import Claim, RunFacts

log = logging.getLogger(__name__)

BY_TASK = "trials_by_task"
"""Key of a session's ``json`` for the numbers of each protocol, where there are several."""


def fill_facts(client: Client, claim: Claim, facts: RunFacts) -> None:
    """Fill the fields of a session; that it fails is told, and no reason to fail the task.

    A session of several protocols has the sum of their trials; the numbers of each are kept in
    its ``json``. An end that somebody has given stays.
    """
    address = f"/sessions/{claim.session.id}"
    try:
        session = client.get(address)
        change = _change(session, str(claim.task.arguments.get("output_collection", "alf")), facts)
        if change:
            client.patch(address, change)
    except (ClientError, requests.RequestException) as error:
        log.warning("the facts of %s were not written: %s", claim.session.folder, error)


def _change(session: dict[str, Any], collection: str, facts: RunFacts) -> dict[str, Any]:
    """Return the fields that change."""
    numbers = {"n_trials": facts.n_trials, "n_correct_trials": facts.n_correct_trials}
    wanted: dict[str, Any] = dict(numbers)
    if collection != "alf":
        about = session.get("json") if isinstance(session.get("json"), dict) else {}
        by_task = {**(about or {}).get(BY_TASK, {}), collection: numbers}
        wanted = {name: sum(one.get(name) or 0 for one in by_task.values()) for name in numbers}
        wanted["json"] = {**(about or {}), BY_TASK: by_task}
    if facts.end_time and not session.get("end_time"):
        wanted["end_time"] = facts.end_time
    return {
        name: value
        for name, value in wanted.items()
        if value is not None and session.get(name) != value
    }
