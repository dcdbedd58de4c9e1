"""The page of one subject: its training day by day, and its progress by the status rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from shared.model.identity import nickname_of
from shared.results import addresses
from shared.results.numbers import rounded
from shared.results.render import SiteSettings
from shared.results.source import SiteSession, Subject, fingerprint
from shared.results.views.next_status import NextStatus, is_determined, next_status
from shared.results.views.page import Crumb, PageFrame, how_synthetic
from shared.results.views.rows import ListedProbe, ListedSession, ListedSubject
from shared.results.views.session import Behaviour, Numbers, TrialArrays, code_to_connect
from shared.science.behaviour.curves import contrast_heat_map, contrasts
from shared.science.behaviour.psychometric import PARAMETERS
from shared.science.status.history import History, training_history
from shared.science.status.sessions import JudgedSession, on_ephys_rig
from shared.science.status.stages import Variant

VARIANT: Variant = "brainbox"
"""The status rules by which the labs judge their mice."""

RECENT = 30
"""Sessions in the small pictures of the lists."""


class TrialsPlace(Struct, frozen=True):
    """The place of a session's trials: the folder, and the name of one of its files."""

    collection: str
    file: str


class SessionOfSubject(Struct, frozen=True):
    """The data of one session for the subject's page, beside its row in the list."""

    start_time: str = ""
    location: str = ""
    task_protocol: str = ""
    delay_start: float = 0.0
    median_rt_0: float | None = None
    probes: list[ListedProbe] = []
    trials: TrialsPlace | None = None


class Published(Struct, frozen=True):
    """A published session in its subject's state.

    Attributes
    ----------
    print : str
        Fingerprint of the inputs of its pages; empty while they are being written.
    problems : list of str
        Sentences on parts that could not be shown, and why.
    failed : bool
        Whether an unforeseen error kept it from being shown: the next build tries again.
    """

    print: str = ""
    row: ListedSession | None = None
    day: SessionOfSubject | None = None
    problems: list[str] = []
    failed: bool = False


class DayFit(Struct, frozen=True):
    """Psychometric parameters of a day: percent contrast, fractions."""

    threshold: float | None
    bias: float | None
    lapse_low: float | None
    lapse_high: float | None


class CalendarDay(Struct, frozen=True, kw_only=True):
    """A session on the subject's calendar; the last fields only if it could be judged."""

    id: str
    date: str
    number: int
    protocol: str
    n_trials: int | None
    performance: float | None
    performance_easy: float | None
    median_rt: float | None
    duration: float | None
    n_probes: int
    synthetic: int
    location: str
    status: str | None = None
    fit: DayFit | None = None
    ephys_rig: bool = False
    good_enough: bool | None = None
    bias_shift: float | None = None


class Reached(Struct, frozen=True):
    """The session in which a status was first reached."""

    status: str
    date: str
    id: str


class HeatMap(Struct, frozen=True):
    """Fraction of choices to the right: a row per contrast (percent), a value per date."""

    dates: list[str]
    contrasts: list[float]
    p_right: list[Numbers]


class MadeFromSessions(Struct, frozen=True):
    """Fingerprints of the sessions a page was made from, by session id."""

    inputs: dict[str, str]
    code: str
    fingerprint: str


class SubjectData(Struct, frozen=True, kw_only=True):
    """The data of a subject's page: days in time, status and criteria."""

    subject: Subject
    variant: str
    status: str
    days_to_trained: int | None
    sessions_to_trained: int | None
    first: list[Reached]
    next: NextStatus | None
    days: list[CalendarDay]
    heatmap: HeatMap
    row: ListedSubject
    made_from: MadeFromSessions


class SubjectView(Struct, frozen=True):
    """The page of a subject."""

    template: ClassVar[str] = "subject"

    page: PageFrame
    data: SubjectData
    load: str


def session_of_subject(
    session: SiteSession, seen: Behaviour | None, probes: list[ListedProbe]
) -> SessionOfSubject:
    """Return the data of one session for the subject's page."""
    return SessionOfSubject(
        session.start_time,
        session.location,
        session.task_protocol,
        session.delay_start,
        seen.summary.median_rt_0 if seen else None,
        probes,
        _place_of(session) if seen else None,
    )


def _place_of(session: SiteSession) -> TrialsPlace:
    first = session.trials[0]
    path = first.table or first.files["choice"]
    return TrialsPlace(first.collection, session.by_path[path].name)


def subject_view(
    settings: SiteSettings,
    subject: Subject,
    sessions: Mapping[str, Published],
    trials: Mapping[str, TrialArrays],
    code: str,
) -> SubjectView:
    """Return the page of a subject.

    Parameters
    ----------
    settings : SiteSettings
    subject : Subject
    sessions : mapping
        By session id, its published sessions.
    trials : mapping
        By session id, the columns of its trials table, if it has one.
    code : str
        Version of the code.
    """
    rows = sorted(
        ((row, entry.day) for entry in sessions.values() if (row := entry.row) and entry.day),
        key=lambda pair: (pair[0].date, pair[0].number),
    )
    history = training_history(
        [
            JudgedSession(
                date=row.date,
                protocol=day.task_protocol,
                trials=trials[row.id],
                number=row.number,
                ephys_rig=on_ephys_rig(day.location, row.protocol),
                delay=day.delay_start,
                eid=row.id,
            )
            for row, day in rows
            if row.id in trials
        ],
        VARIANT,
    )
    judged = {row["eid"]: row for row in history.sessions}
    days = [_day(row, day, judged.get(row.id), trials.get(row.id)) for row, day in rows]
    map_ = contrast_heat_map(
        (row["date"], trials[row["eid"]], row["protocol"]) for row in history.sessions
    )
    prints = {eid: entry.print for eid, entry in sessions.items()}
    data = SubjectData(
        subject=subject,
        variant=VARIANT,
        status=history.status or "",
        days_to_trained=history.days_to_trained,
        sessions_to_trained=history.sessions_to_trained,
        first=[
            Reached(status, place["date"], place["eid"]) for status, place in history.first.items()
        ],
        next=next_status(history),
        days=days,
        heatmap=HeatMap(**map_),
        row=_row(subject, days, history, rows),
        made_from=MadeFromSessions(prints, code, fingerprint(prints, subject, code)),
    )
    lab = data.row.lab
    page = PageFrame(
        address=addresses.subject_page(subject.nickname),
        title=nickname_of(subject.nickname),
        description=f"Training of {nickname_of(subject.nickname)} ({lab})",
        crumbs=(Crumb("subjects.html", "Subjects"), Crumb(addresses.lab_page(lab), lab)),
        image=addresses.subject_image(subject.nickname),
        synthetic=how_synthetic(day.synthetic for day in days),
        attributes={"src": addresses.subject_data(subject.nickname)},
    )
    places = [(row.id, day.trials) for row, day in rows if day.trials]
    labs = sorted({row.lab for row, _ in rows})
    mine = {"subject": nickname_of(subject.nickname), **({"lab": lab} if labs == [lab] else {})}
    return SubjectView(page, data, code_to_load(settings, mine, places))


def code_to_load(
    settings: SiteSettings, mine: Mapping[str, str], sessions: Sequence[tuple[str, TrialsPlace]]
) -> str:
    """Return Python code that loads the trials of a subject's sessions with the ONE client.

    Parameters
    ----------
    settings : SiteSettings
    mine : mapping
        Search terms for the sessions: ``subject``, and ``lab`` if there is only one.
    sessions : sequence of (id, place)
        The sessions with trials, in order of time.
    """
    places = sorted({place for _, place in sessions}, key=astuple)
    terms = ", ".join(f'{name}="{value}"' for name, value in mine.items())
    if len(places) > 1:
        lines = [f'    ("{eid}", "{place.collection}"),' for eid, place in sessions]
        load = ["sessions = [", *lines, "]"]
        load += ['trials = [one.load_object(eid, "trials", collection=c) for eid, c in sessions]']
    elif places:
        (place,) = places
        load = [
            f'eids = one.search({terms}, datasets="{place.file}")',
            f'trials = [one.load_object(eid, "trials", collection="{place.collection}") '
            "for eid in eids]",
        ]
    else:
        load = [f"eids = one.search({terms})"]
    return "\n".join([*code_to_connect(settings), *load])


def _day(
    row: ListedSession,
    day: SessionOfSubject,
    judged: Mapping[str, Any] | None,
    trials: TrialArrays | None,
) -> CalendarDay:
    fields = {
        name: getattr(row, name)
        for name in CalendarDay.__struct_fields__
        if name in SESSION_FIELDS
    }
    if judged is None or trials is None:
        return CalendarDay(**fields, location=day.location)
    return CalendarDay(
        **fields,
        location=day.location,
        status=judged["status"],
        fit=DayFit(**{name: rounded(judged["fit"][name]) for name in PARAMETERS})
        if is_determined(
            judged["fit"]["threshold"], judged["fit"]["bias"], np.unique(contrasts(trials))
        )
        else None,
        ephys_rig=judged["ephys_rig"],
        good_enough=judged["good_enough_for_brainwide_map"],
        bias_shift=rounded(judged["bias_shift"]),
    )


SESSION_FIELDS = frozenset(ListedSession.__struct_fields__)


def _row(
    subject: Subject,
    days: list[CalendarDay],
    history: History,
    rows: list[tuple[ListedSession, SessionOfSubject]],
) -> ListedSubject:
    """Return the subject's row of the subject list."""
    months: dict[str, tuple[int, int]] = {}
    for session in days:
        n, n_trials = months.get(session.date[:7], (0, 0))
        months[session.date[:7]] = (n + 1, n_trials + (session.n_trials or 0))
    last = days[-1]
    return ListedSubject(
        subject=subject.nickname,
        lab=rows[-1][0].lab,
        sex=subject.sex,
        birth_date=subject.birth_date,
        line=subject.line,
        n_sessions=len(days),
        n_trials=sum(session.n_trials or 0 for session in days),
        first=days[0].date,
        last=last.date,
        last_protocol=last.protocol,
        last_session=last.id,
        performance_easy=last.performance_easy,
        recent=[
            None if session.performance_easy is None else round(session.performance_easy, 3)
            for session in days[-RECENT:]
        ],
        recent_dates=[session.date for session in days[-RECENT:]],
        status=history.status or "",
        days_to_trained=history.days_to_trained,
        n_probes=sum(session.n_probes for session in days),
        probes=[probe for _, day in rows for probe in day.probes],
        synthetic=int(any(row.synthetic for row, _ in rows)),
        months=months,
    )
