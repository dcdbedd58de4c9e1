"""The replica feed: what a device holds, what it is told, what it has to forget, what it costs."""

from __future__ import annotations

import datetime as dt
import gzip
import uuid
from typing import Any

import pytest

from functions.api.replica import NOT_HELD, WINDOWS
from functions.api.resources import KINDS
from functions.api.routes import changes
from shared import catalog
from shared.model import moment
from shared.records import feed
from shared.records.items import Document
from shared.records.meter import metered
from shared.records.table import Record
from tests.api.conftest import Api
from tests.api.device import Device

MEMBER = "fimbrialab_member"


def day(ago: int) -> str:
    return (moment.now() - dt.timedelta(days=ago)).strftime("%Y-%m-%dT00:00:00")


def weigh(api: Api, subject: str = "FI_001", weight: float = 24, ago: int = 0, **more: Any) -> str:
    body = {"subject": subject, "weight": weight, "date_time": day(ago), "unusual": True}
    url: str = api.ok("POST", "/weighings", body, user="admin", **more)["url"]
    return url.rpartition("/")[2]


def test_a_device_loads_and_follows_what_its_lab_holds(api: Api) -> None:
    first = weigh(api, ago=3)
    device = Device(api)
    # When it has loaded
    device.pull()
    # Then it has its lab's records and the lists, as lists show them, and nothing of others
    assert set(device.of("subject")) == {"FI_001", "FI_002"}
    assert device.of("weighing")[first]["weight"] == 24
    assert device.of("weighing")[first]["date_time"] == day(3)
    assert set(device.of("lab")) == {"fimbrialab", "septumlab"}
    assert "Water" in device.of("water-type")
    assert not device.of("dataset-type")
    assert all("password" not in row for row in device.of("user").values())
    # When records are made, changed and deleted
    second = weigh(api)
    api.ok("PATCH", f"/weighings/{second}", {"weight": 25.5})
    api.ok("PATCH", "/subjects/FI_001", {"description": "calm"})
    api.ok("DELETE", f"/weighings/{first}")
    weigh(api, "SE_001")
    device.pull()
    # Then it has them as they are
    assert {row["weight"] for row in device.of("weighing").values()} == {25.5}
    assert device.of("subject")["FI_001"]["description"] == "calm"
    assert device.reloads == 0
    fresh = Device(api)
    fresh.pull()
    assert device.text() == fresh.text()


def test_an_unchanged_lab_is_told_nothing_and_costs_two_read_units(api: Api) -> None:
    device = Device(api)
    device.pull()
    first = api("GET", f"/changes?since={device.since}")
    # When nothing has changed
    with metered() as cost:
        again = api(
            "GET",
            f"/changes?since={device.since}",
            headers={"If-None-Match": first.headers["ETag"]},
        )
    # Then there is nothing to send, nor to take in
    assert (again.status, again.raw) == (304, b"")
    assert (first.body["rows"], first.body["blocks"]) == ([], [])
    assert first.body["next"] == device.since
    assert cost.units <= 2, cost


def test_after_a_change_the_place_moves_on_and_rests(api: Api) -> None:
    device = Device(api)
    device.pull()
    weigh(api)

    before = device.since
    device.pull()
    moved = device.since
    device.pull()

    assert before != moved
    assert device.since == moved


@pytest.mark.parametrize("restarted", [False, True])
def test_an_animal_that_leaves_the_lab_leaves_with_all_that_is_its(
    api: Api, restarted: bool
) -> None:
    mine, other = weigh(api), weigh(api, "FI_002")
    api.ok("POST", "/water-restriction", {"subject": "FI_001", "reference_weight": 25})
    here, there = Device(api), Device(api, "septumlab_member")
    here.pull()
    there.pull()
    assert mine in here.of("weighing")
    # When it is given to another lab; to a process that began later only the feed tells
    api.ok("PATCH", "/subjects/FI_001", {"lab": "septumlab"}, user="admin")
    if restarted:
        catalog.reset_for_tests()
    here.pull()
    there.pull()
    # Then the one device forgets it, the other has it, and both are as if they had loaded now
    assert "FI_001" not in here.of("subject")
    assert set(here.of("weighing")) == {other}
    assert not here.of("water-restriction")
    assert set(there.of("subject")) == {"SE_001", "FI_001"}
    assert set(there.of("weighing")) == {mine}
    assert len(there.of("water-restriction")) == 1
    for device, user in ((here, MEMBER), (there, "septumlab_member")):
        fresh = Device(api, user)
        fresh.pull()
        assert device.text() == fresh.text()
        assert device.reloads == 0


def test_who_leaves_a_lab_loads_again_and_has_nothing_of_it(api: Api) -> None:
    weigh(api)
    device = Device(api)
    device.pull()
    # When the account is moved to another lab
    api.ok("PATCH", f"/users/{MEMBER}", {"lab": ["septumlab"]}, user="admin")
    device.pull()
    # Then nothing of the former one is left
    assert device.reloads == 1
    assert set(device.of("subject")) == {"SE_001"}
    assert not device.of("weighing")


def test_a_bookmark_of_one_account_is_not_good_for_another(api: Api) -> None:
    device = Device(api)
    device.pull()

    answer = api("GET", f"/changes?since={device.since}", user="fimbrialab_manager")

    assert answer.status == 410


def test_what_is_old_is_not_held(api: Api) -> None:
    old, young = weigh(api, ago=61), weigh(api, ago=59)
    long_dead = {"nickname": "FI_OLD", "lab": "fimbrialab", "death_date": day(91)[:10]}
    api.ok("POST", "/subjects", long_dead)
    lately = {"nickname": "FI_LATE", "lab": "fimbrialab", "death_date": day(89)[:10]}
    api.ok("POST", "/subjects", lately)
    device = Device(api)
    device.pull()

    assert set(device.of("weighing")) == {young}
    assert set(device.of("subject")) == {"FI_001", "FI_002", "FI_LATE"}
    # A change of what is old is told, and it is still not held
    api.ok("PATCH", f"/weighings/{old}", {"weight": 20})
    device.pull()
    assert set(device.of("weighing")) == {young}


def test_pages_of_a_load_and_of_changes_come_to_the_same(api: Api) -> None:
    ids = [weigh(api, weight=20 + i, ago=i) for i in range(12)]
    whole, paged = Device(api), Device(api, query="limit=5")
    whole.pull()
    # When something is deleted and made between two pages
    page = api.ok("GET", "/changes?limit=5")
    paged.take(page)
    assert page["more"]
    api.ok("DELETE", f"/weighings/{ids[3]}")
    weigh(api, weight=33)
    paged.pull()
    whole.pull()
    assert paged.text() == whole.text()
    assert paged.requests > 4
    # and when a device was away while much was written
    for n in range(12):
        api.ok("PATCH", "/subjects/FI_002", {"description": f"day {n}"})
        weigh(api, weight=10 + n)
    catalog.reset_for_tests()
    for device in (whole, paged):
        device.pull()
    assert paged.text() == whole.text()


def test_a_long_absence_is_told_in_pages_from_the_feed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(api, query="limit=3")
    device.pull()
    for n in range(10):
        weigh(api, weight=10 + n)
    catalog.reset_for_tests()  # another process, which does not remember
    monkeypatch.setattr(feed, "OVERLAP", dt.timedelta(0))  # as if all of it were long ago
    device.requests = 0

    device.pull()

    assert device.requests > 2
    assert {row["weight"] for row in device.of("weighing").values()} == set(range(10, 20))


def test_a_device_that_was_away_too_long_loads_again(api: Api) -> None:
    device = Device(api)
    device.pull()
    place = changes.bookmark_of(device.since)
    at = moment.now() - feed.KEPT + changes.MARGIN - dt.timedelta(seconds=1)
    device.since = changes.Bookmark(moment.stamp(at), place.scope).text()

    answer = api("GET", f"/changes?since={device.since}")

    assert answer.status == 410
    assert "load again" in answer.body["detail"]
    device.pull()
    assert (device.reloads, set(device.of("subject"))) == (1, {"FI_001", "FI_002"})


def test_a_restored_table_is_loaded_again(api: Api) -> None:
    device = Device(api)
    device.pull()
    with Record.batch_write() as batch:
        for item in feed.entries([[feed.RESET, "", 0, None]], []):
            batch.save(item)

    device.pull()

    assert device.reloads == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=nonsense", "since"),
        ("since=eyJhdCI6MX0", "since"),
        ("since=" + "A" * 3000, "since"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=many", "limit"),
        ("kinds=weighing,unicorn", "kinds"),
        ("kinds=dataset", "kinds"),
    ],
)
def test_odd_questions_are_refused_with_the_parameters_name(
    api: Api, query: str, field: str
) -> None:
    answer = api("GET", f"/changes?{query}")

    assert answer.status == 400
    assert list(answer.body) == [field, "status_code"]


def test_some_kinds_alone_can_be_followed(api: Api) -> None:
    weigh(api)
    device = Device(api, query="kinds=weighing,subject")
    device.pull()
    api.ok("PATCH", "/labs/fimbrialab", {"address": "x"}, user="admin")
    weigh(api)
    device.pull()

    assert {kind for kind, _ in device.rows} == {"weighing", "subject"}
    assert len(device.of("weighing")) == 2


def test_the_hash_of_the_forms_comes_with_every_page(api: Api) -> None:
    declared = api.ok("GET", "/forms")["hash"]
    load = api.ok("GET", "/changes")

    assert load["forms"] == declared
    assert api.ok("GET", f"/changes?since={load['next']}")["forms"] == declared


def test_what_is_said_of_kinds_is_of_kinds_and_fields_that_are_there() -> None:
    assert set(NOT_HELD) <= set(KINDS)
    assert all(each.field in KINDS[kind].fields for kind, each in WINDOWS.items())


def plant_a_lab(animals: int, weights: int) -> None:
    """Write a lab's animals and weights by batches, as an import leaves them."""
    made = []
    for i in range(animals):
        born = moment.now().date() - dt.timedelta(days=60 + i % 500)
        name = f"FI_{i + 10:04d}"
        body = {
            "nickname": name,
            "lab": "fimbrialab",
            "sex": "MF"[i % 2],
            "birth_date": born.isoformat(),
            "wean_date": (born + dt.timedelta(days=21)).isoformat(),
            "responsible_user": f"fimbrialab_{('member', 'manager')[i % 2]}",
            "line": f"line {i % 12}",
            "litter": f"line {i % 12}_L_{i // 7:03d}",
            "cage": f"C{i // 4:04d}",
            "ear_mark": ("L", "R", "LR", "")[i % 4],
            "species": "Mus musculus",
            "projects": ["demo"],
            "zygosities": [{"allele": f"a{i % 12}", "zygosity": i % 4}],
            "protocol_number": str(1 + i % 3),
            "description": "",
        }
        made.append(("subject", name, body))
    for i in range(weights):
        at = moment.now() - dt.timedelta(days=59 - i % 59, seconds=(i * 7919) % 30000)
        body = {
            "subject": f"FI_{i % 300 + 10:04d}",
            "date_time": at.isoformat(timespec="seconds"),
            "weight": 18 + (i * 31 % 130) / 10,
            "user": "fimbrialab_member",
        }
        made.append(("weighing", str(uuid.uuid5(uuid.NAMESPACE_OID, f"w{i}")), body))
    with Record.batch_write() as batch:
        for n, (kind, key, body) in enumerate(made):
            whole = {"id": key if kind == "weighing" else str(uuid.uuid4()), **body}
            version = 1_790_000_000_000 + n * 7_000
            item = Document(what=kind, id=whole["id"], body=whole, version=version)
            item.pk, item.sk = f"DOC#{kind}#{key}", "A"
            batch.save(item)


def test_a_first_replica_of_2000_animals_and_12000_weights_is_half_a_megabyte(api: Api) -> None:
    plant_a_lab(2_000, 12_000)
    device = Device(api)
    sent = 0
    with metered() as cost:
        device.api("GET", "/me")  # reads the table, as no snapshot is there
    with metered() as cost:
        more, since = True, ""
        while more:
            answer = api("GET", f"/changes{since}")
            assert len(answer.raw) < 5_000_000  # Lambda's answers hold 6 MB
            sent += len(gzip.compress(answer.raw, 6))
            device.take(answer.body)
            since, more = f"?since={device.since}", answer.body["more"]

    assert len(device.of("subject")) == 2_002
    assert len(device.of("weighing")) == 12_000
    assert sent <= 500_000, sent
    assert cost.units <= 8, cost  # all of it is from memory
