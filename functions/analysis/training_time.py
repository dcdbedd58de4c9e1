"""The training-time analysis of the cloud's own mice, and predictions for those in training.

The page shows only mice whose sessions are all public. Predictions are for the members of the
labs: they go to the data bucket, where only the API reads them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from functions.analysis.records import Records
from shared import catalog
from shared.alf.layout import wheel_in
from shared.model.prefixes import PREDICTIONS
from shared.records import aws
from shared.records.where import Where
from shared.results import tables, training_time
from shared.results.addresses import subject_data, subject_trials
from shared.results.build.state import code_version, index_of
from shared.results.reading import gaps
from shared.results.render import SiteSettings
from shared.results.source import SiteSession, Unreadable, fingerprint, is_visible
from shared.results.store import SiteStore, encode
from shared.results.views.session import columns_of
from shared.science.cohort.analysis import analyse
from shared.science.cohort.features import CohortSession, CohortSubject, from_sessions
from shared.science.cohort.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MADE_FROM = "_state/training-time-made-from"
FEWEST = 20
"""Fewest trained mice for an analysis: ten folds of four quartiles."""

WHEEL_SESSIONS = 10
"""First sessions whose wheel is read: the features are about the first five days."""

REPEATS = 10


def update(records: Records, store: SiteStore, settings: SiteSettings, at: datetime) -> str:
    """Analyse the mice again if any of their published sessions changed.

    Returns
    -------
    str
        A sentence that says what was done.
    """
    rows = index_of(store).subjects
    trained = [name for name, mouse in rows.items() if mouse.days_to_trained is not None]
    if len(trained) < FEWEST:
        return f"{len(trained)} trained mice, {FEWEST} are needed"
    made_from = fingerprint(
        code_version(), {name: store.etag(subject_data(name)) for name in sorted(rows)}
    ).encode()
    before = store.read(MADE_FROM)
    if before and before[0] == made_from:
        return "nothing changed"
    public: set[str] = set()
    synthetic: set[str] = set()
    names = sorted(records.subjects())
    features = from_sessions(_mice(records, store, names, at, public, synthetic))
    try:
        usable = features[features["subject"].isin(public)].reset_index(drop=True)
        marked = bool(synthetic & public)
        result = analyse(usable, n_repeats=REPEATS, synthetic=marked)
        predictor = Predictor.learned(features)
    except ValueError as error:  # too few with all features
        return str(error)
    name, label = ("simulated", "Simulated mice") if marked else ("here", "Mice of this site")
    training_time.publish(store, settings, name, label, result)
    in_training = features[features["training_time"].isna()]
    publish_predictions(records.bucket, predictor, in_training, result["statement"])
    store.write(MADE_FROM, made_from)
    return f"{len(usable)} mice analysed, {len(in_training)} in training"


def publish_predictions(
    bucket: str, predictor: Predictor, in_training: pd.DataFrame, statement: str
) -> None:
    """Write the predictions of mice in training to the place where the API reads them.

    Parameters
    ----------
    bucket : str
        The data bucket.
    predictor : Predictor
    in_training : DataFrame
        Features of these mice, as `shared.science.cohort.features` makes them.
    statement : str
        How reliable the predictions are.
    """
    rows = {prediction["subject"]: prediction for prediction in predictor.predict(in_training)}
    body = encode(training_time.short({"statement": statement, "subjects": rows}))
    aws.client("s3").put_object(Bucket=bucket, Key=PREDICTIONS, Body=body)


def _mice(
    records: Records,
    store: SiteStore,
    names: Iterable[str],
    at: datetime,
    public: set[str],
    synthetic: set[str],
) -> Iterator[CohortSubject]:
    """Yield each mouse with its sessions; note which are wholly public, and which simulated."""
    for name in names:
        subject, sessions = records.subject(name), records.sessions(name)
        if sessions and all(is_visible(session, at) for session in sessions):
            public.add(name)
        if any(session.synthetic for session in sessions):
            synthetic.add(name)
        yield CohortSubject(
            name=name,
            id=subject.id,
            lab=subject.lab,
            sex=subject.sex,
            birth_date=subject.birth_date or None,
            sessions=list(_sessions(records, store, name, sessions)),
            weighings=_dated("weighing", name, "date_time", "weight", float),
            restrictions=_dated(
                "water-restriction", name, "start_time", "reference_weight", float
            ),
            waters=_dated("watering", name, "date_time", "water_type", str),
        )


def _dated(kind: str, subject: str, when: str, what: str, convert: Any) -> list[tuple[str, Any]]:
    """Return (ISO date, value) of a subject's records of a kind."""
    rows = catalog.table(kind).select([Where("subject", "exact", subject)]).all()
    return [
        (str(record[when])[:10], convert(record[what]))
        for record in rows
        if record.get(when) and record.get(what) is not None
    ]


def _sessions(
    records: Records, store: SiteStore, name: str, sessions: list[SiteSession]
) -> Iterator[CohortSession]:
    """Yield the sessions that have trials; published trials are read from the subject's table."""
    packed = store.read(subject_trials(name))
    published = tables.unpack(packed[0]) if packed else {}
    for i, session in enumerate(sorted(sessions, key=lambda s: (s.date, s.number))):
        try:
            frame = (
                published[session.id][1] if session.id in published else records.trials(session)
            )
        except Unreadable as error:
            log.warning("trials of %s: %s", session.reference, error)
            continue
        if frame is None or not len(frame):
            continue
        gaps(frame)
        yield CohortSession(
            date=session.date,
            protocol=session.task_protocol,
            trials=columns_of(frame),
            number=session.number,
            wheel=_wheel(records, session) if i < WHEEL_SESSIONS else None,
            eid=session.id,
        )


def _wheel(records: Records, one: SiteSession) -> dict[str, Any] | None:
    wheels = wheel_in(one.paths, one.preferred)
    if not wheels:
        return None
    try:
        return {"position": records.array(one, wheels[0].files["position"])}
    except Unreadable as error:
        # A missing wheel loses two features only, not the whole mouse.
        log.warning("wheel of %s: %s", one.reference, error)
        return None
