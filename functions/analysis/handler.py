"""Entry point: a session finished, or it is time for the nightly build or the snapshot."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

logger = Logger(service="analysis")

MARGIN_MS = 60_000
"""Time kept back to write the lists before the function is stopped."""

COHORT_MS = 480_000
"""Time the analysis of a whole cohort may need; with less left it waits for the next night."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer SQS batches with partial failures, schedules with what was done."""
    if "Records" in event:
        answer = process_partial_response(
            event=event,
            record_handler=message,
            processor=BatchProcessor(
                EventType.SQS,
                raise_on_entire_batch_failure=False,
                logger=logger,  # type: ignore[arg-type]  # it has logging.Logger's methods
            ),
            context=context,
        )
        return dict(answer)
    return act(event, context)


def message(record: SQSRecord, lambda_context: Any = None) -> None:
    """Act on one queue message."""
    act(json.loads(record.body), lambda_context)


def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do what an event asks for.

    Raises
    ------
    ValueError
        On an event of an unknown kind.
    """
    kind = event.get("kind")
    if kind == "session.finished":
        return {"changed": session_finished(str(event["session"]))}
    if kind == "nightly":
        return {"changed": nightly(context)}
    if kind == "snapshot":
        return snapshot()
    raise ValueError(f"no analysis for events of kind {kind!r}")


def session_finished(eid: str) -> int:
    """Bring a session's page and what follows from it up to date; a deleted one is no error."""
    from shared.records import sessions
    from shared.records.errors import NotFound

    try:
        subject = sessions.get(eid).subject
    except NotFound:
        logger.info("session is gone; the nightly build removes its pages", extra={"eid": eid})
        return 0
    changed = _site([eid]).refresh([subject])
    logger.info("site is up to date", extra={"eid": eid, "changed": changed})
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

        done = training_time.update(site.source, site.store, site.settings, site.today())
        logger.info("training time", extra={"done": done})
    return changed


def _count(changed: int) -> None:
    """Count what a build changed, or that there was nothing to do."""
    from shared.records import metrics

    metrics.put({"SessionsPublished": changed} if changed else {"BuildsUnchanged": 1})


def snapshot() -> dict[str, Any]:
    """Write the search snapshot, and from it the ONE client's cache tables."""
    from shared.records import cache_tables, search

    return {"snapshot": search.write_snapshot(), "cache": cache_tables.build()}


def _site(expected: Iterable[str] = ()) -> Any:
    from functions.analysis.bucket import Bucket
    from functions.analysis.records import Records
    from shared.results.build import Site
    from shared.results.html import Settings

    # A function's home can not be written to; without a place matplotlib would warn each time.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "matplotlib"))
    return Site(
        Records(os.environ["FORNIX_DATA_BUCKET"], expected),
        Bucket(os.environ["FORNIX_SITE_BUCKET"]),
        Settings(api_url=os.environ.get("FORNIX_API_URL", "")),
    )
