"""Entry point: sessions finished, or it is time for the nightly build or the snapshot."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions.analysis.pauses import KeptPauses, Pauses
from shared.model.messages import TablesChanged
from shared.records import queues
from shared.results.addresses import RELEASES

if TYPE_CHECKING:
    from functions.analysis.night import Pace
    from shared.results.build import BuildReport, Site

logger = Logger(service="analysis")
_pauses = Pauses(KeptPauses())

MOST_DELAY = 900
"""Longest delay of a message, in seconds (SQS)."""

MARGIN_MS = 60_000
"""Time kept back to write the lists before the function is stopped."""

REST = "/rest"
"""Path of the site's address below which the API is."""

MOST_TOLD = 200
"""Problems in the answer of a nightly build; all of them are in the log."""

COHORT_MS = 480_000
"""Time the analysis of a whole cohort may need; with less left it waits for the next night."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer SQS batches with partial failures, schedules with what was done."""
    if "Records" not in event:
        return act(event, context)
    failed: list[str] = []
    finished: dict[str, list[str]] = {}  # the messages of each session
    done: list[dict[str, Any]] = []  # a release's files may come one after the other
    for record in event["Records"]:
        try:
            message = json.loads(record["body"])
            if message in done:
                continue
            if message.get("kind") == "session.finished":
                finished.setdefault(str(message["session"]), []).append(record["messageId"])
            else:
                act(message, context)
                done.append(message)
        except Exception:
            logger.exception("a message could not be handled")
            failed.append(record["messageId"])
    failed += [message for eid in _finished(list(finished)) for message in finished[eid]]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _finished(eids: list[str]) -> list[str]:
    """Update the pages of sessions; return the sessions with errors."""
    try:
        return sessions_finished(eids)[1]
    except Exception:
        logger.exception("sessions could not be published", extra={"sessions": eids})
        return eids


def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the action of an event.

    Raises
    ------
    ValueError
        On an event of an unknown kind.
    """
    kind = event.get("kind")
    if kind == "session.finished":
        changed, failed = sessions_finished([str(event["session"])])
        if failed:
            raise RuntimeError(f"the pages of {event['session']} could not be brought up to date")
        return {"changed": changed}
    if kind == "nightly":
        return nightly(context)
    if kind == "snapshot":
        return snapshot()
    if kind == "tables":
        return tables()
    if kind == "release.changed":
        return releases_changed([str(event["name"])])
    raise ValueError(f"no analysis for events of kind {kind!r}")


def sessions_finished(eids: Iterable[str]) -> tuple[int, list[str]]:
    """Update sessions' pages and their mice's, labs' and lists' pages, each once.

    Deleted sessions are no error.

    Returns
    -------
    changed : int
        Sessions whose pages were written or removed.
    failed : list of str
        Sessions whose pages could not be updated.
    """
    from shared.records.errors import NotFound
    from shared.sessions import store as sessions

    by_subject: dict[str, set[str]] = {}
    by_lab: dict[str, set[str]] = {}
    for eid in eids:
        try:
            session = sessions.get(eid)
            by_subject.setdefault(session.subject, set()).add(eid)
            by_lab.setdefault(session.lab, set()).add(session.subject)
        except NotFound:
            logger.info("session is gone; the nightly build removes its pages", extra={"eid": eid})
    if not by_subject:
        return 0, []
    site = _site(by_subject)
    report = site.refresh(by_subject)
    finished = sorted(set().union(*by_subject.values()))
    _tell(report, sessions=finished)
    _sql_withdraw(site, finished)
    if not site.store.etag(RELEASES):  # the frame of all pages leads there
        releases_changed()
    failed = set(report.failed)
    for lab, subjects in by_lab.items():
        own = _lab_site(site, lab).refresh(subjects)
        logger.info("lab pages are up to date", extra={"lab": lab, "changed": own.changed})
        failed |= set(own.failed)
    return report.changed, [eid for subject in sorted(failed) for eid in by_subject[subject]]


def nightly(context: Any) -> dict[str, Any]:
    """Bring all pages and tables up to date; the next run continues where the time ran out.

    Returns
    -------
    dict
        `changed` pages, and `problems`: which part of which session could not be shown, and why.
    """
    from functions.analysis.night import Night

    def left() -> float:
        return context.get_remaining_time_in_millis() if context is not None else float("inf")

    site = _site()
    parts: dict[str, Callable[[Pace], BuildReport | None]] = {
        "site": partial(_nightly_of_site, site),
        **{
            f"lab {lab.name}": partial(_nightly_of_lab, site, lab.name)
            for lab in site.source.labs()
        },
        "sql": partial(_sql_refresh, site),
        "aggregates": partial(_aggregate, site),
    }
    night = Night(list(parts), left, MARGIN_MS)
    reports = [(part, parts[part](pace)) for part, pace in night.turns()]
    night.end()
    if left() > COHORT_MS:
        _predict(site)
    made = [(part, report) for part, report in reports if report is not None]
    told = [f"{each.where}: {each.reason}" for _, report in made for each in report.problems]
    changed = sum(report.changed for part, report in made if part == "site")
    return {"changed": changed, "problems": list(dict.fromkeys(told))[:MOST_TOLD]}


def _nightly_of_site(site: Site, pace: Pace) -> BuildReport:
    """Bring the results site and the pages of releases up to date."""
    report = site.refresh(pace=pace)
    _tell(report)
    logger.info("releases are up to date", extra=releases_changed())
    return report


def _predict(site: Site) -> None:
    """Analyse the training time; bad data of one mouse must not stop the build of the site."""
    from functions.analysis import training_time

    try:
        done = training_time.update(site.source, site.store, site.settings, site.now())  # type: ignore[arg-type]
    except Exception:
        logger.exception("training time could not be analysed")
    else:
        logger.info("training time", extra={"done": done})


def _aggregate(site: Site, pace: Pace) -> None:
    """Make the tables of mice whose trials have changed."""
    from datetime import UTC, datetime

    from functions.analysis import aggregates
    from functions.analysis.records import Records

    assert isinstance(site.source, Records)  # noqa: S101 - as `_site` makes it
    names = pace(sorted(site.source.subjects()))
    made = aggregates.update(site.source, names, datetime.now(UTC).date())
    logger.info("aggregates", extra={"mice": made})


def _sql_withdraw(site: Site, eids: list[str]) -> None:
    """Remove sessions that are no longer public from the tables for SQL."""
    from functions.analysis import sql

    sql.withdraw(site.source, site.store, eids, site.now())  # type: ignore[arg-type]


def _sql_refresh(site: Site, pace: Pace) -> None:
    """Bring the tables for SQL in step; an error in them does not stop the build of the site."""
    from functions.analysis import sql
    from functions.analysis.records import Records

    records = site.source
    assert isinstance(records, Records)  # noqa: S101 - as `_site` makes it
    try:
        changed = sql.refresh(records, site.store, pace(sorted(records.subjects())), site.now())
        sql.forget(records, site.store)
    except Exception:
        logger.exception("the tables for SQL could not be brought in step")
    else:
        logger.info("tables for SQL", extra={"changed": changed})


def _nightly_of_lab(site: Site, lab: str, pace: Pace) -> BuildReport | None:
    """Bring a lab's own pages up to date; an error in them must not stop the others."""
    try:
        report = _lab_site(site, lab).refresh(pace=pace)
    except Exception:
        logger.exception("the lab's pages could not be brought up to date", extra={"lab": lab})
        return None
    logger.info("lab pages are up to date", extra={"lab": lab, "changed": report.changed})
    return report


def _tell(report: BuildReport, **about: Any) -> None:
    """Log the result and the problems of a build, and count the changed pages."""
    from shared.records import metrics

    logger.info("site is up to date", extra={"changed": report.changed, **about})
    for problem in report.problems:
        logger.warning("not shown", extra={"where": problem.where, "reason": problem.reason})
    counted = {"SessionsPublished": report.changed} if report.changed else {"BuildsUnchanged": 1}
    metrics.put(counted)


def releases_changed(names: Iterable[str] | None = None) -> dict[str, Any]:
    """Bring the pages of releases up to date; by default of all, and of ended embargoes."""
    from functions.analysis import releases

    site = _site()
    return releases.refresh(site.store, site.settings, names)


def snapshot() -> dict[str, Any]:
    """Write the search snapshot, and from it the ONE client's cache tables."""
    with _pauses.build():
        return _snapshot()


def _snapshot() -> dict[str, Any]:
    cache_tables = _cache_tables()
    from shared import catalog

    return {"snapshot": catalog.write_snapshot(), "cache": cache_tables.build(whole=True)}


def tables() -> dict[str, Any]:
    """Bring the cache tables up to date; after many changes (an import) the snapshot too.

    While records keep coming in, as during an import, a build is followed by one of `Pauses`.
    """
    if wait := _pauses.put_off(MOST_DELAY):
        if wait.ask_after:
            queues.notify("analysis", TablesChanged(), wait.ask_after)
        return {"later": wait.left}
    with _pauses.build():
        return _tables()


def _tables() -> dict[str, Any]:
    cache_tables = _cache_tables()
    done: dict[str, Any] = {"cache": cache_tables.build()}
    if cache_tables.is_snapshot_due():
        from shared import catalog

        done["snapshot"] = catalog.write_snapshot()
    return done


def _cache_tables() -> Any:
    """Return the builder of the cache tables; importing it declares all kinds in the index."""
    import functions.analysis.records  # noqa: F401 - it imports them
    from shared.catalog import cache_tables

    return cache_tables


def _site(expected: Mapping[str, Collection[str]] = MappingProxyType({})) -> Any:
    from functions.analysis.bucket import Bucket
    from functions.analysis.records import Records
    from shared.records import env
    from shared.results.build import Site
    from shared.results.render import SiteSettings

    # A function cannot write to its home folder; matplotlib would then warn each time.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "matplotlib"))
    return Site(
        Records(env.data_bucket(), expected),
        Bucket(env.site_bucket()),
        SiteSettings(**_about_site(), releases=True),
    )


def _lab_site(site: Site, lab: str) -> Site:
    """Return the site of a lab's own pages, in the data bucket, from the same records."""
    from functions.analysis.bucket import Bucket
    from functions.analysis.records import Records
    from shared.records import env
    from shared.results import addresses
    from shared.results.build import Site
    from shared.results.lab_pages import LabSource, lab_settings

    records = site.source
    assert isinstance(records, Records)  # noqa: S101 - as `_site` makes it
    return Site(
        LabSource(records, lab, lambda: records.hidden(lab), site.now),
        Bucket(env.data_bucket(), addresses.lab_pages(lab)),
        lab_settings(site.settings, lab),
    )


def _about_site() -> dict[str, Any]:
    """Return the deployment's settings of the site: addresses, licence, how to cite it.

    The API is below the site's own address, too; pages call it there.
    """
    from shared.records import env

    facts = env.about_site()
    if site := facts.get("site_url", "").rstrip("/"):
        facts = {"api_url": site + REST, **facts, "asks": REST}
    return {**facts, "recordings": env.shows_recordings()}
