"""Who may see a record: marks, embargoes to the second, releases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.access.visibility import audience, days_begun, embargo_ends, is_public
from shared.model.visibility import Audience, Visibility

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("visibility", "released", "seen_by"),
    [
        (Visibility(), (), Audience.ACCOUNT),
        (Visibility(public=True), (), Audience.PUBLIC),
        (Visibility(public=True, embargo_until=""), (), Audience.PUBLIC),
        (Visibility(public=True, embargo_until="2026-03-01"), (), Audience.PUBLIC),
        (Visibility(public=True, embargo_until="2026-03-02"), (), Audience.ACCOUNT),
        (Visibility(public=False, embargo_until="2020-01-01"), (), Audience.ACCOUNT),
        (Visibility(tags=("paper",)), (), Audience.ACCOUNT),
        (Visibility(tags=("paper",)), ("paper",), Audience.PUBLIC),
        (Visibility(tags=("draft",)), ("paper",), Audience.ACCOUNT),
        # A release is a decision of its own: it does not wait for the session's embargo
        (Visibility(True, "2099-01-01", tags=("paper",)), ("paper",), Audience.PUBLIC),
        # What cannot be read as a day keeps the record closed
        (Visibility(public=True, embargo_until="soon"), (), Audience.ACCOUNT),
    ],
)
def test_who_sees_a_record(
    visibility: Visibility, released: tuple[str, ...], seen_by: Audience
) -> None:
    assert audience(visibility, NOON, released) is seen_by


@pytest.mark.parametrize(
    ("zone", "opens"),
    [
        ("UTC", "2026-03-01T00:00:00+00:00"),
        ("Europe/Lisbon", "2026-03-01T00:00:00+00:00"),
        ("America/New_York", "2026-03-01T05:00:00+00:00"),
        ("Asia/Tokyo", "2026-02-28T15:00:00+00:00"),
        ("Pacific/Kiritimati", "2026-02-28T10:00:00+00:00"),
        ("Etc/GMT+12", "2026-03-01T12:00:00+00:00"),
        ("Mars/Olympus", "2026-03-01T00:00:00+00:00"),
        ("../../etc/passwd", "2026-03-01T00:00:00+00:00"),
        ("", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_an_embargo_ends_at_the_second_its_day_begins_in_the_labs_zone(
    zone: str, opens: str
) -> None:
    at = datetime.fromisoformat(opens)
    session = Visibility(public=True, embargo_until="2026-03-01", timezone=zone)
    assert embargo_ends("2026-03-01", zone) == at
    assert not is_public(session, at - timedelta(seconds=1))
    assert is_public(session, at)
    # The moment is the same wherever the judge's clock is set
    assert is_public(session, at.astimezone(ZoneInfo("Asia/Tokyo")))
    assert not is_public(session, (at - timedelta(seconds=1)).astimezone(ZoneInfo("Asia/Tokyo")))


def test_a_day_that_summer_time_begins_at_midnight() -> None:
    # In Beirut there is no 00:00 on that day: clocks go from 23:59:59 to 01:00
    at = embargo_ends("2026-03-29", "Asia/Beirut")
    assert at == datetime(2026, 3, 28, 22, tzinfo=UTC)


@pytest.mark.parametrize("hour", range(24))
def test_days_that_have_begun_everywhere_and_anywhere_bound_every_zone(hour: int) -> None:
    at = datetime(2026, 3, 1, hour, tzinfo=UTC)
    everywhere, anywhere = days_begun(at)
    for zone in ("Pacific/Kiritimati", "Europe/Lisbon", "America/New_York", "Etc/GMT+12"):
        ends = embargo_ends(everywhere, zone)
        assert ends is not None
        assert ends <= at
        after = (datetime.fromisoformat(anywhere) + timedelta(days=1)).date().isoformat()
        ends = embargo_ends(after, zone)
        assert ends is not None
        assert ends > at
