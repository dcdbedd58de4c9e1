"""Entry point: sessions finished, or it is time for the nightly build or the snapshot."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aws_lambda_powertools import Logger

logger = Logger(service="analysis")

MARGIN_MS = 60_000
"""Time kept back to write the lists before the function is stopped."""

COHORT_MS = 480_000
"""Time the analysis of a whole cohort may need; with less left it waits for the next night."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer SQS batches with partial failures, schedules with what was done."""
    if "Records" not in event:
        return act(event, context)
    failed: list[str] = []
    finished: dict[str, list[str]] = {}  # the messages of each session
    for record in event["Records"]:
        try:
            message = json.loads(record["body"])
            if message.get("kind") == "session.finished":
                finished.setdefault(str(message["session"]), []).append(record["messageId"])
            else:
                act(message, context)
        except Exception:
            logger.exception("a message could not be handled")
            failed.append(record["messageId"])
    failed += [message for eid in _finished(list(finished)) for message in finished[eid]]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _finished(eids: list[str]) -> list[str]:
    """Bring the pages of sessions up to date, together if that goes; return those that failed."""
    try:
        sessions_finished(eids)
    except Exception:
        logger.exception("sessions could not be published", extra={"sessions": eids})
        if len(eids) == 1:
            return eids
        # What is wrong with one must not keep the others.
        return [eid for eid in eids if _finished([eid])]
    return []


def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do what an event asks for.

    Raises
    ------
    ValueError
        On an event of an unknown kind.
    """
    kind = event.get("kind")
    if kind == "session.finished":
        return {"changed": sessions_finished([str(event["session"])])}
    if kind == "nightly":
        return {"changed": nightly(context)}
    if kind == "snapshot":
        return snapshot()
    raise ValueError(f"no analysis for events of kind {kind!r}")


def sessions_finished(eids: Iterable[str]) -> int:
    """Bring sessions' pages and what follows from them up to date, each mouse, lab and list once.

    Deleted sessions are no error.
    """
    from shared.records.errors import NotFound
    from shared.sessions import store as sessions

    by_subject: dict[str, set[str]] = {}
    for eid in eids:
        try:
            by_subject.setdefault(sessions.get(eid).subject, set()).add(eid)
        except NotFound:
            logger.info("session is gone; the nightly build removes its pages", extra={"eid": eid})
    if not by_subject:
        return 0
    changed = _site(by_subject).refresh(by_subject)
    finished = sorted(set().union(*by_subject.values()))
    logger.info("site is up to date", extra={"sessions": finished, "changed": changed})
    _count(changed)
    return changed


def nightly(context: Any) -> int:
    """Bring all pages up to date; what the time does not allow, the next run continues."""

    def in_time(names: Iterable[str]) -> Iterable[str]:
        for name in names:
            if context is not None and context.get_remaining_time_in_millis() < MARGIN_MS:
                logger.warning("out of time, the rest follows with the next run")
                return
            yield name

    site = _site()
    changed = site.refresh(pace=in_time)
    logger.info("site is up to date", extra={"changed": changed})
    _count(changed)
    if context is None or context.get_remaining_time_in_millis() > COHORT_MS:
        from functions.analysis import training_time

        done = training_time.update(site.source, site.store, site.settings, site.now())
        logger.info("training time", extra={"done": done})
    return changed


def _count(changed: int) -> None:
    """Count what a build changed, or that there was nothing to do."""
    from shared.records import metrics

    metrics.put({"SessionsPublished": changed} if changed else {"BuildsUnchanged": 1})


def snapshot() -> dict[str, Any]:
    """Write the search snapshot, and from it the ONE client's cache tables."""
    from shared import catalog
    from shared.catalog import cache_tables

    return {"snapshot": catalog.write_snapshot(), "cache": cache_tables.build()}


def _site(expected: Mapping[str, Collection[str]] = MappingProxyType({})) -> Any:
    from functions.analysis.bucket import Bucket
    from functions.analysis.records import Records
    from shared.results.build import Site
    from shared.results.render import SiteSettings

    # A function's home can not be written to; without a place matplotlib would warn each time.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "matplotlib"))
    return Site(
        Records(os.environ["FORNIX_DATA_BUCKET"], expected),
        Bucket(os.environ["FORNIX_SITE_BUCKET"]),
        SiteSettings(api_url=os.environ.get("FORNIX_API_URL", "")),
    )
