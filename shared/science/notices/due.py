"""Notices that are due for the people of a lab at a moment, from the facts about the lab.

Hours and days are those of the lab's wall clock. The rules on weight and water are Alyx's
(`shared.science.water.alerts`); the others are stated at their constants.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import msgspec

from shared.model.identity import nickname_of
from shared.science.water.alerts import daily_alerts, weighing_alert
from shared.science.water.control import WaterControl

NOTICE_HOUR = 18
"""Hour from which an animal counts as not weighed that day, in labs without a setting."""

GESTATION = timedelta(days=20)
"""From mating to birth (Mouse Genome Informatics, "The biology of the laboratory mouse")."""

INTERVAL = timedelta(days=28)
"""Interval between litters of pairs that have had only one."""

ANNOUNCED = timedelta(days=3)
"""Births are announced so long before; pairs overdue by `OVERDUE` have ended: none for them."""

OVERDUE = timedelta(days=30)

DATA_WITHIN = timedelta(hours=24)
"""Time after a session within which its data are expected."""

TRIES = 2
"""A task that has failed so often needs attention."""

QUEUE_OLD = timedelta(hours=24)
"""A task that has waited for so long means that no worker is running."""

NAMESPACE = uuid.UUID("6b1c1c52-55d3-4f0e-9d3a-3f2f0b1f6a10")
"""Namespace of the ids of notices: the same notice to the same person has the same id."""


class WatchedMouse(msgspec.Struct, frozen=True):
    """A living animal whose weight and water are watched, and the people responsible for it."""

    control: WaterControl
    responsible: tuple[str, ...] = ()


class OpenPair(msgspec.Struct, frozen=True):
    """An open breeding pair: its start, plugs and litters, and the people responsible for it."""

    name: str
    start: date | None = None
    plugs: tuple[date, ...] = ()
    litters: tuple[date, ...] = ()
    responsible: tuple[str, ...] = ()


class EmptySession(msgspec.Struct, frozen=True):
    """A session without a dataset: its id, its name, its time, and the people responsible."""

    id: str
    name: str
    ended: datetime
    users: tuple[str, ...] = ()


class FailedTask(msgspec.Struct, frozen=True):
    """A task that ended in an error at some attempt, its session, and the people responsible."""

    id: str
    name: str
    session: str
    session_name: str
    attempt: int
    users: tuple[str, ...] = ()


class LabFacts(msgspec.Struct, frozen=True):
    """The facts about a lab.

    Attributes
    ----------
    lab : str
    now : datetime
        Its wall clock.
    notice_hour : int
        Hour from which an animal counts as not weighed that day.
    mice, pairs, sessions, tasks : tuple
    waiting : int
        Tasks that wait for a worker.
    waiting_since : datetime, optional
        Time since which the first of them waits.
    """

    lab: str
    now: datetime
    notice_hour: int = NOTICE_HOUR
    mice: tuple[WatchedMouse, ...] = ()
    pairs: tuple[OpenPair, ...] = ()
    sessions: tuple[EmptySession, ...] = ()
    tasks: tuple[FailedTask, ...] = ()
    waiting: int = 0
    waiting_since: datetime | None = None


class Notice(msgspec.Struct, frozen=True):
    """A notice that people get once.

    Attributes
    ----------
    kind : str
        Type of notification.
    about : str
        Distinguishes notices of one kind: an animal, a session, a task, and how bad it is.
    day : str
        Day of the notice; empty if it is sent only once for all days.
    title, message : str
    responsible : tuple of str
        The people responsible; the managers of the lab if there are none.
    subject, session, task : str, optional
        The record that the notice links to.
    """

    kind: str
    about: str
    day: str
    title: str
    message: str = ""
    responsible: tuple[str, ...] = ()
    subject: str | None = None
    session: str | None = None
    task: str | None = None

    def id_for(self, lab: str, user: str) -> str:
        """Return the id of this notice to a person: it stays the same while the notice is due."""
        name = "\x1f".join((self.kind, lab, self.about, self.day, user))
        return str(uuid.uuid5(NAMESPACE, name))


def due(facts: LabFacts) -> list[Notice]:
    """Return the notices that are due for the people of a lab now.

    Earlier notices are not checked here: the same notice has the same id.
    """
    notices = [notice for mouse in facts.mice for notice in _of_mouse(mouse, facts)]
    notices += [notice for pair in facts.pairs for notice in _of_pair(pair, facts)]
    notices += [_of_session(each) for each in facts.sessions if _is_late(each, facts.now)]
    notices += [_of_task(each) for each in facts.tasks if each.attempt >= TRIES]
    return notices + list(_of_queue(facts))


def _of_mouse(mouse: WatchedMouse, facts: LabFacts) -> Iterator[Notice]:
    control, day = mouse.control, facts.now.date().isoformat()
    alerts = daily_alerts(control, facts.now)
    if facts.now.hour < facts.notice_hour:
        alerts = [alert for alert in alerts if alert.kind != "mouse_not_weighed"]
    is_weighed = control.weighing_at(facts.now) is not None
    if is_weighed and (light := weighing_alert(control, facts.now)):
        alerts.append(light)
    for alert in alerts:
        level = alert.title.partition(":")[0] if alert.kind == "mouse_underweight" else ""
        yield Notice(
            kind=alert.kind,
            about="/".join(filter(None, (control.nickname, level))),
            day=day,
            title=alert.title.replace(control.nickname, nickname_of(control.nickname)),
            message=alert.details,
            responsible=mouse.responsible,
            subject=control.nickname,
        )


def expected_birth(
    start: date | None, plugs: Sequence[date], litters: Sequence[date]
) -> date | None:
    """Return the expected day of a pair's next litter; None if there is nothing to go by.

    Counted from the last plug; else from the last litter, by the mean interval of the former ones;
    else from the pairing, with two days until mating.
    """
    born = sorted(litters)
    last = born[-1] if born else None
    plug = max(plugs, default=None)
    if plug is not None and (last is None or plug > last):
        return plug + GESTATION
    if last is not None and len(born) > 1:
        return last + timedelta(days=round((last - born[0]).days / (len(born) - 1)))
    if last is not None:
        return last + INTERVAL
    return start + GESTATION + timedelta(days=2) if start is not None else None


def _of_pair(pair: OpenPair, facts: LabFacts) -> Iterator[Notice]:
    expected, today = expected_birth(pair.start, pair.plugs, pair.litters), facts.now.date()
    if expected is not None and -OVERDUE < expected - today <= ANNOUNCED:
        title = f"{pair.name}: a birth is expected on {expected}"
        yield Notice("birth_expected", pair.name, str(expected), title, "", pair.responsible)


def _is_late(session: EmptySession, now: datetime) -> bool:
    return now - session.ended >= DATA_WITHIN


def _of_session(session: EmptySession) -> Notice:
    return Notice(
        kind="data_missing",
        about=session.id,
        day="",
        title=f"{session.name} has no data yet",
        message=f"It ended on {session.ended:%Y-%m-%d %H:%M}. Is the rig's upload running?",
        responsible=session.users,
        session=session.id,
    )


def _of_task(task: FailedTask) -> Notice:
    return Notice(
        kind="task_failed",
        about=f"{task.id}/{task.attempt}",
        day="",
        title=f"{task.name} of {task.session_name} failed {task.attempt} times",
        message="Its log says why.",
        responsible=task.users,
        session=task.session,
        task=task.id,
    )


def _of_queue(facts: LabFacts) -> Iterator[Notice]:
    since = facts.waiting_since
    if since is not None and facts.now - since >= QUEUE_OLD:
        hours = int((facts.now - since).total_seconds() // 3600)
        title = f"{facts.waiting} tasks of {facts.lab} wait for a worker"
        message = f"The first has waited for {hours} hours. Are the lab's workers running?"
        yield Notice("queue_old", facts.lab, facts.now.date().isoformat(), title, message)
