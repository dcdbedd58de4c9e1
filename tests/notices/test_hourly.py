"""The hour's notices: what is due, in each lab's hours, to whom, once, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.notices import handler as function
from shared import catalog
from shared.notices import gather, store
from shared.records import aws
from shared.records.meter import metered
from shared.science.notices.due import due
from shared.work import write
from tests.api.conftest import Api
from tests.notices.conftest import Clock, Mailbox, hour, later, restricted

MEMBER = "fimbrialab_member"


def told(api: Api, user: str = MEMBER, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    shown: list[dict[str, Any]] = api.ok("GET", f"/notifications?{asked}", user=user)["results"]
    return shown


def kinds(api: Api, user: str = MEMBER) -> list[str]:
    return sorted(each["notification_type"] for each in told(api, user))


def test_water_is_due_after_23_hours_and_told_once(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    assert hour() == {"made": 0, "told": {}}

    clock.set("2026-06-03T10:00")
    assert hour()["made"] == 1
    (notice,) = told(api)
    assert (notice["notification_type"], notice["status"]) == ("mouse_water", "sent")
    assert notice["title"] == "1.0 mL remaining for FI_001"
    assert (notice["subject"], notice["lab"]) == ("FI_001", "fimbrialab")
    assert [(each["channel"], each["outcome"]) for each in notice["deliveries"]] == [
        ("app", "shown")
    ]

    clock.set("2026-06-03T11:00")
    assert hour()["made"] == 0
    assert len(told(api)) == 1


def test_an_animal_counts_as_not_weighed_from_the_labs_own_hour_on(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    fed = {"subject": "FI_001", "date_time": clock.ago(minutes=5), "water_administered": 1.5}
    api.ok("POST", "/water-administrations", fed)
    clock.set("2026-06-03T16:59")  # 17:59 in Lisbon
    assert hour()["made"] == 0
    clock.set("2026-06-03T17:00")
    hour()
    assert kinds(api) == ["mouse_not_weighed"]

    # Another hour is the lab's to set; the next day is told of anew
    api.ok("PATCH", "/labs/fimbrialab", {"notice_hour": 12}, user="fimbrialab_manager")
    fed["date_time"] = "2026-06-04T09:00"
    clock.set("2026-06-04T11:00")
    api.ok("POST", "/water-administrations", fed)
    assert hour()["made"] == 1


def test_the_hour_is_that_of_each_labs_zone(api: Api, clock: Clock) -> None:
    api.ok("PATCH", "/labs/septumlab", {"timezone": "America/New_York"}, user="admin")
    start = {"subject": "SE_001", "start_time": "2026-06-01T10:00", "reference_weight": 25.0}
    api.ok("POST", "/water-restriction", start, user="septumlab_member")
    fed = {"subject": "SE_001", "date_time": "2026-06-03T04:00", "water_administered": 5}
    clock.set("2026-06-03T17:30")
    api.ok("POST", "/water-administrations", fed, user="septumlab_member")
    assert hour()["made"] == 0
    clock.set("2026-06-03T22:30")
    hour()
    assert kinds(api, "septumlab_member") == ["mouse_not_weighed"]


@pytest.mark.parametrize(
    ("weight", "header"), [(20.4, "ATTENTION"), (19.0, "WARNING"), (23.0, None)]
)
def test_a_weight_near_or_below_the_threshold(
    api: Api, clock: Clock, weight: float, header: str | None
) -> None:
    restricted(api, clock)
    light = {"subject": "FI_001", "date_time": clock.ago(minutes=1), "weight": weight}
    assert api("POST", "/weighings", {**light, "unusual": True}).status == 201
    hour()
    assert [each["title"].split(":")[0] for each in told(api)] == ([header] if header else [])
    # Worse the same day is told, too
    if header == "ATTENTION":
        clock.set("2026-06-03T09:30")
        worse = {**light, "date_time": clock.ago(minutes=1), "weight": 19.5, "unusual": True}
        assert api("POST", "/weighings", worse).status == 201
        hour()
        assert sorted(each["title"].split(":")[0] for each in told(api)) == [
            "ATTENTION",
            "WARNING",
        ]


def test_the_dead_the_culled_and_the_unrestricted_raise_nothing(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    cull = {"subject": "FI_001", "date": "2026-06-03", "severity": "mild"}
    api.ok("POST", "/subjects/cull", {"subjects": ["FI_001"], **cull} | {"severity": "mild"})
    clock.set("2026-06-04T20:00")
    assert hour()["made"] == 0


def test_births_empty_sessions_and_old_queues(api: Api, clock: Clock) -> None:
    manager: dict[str, Any] = {"user": "fimbrialab_manager"}
    api.ok("POST", "/lines", {"name": "PV line", "nickname": "PV"}, **manager)
    for nickname, sex in (("DAD", "M"), ("MUM", "F")):
        body = {"nickname": nickname, "lab": "fimbrialab", "sex": sex, "line": "PV line"}
        api.ok("POST", "/subjects", {**body, "birth_date": "2026-01-01"})
    pair = {"line": "PV line", "father": "DAD", "mother1": "MUM", "start_date": "2026-05-01"}
    plug = {"events": [{"date": "2026-05-16", "event": "plug"}]}
    api.ok("POST", "/breeding-pairs", {**pair, **plug})
    session = {"subject": "FI_001", "start_time": "2026-06-02T08:00", "users": [MEMBER]}
    eid = api.ok("POST", "/sessions", session)["id"]
    assert hour()["made"] == 2
    birth, empty = sorted(told(api), key=lambda each: each["notification_type"])
    assert birth["title"] == "PV_BP_001: a birth is expected on 2026-06-05"
    assert (empty["title"], empty["session"]) == ("FI_001 2026-06-02 001 has no data yet", eid)

    task = write.create(eid, "fimbrialab", "2026-06-02T08:00:00", {"name": "t", "executable": "x"})
    clock.now = datetime.now(UTC) + timedelta(hours=25)  # tasks go by the computer's clock
    assert hour()["made"] == 1
    (old,) = told(api, "fimbrialab_manager")
    assert old["notification_type"] == "queue_old"
    assert old["title"] == "1 tasks of fimbrialab wait for a worker"
    assert task.id


def test_a_task_that_failed_twice_is_told_with_its_session(api: Api, clock: Clock) -> None:
    session = {"subject": "FI_001", "start_time": "2026-06-03T08:00", "users": [MEMBER]}
    eid = api.ok("POST", "/sessions", session)["id"]
    fields = {"name": "TrialRegisterRaw", "executable": "x"}
    task = write.create(eid, "fimbrialab", "2026-06-03T08:00:00", fields)
    worker: dict[str, Any] = {"user": "fimbrialab_worker"}
    for attempt in (1, 2):
        claimed = api.ok("POST", f"/tasks/{task.id}/claim", {"worker": "w"}, **worker)
        done = {"attempt": claimed["attempt"], "status": "Errored", "log": "no disk"}
        api.ok("POST", f"/tasks/{task.id}/complete", done, **worker)
        assert hour()["made"] == (attempt == 2)
        api.ok("PATCH", f"/tasks/{task.id}", {"status": "Waiting"}) if attempt == 1 else None
    (notice,) = told(api)
    assert notice["title"] == "TrialRegisterRaw of FI_001 2026-06-03 001 failed 2 times"
    assert (notice["task"], notice["session"]) == (task.id, eid)


def test_rules_say_who_is_told(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    rule = {"notification_type": "mouse_water", "subjects_scope": "nobody"}
    api.ok("POST", "/notification-rules", rule)
    wide = {"notification_type": "mouse_water", "subjects_scope": "lab", "channel": "app"}
    api.ok("POST", "/notification-rules", wide, user="fimbrialab_manager")
    other = {"notification_type": "mouse_water", "subjects_scope": "all"}
    api.ok("POST", "/notification-rules", other, user="septumlab_member")
    clock.set("2026-06-03T10:00")
    hour()
    assert kinds(api) == []
    assert kinds(api, "fimbrialab_manager") == kinds(api, "septumlab_member") == ["mouse_water"]
    assert kinds(api, "septumlab_manager") == []


def test_an_hour_without_news_costs_a_look_at_the_feed(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")
    with metered() as first:
        hour()
    made = {name: units for name, units in first.by_operation.items() if "Write" in name}
    assert sum(made.values()) <= 20, made
    clock.set("2026-06-03T10:01")
    with metered() as second:
        hour()
    assert second.by_operation.keys() == {"Query"}
    assert second.units <= 2


def test_two_invocations_at_once_tell_once(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")
    catalog.start_request()
    facts = gather.facts_of(next(each for each in gather.labs() if each["name"] == "fimbrialab"))
    (notice,) = due(facts)
    (person,) = [each for each in gather.people() if each.username == MEMBER]
    # Both looked before either had written
    keys = [store.tell(notice, facts, person, store.USUAL) for _ in range(2)]
    assert keys == [notice.id_for("fimbrialab", MEMBER), None]
    assert len(told(api)) == 1


# --- e-mails -------------------------------------------------------------------------------------


def test_an_e_mail_is_sent_once_and_logged(api: Api, clock: Clock, mailbox: Mailbox) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")
    assert hour() == {"made": 1, "told": {"sent": 1}}
    (mail,) = mailbox.mails
    assert mail["To"] == [f"{MEMBER}@example.org"]
    assert mail["Subject"] == "[Fornix] 1.0 mL remaining for FI_001"
    (notice,) = told(api)
    assert notice["status"] == "sent"
    assert [(each["channel"], each["outcome"]) for each in notice["deliveries"]] == [
        ("email", "sent")
    ]
    assert notice["deliveries"][0]["detail"] == mail["MessageId"]
    hour()
    assert len(mailbox.mails) == 1


def test_quiet_hours_hold_it_back_until_they_end(api: Api, clock: Clock, mailbox: Mailbox) -> None:
    restricted(api, clock)
    quiet = {"notification_type": "mouse_water", "quiet_hours": "09:00-13:00"}
    api.ok("POST", "/notification-rules", quiet)
    clock.set("2026-06-03T10:00")  # 11:00 in Lisbon
    assert hour() == {"made": 1, "told": {}}
    (notice,) = told(api)
    assert (notice["status"], notice["send_at"]) == ("to-send", "2026-06-03T12:00:00")
    clock.set("2026-06-03T11:59")
    assert hour()["told"] == {}
    clock.set("2026-06-03T12:00")
    assert hour()["told"] == {"sent": 1}
    assert len(mailbox.mails) == 1


def test_what_the_api_tells_is_sent_as_well(api: Api, clock: Clock, mailbox: Mailbox) -> None:
    given = {"responsible_user": "fimbrialab_manager"}
    api.ok("PATCH", "/subjects/FI_001", given, user="fimbrialab_member")
    assert hour()["told"] == {"sent": 1}
    (mail,) = mailbox.mails
    assert mail["To"] == ["fimbrialab_manager@example.org"]


def test_a_refused_e_mail_is_tried_thrice_and_stays_in_the_app(
    api: Api, clock: Clock, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    restricted(api, clock)
    monkeypatch.setenv("FORNIX_MAIL_FROM", "nobody@elsewhere.test")  # not verified
    aws.forget()
    for at, status in (("10:00", "to-send"), ("11:00", "to-send"), ("12:00", "not-sent")):
        clock.set(f"2026-06-03T{at}")
        assert hour()["told"] == {"failed": 1}
        (notice,) = told(api)
        assert notice["status"] == status
    assert [each["outcome"] for each in notice["deliveries"]] == ["failed"] * 3
    assert "MessageRejected" in notice["deliveries"][0]["detail"]
    clock.set("2026-06-03T13:00")
    assert hour()["told"] == {}


def test_a_bounce_is_in_the_log(api: Api, clock: Clock, mailbox: Mailbox) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")
    hour()
    (notice,) = told(api)
    event = {
        "eventType": "Bounce",
        "mail": {"tags": {"notice": [notice["id"]]}},
        "bounce": {"bounceType": "Permanent", "bounceSubType": "NoEmail"},
    }
    for _ in range(2):  # the queue may deliver it twice
        assert later(event) == {"batchItemFailures": []}
    (notice,) = told(api)
    assert [(each["outcome"], each["detail"]) for each in notice["deliveries"][1:]] == [
        ("bounced", "Permanent NoEmail")
    ]


def test_an_e_mail_whose_sender_was_stopped_is_sent_by_the_next(
    api: Api, clock: Clock, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")

    def stop(mail: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(store.mail, "send", stop)
        with pytest.raises(KeyboardInterrupt):
            hour()
    clock.set("2026-06-03T10:05")
    assert hour()["told"] == {}  # it may be on its way still
    clock.set("2026-06-03T10:20")
    assert hour()["told"] == {"sent": 1}


# --- who sees and changes what -------------------------------------------------------------------


def test_people_read_and_mark_their_own_and_send_none_again(api: Api, clock: Clock) -> None:
    restricted(api, clock)
    clock.set("2026-06-03T10:00")
    hour()
    (notice,) = told(api)
    at = f"/notifications/{notice['id']}"
    assert api("GET", at, user="fimbrialab_manager").status == 404
    assert len(told(api, "admin")) == 1
    assert api("PATCH", at, {"status": "to-send"}).status == 400
    assert api.ok("PATCH", at, {"status": "read", "deliveries": []})["status"] == "read"
    assert api.ok("GET", at)["deliveries"]


def test_one_labs_trouble_does_not_keep_the_others(
    api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    restricted(api, clock)
    whole = gather.facts_of

    def broken(lab: Any) -> Any:
        if lab["name"] == "septumlab":
            raise RuntimeError("damaged")
        return whole(lab)

    monkeypatch.setattr(function.gather, "facts_of", broken)
    clock.set("2026-06-03T10:00")
    assert hour()["made"] == 1
