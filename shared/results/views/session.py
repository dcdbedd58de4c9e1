"""The page of one session: stimuli, choices and reaction times, as plain numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from shared.model.identity import nickname_of
from shared.results import addresses
from shared.results.numbers import column, rounded
from shared.results.render import SiteSettings
from shared.results.source import SiteSession
from shared.results.views.page import Crumb, MadeFrom, PageFrame
from shared.results.views.rows import ListedProbe, ListedSession, protocol
from shared.science.behaviour.curves import (
    contrasts,
    median,
    reaction_times,
    session_plots,
)

TrialArrays = dict[str, NDArray[np.float64]]

ROLLING_CORRECT = 30
"""Trials in the rolling fraction correct."""

Numbers = list[float | None]


class Curve(Struct, frozen=True):
    """A fitted curve: signed contrast in percent, fraction of choices to the right."""

    x: Numbers
    y: Numbers


class Fit(Struct, frozen=True):
    """Parameters of a psychometric curve: percent contrast, fractions, nats."""

    bias: float | None
    threshold: float | None
    lapse_low: float | None
    lapse_high: float | None
    nll: float | None
    n_trials: int


class Psychometric(Struct, frozen=True):
    """Fraction of choices to the right by signed contrast (percent), its interval and fit.

    `doubt` says why the fit does not describe the mouse; it has no curve then.
    """

    contrasts: Numbers
    p_right: Numbers
    low: Numbers
    high: Numbers
    n: list[int]
    fit: Fit
    curve: Curve
    doubt: str


class Chronometric(Struct, frozen=True):
    """Median reaction time (s) by signed contrast (percent) with its interval."""

    contrasts: Numbers
    median: Numbers
    low: Numbers
    high: Numbers
    n: list[int]


class Block(Struct, frozen=True):
    """Choices and reaction times of the trials of one probability of a left stimulus."""

    probability_left: float
    psychometric: Psychometric
    chronometric: Chronometric


class Summary(Struct, frozen=True):
    """Key figures: fractions, s, percent contrast (`bias_shift`), min (`duration`)."""

    n_trials: int
    n_correct: int
    n_no_go: int
    performance: float | None
    performance_easy: float | None
    median_rt: float | None
    median_rt_0: float | None
    bias_shift: float | None
    duration: float | None


class TrialColumns(Struct, frozen=True):
    """One entry per trial in each column."""

    contrast: Numbers
    choice: Numbers
    feedback: Numbers
    p_left: Numbers
    rt: Numbers
    rt_rolling: Numbers
    correct_rolling: Numbers


class SessionFacts(Struct, frozen=True):
    """The facts about a session; times are naive and local to the lab."""

    id: str
    lab: str
    subject: str
    date: str
    number: int
    start_time: str
    end_time: str
    task_protocol: str
    projects: tuple[str, ...]
    location: str
    synthetic: bool


class Behaviour(Struct, frozen=True):
    """The behaviour in a session's trials."""

    summary: Summary
    blocks: list[Block]
    trials: TrialColumns


class SessionData(Struct, frozen=True, omit_defaults=True):
    """The data of a session's page; without trials there is no behaviour.

    `problems` are sentences on parts that could not be shown, and why; `film` is the key of the
    description of the cameras' films.
    """

    session: SessionFacts
    made_from: MadeFrom
    summary: Summary | None = None
    blocks: list[Block] | None = None
    trials: TrialColumns | None = None
    problems: list[str] = []
    film: str = ""


class TaskCheck(Struct, frozen=True):
    """A check of a task's quality, and the share of trials (or samples) that pass it."""

    name: str
    share: float


class TaskQuality(Struct, frozen=True):
    """The quality of a task: its outcome, and its checks, the worst first."""

    name: str
    outcome: str
    checks: list[TaskCheck]


class SessionView(Struct, frozen=True):
    """The page of a session."""

    template: ClassVar[str] = "session"

    page: PageFrame
    data: SessionData
    protocol: str
    probes: list[ListedProbe]
    load: str
    quality: list[TaskQuality]


def quality_of_tasks(told: Mapping[str, Any]) -> list[TaskQuality]:
    """Return the quality of each task of a session, from Alyx's ``extended_qc``.

    ``task`` (or ``task_01``) has the outcome, ``_task_goCue_delays`` and similar the shares.
    """
    qualities = []
    for task in sorted(name for name in told if re.fullmatch(r"task(_\d{2})?", name)):
        named = {name.removeprefix(f"_{task}_"): share for name, share in told.items()
                 if re.match(rf"_{task}_(?!\d\d_)", name)}  # fmt: skip
        checks = [
            TaskCheck(name, float(share))
            for name, share in named.items()
            if isinstance(share, (int, float)) and 0 <= share <= 1
        ]
        checks.sort(key=lambda check: (check.share, check.name))
        qualities.append(TaskQuality(task, str(told[task]), checks))
    return qualities


def session_view(
    settings: SiteSettings,
    session: SiteSession,
    seen: Behaviour | None,
    probes: list[ListedProbe],
    made_from: MadeFrom,
    problems: Sequence[str] = (),
    film: str = "",
) -> SessionView:
    """Return the page of a session with its behaviour and its probes.

    Parameters
    ----------
    settings : SiteSettings
    session : SiteSession
    seen : Behaviour or None
    probes : list of ListedProbe
    made_from : MadeFrom
    problems : sequence of str
        Sentences on parts that could not be shown, and why.
    film : str
        Key of the description of its films.
    """
    facts = SessionFacts(
        **{name: getattr(session, name) for name in SessionFacts.__struct_fields__}
    )
    behaviour = {name: getattr(seen, name) for name in Behaviour.__struct_fields__} if seen else {}
    animal = nickname_of(session.subject)
    page = PageFrame(
        address=addresses.session_page(session.id),
        title=f"{animal} · {session.date} · {session.number:03d}",
        description=f"Behaviour of {animal} ({session.lab}) on {session.date}",
        crumbs=(
            Crumb("sessions.html", "Sessions"),
            Crumb(addresses.lab_page(session.lab), session.lab),
            Crumb(addresses.subject_page(session.subject), animal),
        ),
        image=addresses.session_image(session.id) if seen else "",
        synthetic="all" if session.synthetic else "",
        attributes={"src": addresses.session_data(session.id)},
    )
    data = SessionData(
        session=facts, made_from=made_from, problems=list(problems), film=film, **behaviour
    )
    kind = protocol(session.task_protocol)
    load, quality = code_to_load(settings, session), quality_of_tasks(session.quality)
    return SessionView(page, data, kind, probes, load, quality)


def session_row(
    session: SiteSession, seen: Behaviour | None, problems: Sequence[str] = ()
) -> ListedSession:
    """Return a session's row of the session list."""
    figures = ("n_trials", "performance", "performance_easy", "median_rt", "duration")
    return ListedSession(
        id=session.id,
        date=session.date,
        number=session.number,
        lab=session.lab,
        subject=session.subject,
        protocol=protocol(session.task_protocol),
        project=", ".join(session.projects),
        n_probes=len(session.sortings),
        problem=" ".join(problems),
        synthetic=int(session.synthetic),
        **({name: getattr(seen.summary, name) for name in figures} if seen else {}),
    )


def code_to_load(settings: SiteSettings, session: SiteSession) -> str:
    """Return Python code that loads the trials of the page with the ONE client."""
    lines = [*code_to_connect(settings), f'eid = "{session.id}"  # {session.reference}']
    if session.trials:
        trials = session.trials[0]
        if trials.table:
            table = session.by_path[trials.table]
            revision = f', revision="{table.revision}"' if table.revision else ""
            lines += [
                f'trials = one.load_dataset(eid, "{table.name}", '
                f'collection="{table.collection}"{revision})',
            ]
        else:
            lines += [f'trials = one.load_object(eid, "trials", collection="{trials.collection}")']
    return "\n".join(lines)


def code_to_connect(settings: SiteSettings) -> list[str]:
    """Return the lines of Python that every snippet starts with."""
    connection = f'ONE(base_url="{settings.api_url}")' if settings.api_url else "ONE()"
    return ["from one.api import ONE", "", f"one = {connection}"]


def behaviour_of(sessions: Sequence[tuple[SiteSession, TrialArrays]]) -> list[Behaviour]:
    """Return the behaviour in each session's trials, with all curves fitted in one go.

    Parameters
    ----------
    sessions : sequence of (SiteSession, dict of array)
        With the columns of its trials table (ONE convention), at least one trial.
    """
    # Fitted with the bounds of the training status: a session has one threshold on all pages.
    plots = session_plots(
        ((trials, protocol(session.task_protocol)) for session, trials in sessions), use="status"
    )
    return [
        Behaviour(
            _summary(trials, plot),
            msgspec.convert(plot["blocks"], list[Block]),
            _trials(trials, plot),
        )
        for (_, trials), plot in zip(sessions, plots, strict=True)
    ]


def columns_of(trials: pd.DataFrame) -> TrialArrays:
    """Return a table's numeric columns as arrays of float by their names."""
    numeric = trials
    if not all(dtype.kind in "biuf" for dtype in trials.dtypes):
        numeric = trials.select_dtypes(["number", "bool"])
    return dict(zip(map(str, numeric.columns), numeric.to_numpy(float).T.copy(), strict=True))


def _summary(trials: TrialArrays, plot: dict[str, Any]) -> Summary:
    contrast = contrasts(trials)
    times = reaction_times(trials)
    return Summary(
        n_trials=plot["n_trials"],
        n_correct=int((trials["feedbackType"] == 1).sum()),
        n_no_go=int((trials["choice"] == 0).sum()),
        performance=rounded(plot["performance"]),
        performance_easy=rounded(plot["performance_easy"]),
        median_rt=rounded(plot["median_reaction_time"]),
        median_rt_0=rounded(median(times[contrast == 0])),
        bias_shift=rounded(plot["bias_shift"]),
        duration=_minutes(trials),
    )


def _trials(trials: TrialArrays, plot: dict[str, Any]) -> TrialColumns:
    correct = trials["feedbackType"] == 1
    rolling = np.full(correct.size, np.nan)
    if correct.size >= ROLLING_CORRECT:
        window = np.ones(ROLLING_CORRECT) / ROLLING_CORRECT
        rolling[ROLLING_CORRECT - 1 :] = np.convolve(correct, window, mode="valid")
    middle = np.array(plot["reaction_time_by_trial"]["rolling_median"], float)
    return TrialColumns(
        contrast=column(contrasts(trials), 2),
        choice=column(trials["choice"], 0),
        feedback=column(trials["feedbackType"], 0),
        p_left=column(trials["probabilityLeft"], 2),
        rt=column(reaction_times(trials), 3),
        rt_rolling=column(middle, 3),
        correct_rolling=column(rolling, 3),
    )


def _minutes(trials: TrialArrays) -> float | None:
    """Return the session's duration from the first trial to the last, in minutes."""
    name = next((n for n in ("intervals_0", "stimOn_times") if n in trials), None)
    times = trials[name][np.isfinite(trials[name])] if name else np.zeros(0)
    return rounded((times[-1] - times[0]) / 60) if times.size > 1 else None
