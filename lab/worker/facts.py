"""Write the facts that a run found about its session into the session's fields."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import requests

from lab.client import Client, ClientError
from shared.model.quality import QC
from shared.model.task import Claim, RunFacts

log = logging.getLogger(__name__)

BY_TASK = "trials_by_task"
"""Key of a session's ``json`` for the numbers of each protocol, where there are several."""


def fill_facts(client: Client, claim: Claim, facts: RunFacts) -> None:
    """Fill the fields of a session; a failure is logged and does not fail the task.

    A session of several protocols has the sum of their trials; its ``json`` has the numbers of
    each. An end that somebody entered stays, and so does a worse quality.
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
    if collection != "alf" and facts.n_trials is not None:
        json = session.get("json") if isinstance(session.get("json"), dict) else {}
        by_task = {**(json or {}).get(BY_TASK, {}), collection: numbers}
        wanted = {
            name: sum(counts.get(name) or 0 for counts in by_task.values()) for name in numbers
        }
        wanted["json"] = {**(json or {}), BY_TASK: by_task}
    if facts.end_time and not session.get("end_time"):
        wanted["end_time"] = facts.end_time
    if facts.extended_qc:
        wanted |= _quality(session, facts.extended_qc)
    return {
        name: value
        for name, value in wanted.items()
        if value is not None and session.get(name) != value
    }


def _quality(session: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the quality of a session after one of its protocols was judged (again).

    The session's quality is the worst outcome. A quality that somebody has set, other than
    these outcomes, only gets worse.
    """
    before = session.get("extended_qc") or {}
    after = {**before, **new}
    now, said = str(session.get("qc") or "NOT_SET"), _worst(before)
    worst = _worst(after) if now == said else max(now, _worst(after), key=lambda qc: QC[qc])
    return {"extended_qc": after, "qc": worst}


def _worst(extended: Mapping[str, Any]) -> str:
    """Return the worst outcome; names that begin with ``_`` are single checks."""
    judged = (value for name, value in extended.items() if not name.startswith("_"))
    outcomes = [value for value in judged if isinstance(value, str) and value in QC]
    return max(outcomes, key=lambda qc: QC[qc], default="NOT_SET")
