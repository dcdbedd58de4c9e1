"""What people of a lab are to be told, who of them, and when: the rules by themselves."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from shared.science.notices.due import (
    EmptySession,
    FailedTask,
    LabFacts,
    Notice,
    OpenPair,
    due,
    expected_birth,
)
from shared.science.notices.recipients import (
    NoticeRule,
    Person,
    quiet_until,
    recipients,
)

NOW = datetime(2026, 6, 3, 10, 0)
ANNA, BEN, CARL = Person("anna", ("a",)), Person("ben", ("a",)), Person("carl", ("b",))
MANAGER = Person("mia", ("a",), is_manager=True)


@pytest.mark.parametrize(
    ("start", "plugs", "litters", "expected"),
    [
        (None, [], [], None),
        (date(2026, 6, 1), [], [], date(2026, 6, 23)),
        (date(2026, 6, 1), [date(2026, 6, 5)], [], date(2026, 6, 25)),
        (date(2026, 1, 1), [], [date(2026, 5, 1)], date(2026, 5, 29)),
        (date(2026, 1, 1), [], [date(2026, 4, 1), date(2026, 5, 1)], date(2026, 5, 31)),
        (date(2026, 1, 1), [date(2026, 4, 9)], [date(2026, 5, 1)], date(2026, 5, 29)),
    ],
)
def test_when_a_birth_is_expected(
    start: date | None, plugs: list[date], litters: list[date], expected: date | None
) -> None:
    assert expected_birth(start, plugs, litters) == expected


@pytest.mark.parametrize(
    ("last_litter", "is_told"),
    [(date(2026, 5, 10), False), (date(2026, 5, 9), True), (date(2026, 4, 1), False)],
)
def test_births_are_announced_three_days_ahead(last_litter: date, is_told: bool) -> None:
    facts = LabFacts("a", NOW, pairs=(OpenPair("P", litters=(last_litter,)),))
    assert bool(due(facts)) is is_told


def test_a_session_has_a_day_and_a_task_a_second_try() -> None:
    def told(ended: str, attempt: int, waits: str) -> list[str]:
        facts = LabFacts(
            "a",
            NOW,
            sessions=(EmptySession("s", "M 2026-06-02 001", datetime.fromisoformat(ended)),),
            tasks=(FailedTask("t", "T", "s", "M 2026-06-02 001", attempt),),
            waiting=3,
            waiting_since=datetime.fromisoformat(waits),
        )
        return [each.kind for each in due(facts)]

    assert told("2026-06-02T10:01", 1, "2026-06-02T10:01") == []
    all_three = ["data_missing", "task_failed", "queue_old"]
    assert told("2026-06-02T10:00", 2, "2026-06-02T10:00") == all_three


def test_a_notice_has_one_id_a_person_and_a_day() -> None:
    notice = Notice("mouse_water", "M1", "2026-06-03", "Water")
    same = Notice("mouse_water", "M1", "2026-06-03", "said otherwise")
    other_day = Notice("mouse_water", "M1", "2026-06-04", "Water")
    assert notice.id_for("a", "anna") == same.id_for("a", "anna")
    ids = {notice.id_for("a", "anna"), other_day.id_for("a", "anna")}
    ids |= {notice.id_for("a", "ben"), notice.id_for("b", "anna")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ({}, {"anna"}),
        ({"anna": "none"}, set()),
        ({"ben": "mine"}, {"anna"}),
        ({"ben": "lab", "carl": "lab"}, {"anna", "ben"}),
        ({"carl": "all"}, {"anna", "carl"}),
    ],
)
def test_who_is_told(scopes: dict[str, str], told: set[str]) -> None:
    notice = Notice("mouse_water", "M1", "", "Water", responsible=("anna",))
    rules = {(name, "mouse_water"): NoticeRule(scope) for name, scope in scopes.items()}
    rules["mia", "mouse_not_weighed"] = NoticeRule("all")  # of another kind
    found = recipients(notice, "a", [ANNA, BEN, CARL, MANAGER], rules)
    assert {person.username for person, _ in found} == told


def test_what_is_nobodys_is_the_managers() -> None:
    for whose in ((), ("left",)):
        notice = Notice("queue_old", "a", "", "Tasks wait", responsible=whose)
        found = recipients(notice, "a", [ANNA, CARL, MANAGER], {})
        assert [person.username for person, _ in found] == ["mia"]


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("22:00-07:00", "2026-06-03T23:00", "2026-06-04T07:00"),
        ("22:00-07:00", "2026-06-03T06:59", "2026-06-03T07:00"),
        ("22:00-07:00", "2026-06-03T07:00", None),
        ("22:00-07:00", "2026-06-03T21:59", None),
        ("12:00-13:00", "2026-06-03T12:30", "2026-06-03T13:00"),
        ("12:00-12:00", "2026-06-03T12:00", None),
        ("", "2026-06-03T12:00", None),
        ("7-9", "2026-06-03T08:00", None),
    ],
)
def test_when_quiet_hours_end(hours: str, now: str, until: str | None) -> None:
    found = quiet_until((hours,), datetime.fromisoformat(now))
    assert found == (datetime.fromisoformat(until) if until else None)
