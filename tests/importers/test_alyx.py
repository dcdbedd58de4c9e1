"""Copying an Alyx: order, identifiers, throttling, disorder, kills, hostile rows."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab.client import LoginFailed, RequestRefused, Settings
from lab.importers.alyx import AlyxImport
from lab.importers.alyx_source import AlyxSource, NoAlyx
from lab.importers.carrier import Carrier
from lab.importers.journal import Journal, JournalInUse
from tests.processes import until


def run(alyx: Any, fornix: Any, journal: Journal | None = None, **source: Any) -> Journal:
    journal = journal or Journal()
    AlyxImport(alyx.source(**source), Carrier(fornix, journal)).run()
    return journal


def test_everything_arrives_with_its_id(alyx, fornix):
    # Given an Alyx with a session of two datasets and a weighing
    eid = alyx.session()
    weighing = str(uuid.uuid4())
    alyx.lists["weighings"] = [
        {
            "subject": "KS022",
            "date_time": "2020-06-19T09:00:00",
            "weight": 24.5,
            "user": "ada",
            "url": f"{alyx.url}/weighings/{weighing}",
        }
    ]
    # When it is copied
    journal = run(alyx, fornix)
    # Then the rows are there under the same ids, with what only the detail shows
    session = fornix.rows["sessions"][eid]
    assert session["n_trials"] == 801
    assert session["qc"] == "PASS"
    assert session["json"] == {"SESSION_DELAY_START": 3}
    assert "data_dataset_session_related" not in session
    assert set(fornix.rows["datasets"]) == {row["url"][-36:] for row in alyx.lists["datasets"]}
    dataset = next(iter(fornix.rows["datasets"].values()))
    assert dataset["session"] == eid
    assert dataset["hash"] is None  # Alyx's "" for "unknown"
    assert dataset["tags"] == ["2022_Q2_release"]
    source = next(r for r in alyx.lists["datasets"] if r["url"].endswith(dataset["id"]))
    assert dataset["file_records"] == [
        {k: source["file_records"][0][k] for k in ("data_repository", "relative_path")}
        | {"exists": True}
    ]
    assert fornix.rows["weighings"][weighing]["weight"] == 24.5
    assert list(journal.refusals()) == []
    assert journal.tallies()["datasets"] == {"created": 2}


def test_rows_come_after_those_they_refer_to(alyx, fornix):
    alyx.session()
    run(alyx, fornix)
    order = [r for r in fornix.requests if r in fornix.rows]
    for first, then in [
        ("data-repository", "labs"),
        ("labs", "users"),
        ("users", "projects"),
        ("tags", "datasets"),
        ("subjects", "sessions"),
        ("sessions", "datasets"),
    ]:
        assert order.index(first) < order.index(then)


def test_access_keys_and_passwords_stay_behind(alyx, fornix):
    journal = run(alyx, fornix)
    assert fornix.rows["data-repository"]["flatiron_cortexlab"]["json"] == {"bucket_name": "b"}
    assert "users come without passwords: invite them" in journal.notes()


def test_detail_routes_only_where_the_list_lacks_fields(alyx, fornix):
    alyx.session()
    alyx.session()
    run(alyx, fornix)
    details = [r for r in alyx.requests if r.split("?")[0].count("/") > 1]
    assert len(details) == 2
    assert all(r.startswith("/sessions/") for r in details)


def test_a_throttled_source_is_waited_for_as_long_as_it_asks(alyx, fornix):
    waits: list[float] = []
    alyx.faults = [(429, {"Retry-After": "17"}), (503, {"Retry-After": "5"}), (502, {})]
    run(alyx, fornix, sleep=waits.append)
    longest, second, *_ = sorted(waits, reverse=True)  # two lists are read at once
    assert longest >= 17
    assert second >= 5
    assert len(waits) == 3
    assert "cortexlab" in fornix.rows["labs"]


def test_requests_keep_their_distance(alyx, fornix):
    waits: list[float] = []
    source = AlyxSource(Settings(alyx.url, "ada", "pw"), rate=0.001, sleep=waits.append)
    source.get("/labs")
    source.get("/labs")
    assert len(waits) == 1
    assert 900 < waits[0] <= 1000


def test_wrong_password(alyx, fornix):
    source = AlyxSource(Settings(alyx.url, "ada", "wrong"), rate=0)
    with pytest.raises(LoginFailed):
        AlyxImport(source, Carrier(fornix, Journal())).run()


def test_a_token_that_expires_meanwhile_is_renewed(alyx, fornix):
    alyx.session()

    def expire(path: str) -> None:
        if path.startswith("/sessions/") and alyx.token.startswith("0"):
            alyx.token = "f" * 40

    alyx.before = expire
    run(alyx, fornix)
    assert len(fornix.rows["sessions"]) == 1


def test_lists_without_order_are_read_until_all_rows_have_shown_up(alyx, fornix):
    # Given a list of which each page is of another order, so that pages repeat and miss rows
    alyx.page_limit = 10
    alyx.shuffled = {"weighings"}
    alyx.lists["weighings"] = [
        {"subject": "KS022", "weight": 20 + i, "url": f"{alyx.url}/weighings/{uuid.uuid4()}"}
        for i in range(25)
    ]
    journal = run(alyx, fornix)
    # Then each row is sent once, and rows that never showed up are counted in the report
    arrived = len(fornix.rows["weighings"])
    missing = [r["id"] for r in journal.refusals() if r["resource"] == "weighings"]
    assert missing == ([] if arrived == 25 else [f"{25 - arrived} rows"])
    assert journal.tallies()["weighings"]["created"] == arrived > 15


def test_children_wait_for_their_parents(alyx, fornix):
    parent, child = sorted(str(uuid.uuid4()) for _ in range(2))[::-1]
    alyx.session(id=child, parent_session=f"{alyx.url}/sessions/{parent}")
    alyx.session(id=parent)
    orphan = alyx.session(parent_session=f"{alyx.url}/sessions/{uuid.uuid4()}")
    journal = run(alyx, fornix)
    assert list(fornix.rows["sessions"]).index(parent) < list(fornix.rows["sessions"]).index(child)
    assert fornix.rows["sessions"][child]["parent_session"] == parent
    assert fornix.rows["sessions"][orphan]["parent_session"] is None
    assert any("carried alone" in note for note in journal.notes())


def test_sessions_that_are_each_others_parents_are_carried_alone(alyx, fornix):
    a, b = str(uuid.uuid4()), str(uuid.uuid4())
    alyx.session(id=a, parent_session=f"{alyx.url}/sessions/{b}")
    alyx.session(id=b, parent_session=f"{alyx.url}/sessions/{a}")
    run(alyx, fornix)
    assert {row["parent_session"] for row in fornix.rows["sessions"].values()} <= {None, a, b}
    assert set(fornix.rows["sessions"]) == {a, b}


@pytest.mark.parametrize("stop_at", range(1, 11))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_import_goes_on(alyx, fornix, tmp_path: Path, stop_at: int, when: str):
    """Kill the import at each point, before or after the server has the rows; then resume."""
    eids = {alyx.session() for _ in range(30)}
    path = tmp_path / "journal.sqlite"
    calls = 0

    def kill(resource: str) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    setattr(fornix, when, kill)
    journal = Journal(path)
    with pytest.raises(KeyboardInterrupt):
        run(alyx, fornix, journal)
    journal.close()
    journal = Journal(path)
    run(alyx, fornix, journal)
    assert set(fornix.rows["sessions"]) == eids
    assert len(fornix.rows["datasets"]) == 60
    assert list(journal.refusals()) == []
    journal.close()


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_an_import_killed_while_children_wait_goes_on(alyx, fornix, tmp_path: Path, stop_at: int):
    """A chain of parents takes as many turns as it is long."""
    chain = sorted((str(uuid.uuid4()) for _ in range(4)), reverse=True)
    for eid, parent in zip(chain, [None, *chain], strict=False):
        alyx.session(id=eid, parent_session=parent and f"{alyx.url}/sessions/{parent}")
    calls = 0

    def kill(resource: str) -> None:
        nonlocal calls
        calls += resource == "sessions"
        if calls == stop_at and resource == "sessions":
            raise KeyboardInterrupt

    fornix.after = kill
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(KeyboardInterrupt):
        run(alyx, fornix, journal)
    journal.close()
    journal = Journal(tmp_path / "journal.sqlite")
    run(alyx, fornix, journal)
    assert list(fornix.rows["sessions"]) == chain
    parents = [row["parent_session"] for row in fornix.rows["sessions"].values()]
    assert parents == [None, *chain[:-1]]
    journal.close()


def test_what_is_done_is_not_read_again(alyx, fornix, tmp_path: Path):
    for _ in range(30):
        alyx.session()
    journal = Journal(tmp_path / "journal.sqlite")
    run(alyx, fornix, journal)
    before = len(alyx.requests)
    run(alyx, fornix, journal)
    again = alyx.requests[before:]
    assert [r for r in again if "/sessions" in r or "session=" in r] == []
    journal.close()


def test_a_repeat_changes_nothing(alyx, fornix):
    alyx.session()
    run(alyx, fornix)
    journal = run(alyx, fornix)
    tallies = journal.tallies()
    assert all("created" not in outcomes for outcomes in tallies.values())
    assert tallies["datasets"] == {"unchanged": 2}


def test_two_imports_cannot_share_a_journal(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(JournalInUse):
        Journal(tmp_path / "journal.sqlite")
    journal.close()


def test_hostile_rows_are_reported_and_the_rest_arrives(alyx, fornix):
    # Given rows that no Alyx should show
    good = alyx.session()
    alyx.session(parent_session="file:///etc/passwd")
    deleted = alyx.session()
    del alyx.details[deleted]
    broken = alyx.session()
    alyx.details[broken] = lambda: (500, {"status_code": 500, "detail": "MultipleObjects"})
    swapped = alyx.session()
    alyx.details[swapped] = alyx.details[good]
    alyx.lists["sessions"] += [None, {"id": "no uuid", "url": 7}, {"id": {"$ne": 1}}]
    alyx.lists["subjects"] += ["a string", {"nickname": ""}, {"nickname": None}]
    alyx.dataset(good, "x.y.npy", file_records="none")
    alyx.dataset(good, "x.z.npy", url="javascript:alert(1)")
    # When it is copied
    journal = run(alyx, fornix)
    # Then what is right is there
    assert list(fornix.rows["sessions"]) == [good]
    assert len(fornix.rows["datasets"]) == 2
    # and all the rest is accounted for
    told = [(r["resource"], r["reason"]) for r in journal.refusals()]
    assert ("sessions", "deleted from the source meanwhile") in told
    assert ("sessions", "the source fails to show it") in told
    assert ("sessions", "the source shows another row under the session's address") in told
    assert ("datasets", "its file records are not a list") in told
    assert sum(r == "sessions" for r, _ in told) == 7
    assert sum(r == "subjects" for r, _ in told) == 3
    assert sum(r == "datasets" for r, _ in told) == 2


def test_rows_that_the_server_refuses_are_reported_and_their_datasets_not_sent(alyx, fornix):
    taken, other = alyx.session(number=1), alyx.session(number=2)
    session = {"subject": "KS022", "start_time": "2020-06-20T00:00:00", "number": 1}
    fornix.rows["sessions"] = {str(uuid.uuid4()): session}
    journal = run(alyx, fornix)
    assert other in fornix.rows["sessions"]
    assert taken not in fornix.rows["sessions"]
    told = {r["resource"]: (r["id"], r["detail"]) for r in journal.refusals()}
    assert told["sessions"][0] == taken
    assert told["datasets"][1] == f"2 datasets of session {taken}"
    assert journal.tallies()["datasets"] == {"created": 2, "not carried": 2}
    assert {row["session"] for row in fornix.rows["datasets"].values()} == {other}


def test_a_server_that_is_no_alyx(alyx, fornix):
    alyx.lists["labs"] = lambda: (200, {"labs": []})
    with pytest.raises(NoAlyx):
        run(alyx, fornix)
    alyx.lists["labs"] = lambda: (200, b"<html>")
    with pytest.raises(RequestRefused):
        run(alyx, fornix)


def test_a_source_without_a_route_is_noted(alyx, fornix):
    del alyx.lists["locations"]
    journal = run(alyx, fornix)
    assert "the source has no locations" in journal.notes()


def test_fields_that_are_not_carried_are_noted(alyx, fornix):
    alyx.lists["subjects"][0]["genotype"] = ["Ai148/+"]
    alyx.lists["downloads"] = [{"id": str(uuid.uuid4())}]
    journal = run(alyx, fornix)
    assert "subjects: the field 'genotype' is not carried" in journal.notes()
    assert any(note.startswith("1 rows of downloads are not copied") for note in journal.notes())


def test_surgeries_get_names_and_restrictions_get_ids(alyx, fornix):
    """Alyx shows surgeries raw, with identifiers, and restrictions without their own."""
    procedure = str(uuid.uuid4())
    alyx.lists["procedures"] = [{"id": procedure, "name": "Headplate implant", "json": None}]
    surgery = {
        "id": str(uuid.uuid4()),
        "subject": alyx.lists["subjects"][0]["id"],
        "users": [alyx.lists["users"][0]["id"]],
        "procedures": [procedure],
        "start_time": "2020-01-01T10:00:00",
        "implant_weight": 1.2,
        "outcome_type": "r",
    }
    alyx.lists["surgeries"] = [surgery, surgery | {"id": str(uuid.uuid4()), "subject": "?"}]
    alyx.lists["water-restriction"] = [
        {"subject": "KS022", "start_time": "2020-02-01T10:00:00", "reference_weight": 25.0}
    ]
    journal = run(alyx, fornix)
    row = fornix.rows["surgeries"][surgery["id"]]
    assert (row["subject"], row["users"], row["procedures"]) == (
        "KS022",
        ["ada"],
        ["Headplate implant"],
    )
    (restriction,) = fornix.rows["water-restriction"]
    assert uuid.UUID(restriction).version == 4
    (refusal,) = journal.refusals()
    assert "subjects" in refusal["reason"]


def test_a_dry_run_sends_nothing(alyx, fornix):
    alyx.session()
    journal = Journal()
    AlyxImport(alyx.source(), Carrier(fornix, journal, dry_run=True)).run()
    assert fornix.rows == {}
    assert journal.tallies()["datasets"] == {"to send": 2}


def test_times_of_the_server_become_the_labs(alyx, fornix):
    """Alyx keeps weighings in the server's zone and shifts them to the lab's to count a day."""
    alyx.lists["labs"][0]["timezone"] = "America/New_York"
    ids = [str(uuid.uuid4()) for _ in range(3)]
    times = ["2020-06-20T03:00:00", "2020-12-20T03:00:00.5", "yesterday"]
    alyx.lists["weighings"] = [
        {"subject": "KS022", "date_time": t, "weight": 24.5, "url": f"{alyx.url}/weighings/{i}"}
        for i, t in zip(ids, times, strict=True)
    ]
    journal = Journal()
    zone = ZoneInfo("Europe/London")
    AlyxImport(alyx.source(), Carrier(fornix, journal), zone).run()
    rows = fornix.rows["weighings"]
    assert rows[ids[0]]["date_time"] == "2020-06-19T22:00:00"
    assert rows[ids[1]]["date_time"] == "2020-12-19T22:00:00.500000"
    assert [r["reason"] for r in journal.refusals()] == ["'yesterday' is no time"]


def test_users_who_act_for_others_may_come_before_them(alyx, fornix):
    users = alyx.lists["users"]
    users[0]["allowed_users"] = ["grace"]
    users.append(users[0] | {"id": str(uuid.uuid4()), "username": "grace", "allowed_users": []})
    run(alyx, fornix)
    assert fornix.rows["users"]["ada"]["allowed_users"] == ["grace"]
    assert "password" not in fornix.rows["users"]["ada"]


def test_species_and_strains_of_which_alyx_has_no_list_are_made(alyx, fornix):
    alyx.lists["subjects"][0]["strain"] = "C57BL/6J"
    run(alyx, fornix)
    assert set(fornix.rows["species"]) == {"Mus musculus"}
    assert set(fornix.rows["data-repository-type"]) == {"Cardboard box"}
    assert set(fornix.rows["strains"]) == {"C57BL/6J"}


def test_datasets_of_no_session_belong_to_what_their_path_says(alyx, fornix):
    def aggregate(path: str) -> str:
        record = {"data_repository": "flatiron_cortexlab", "relative_path": path, "exists": True}
        return alyx.dataset(None, "a.table.pqt", file_records=[record])

    subject = aggregate("aggregates/Subjects/cortexlab/KS022/_ibl_subjectTrials.table.pqt")
    release = aggregate("resources/aggregates/Tags/2022_Q2_release/a.table.pqt")
    aggregate("elsewhere/a.table.pqt")
    journal = run(alyx, fornix)
    rows = fornix.rows["datasets"]
    assert (rows[subject]["content_type"], rows[subject]["object_id"]) == (
        "subjects.subject",
        alyx.lists["subjects"][0]["id"],
    )
    assert (rows[release]["content_type"], rows[release]["object_id"]) == (
        "data.tag",
        alyx.lists["tags"][0]["id"],
    )
    (refusal,) = journal.refusals()
    assert "no path" in refusal["reason"]


def test_sessions_are_read_while_others_are_written_and_their_datasets_together(
    alyx, fornix, monkeypatch
):
    # Given seven sessions, of which two are written at a time
    monkeypatch.setattr("lab.importers.alyx.CHUNK", 2)
    monkeypatch.setattr("lab.importers.alyx.ROUND", 1)
    eids = [alyx.session(number=number) for number in range(1, 8)]

    def read() -> list[str]:
        return [r for r in alyx.requests if r.startswith("/sessions/")]

    written = []

    def slowly(resource: str) -> None:
        if resource == "sessions":
            written.append(resource)
            # When some are written, then the next ones are read meanwhile
            until(lambda: len(read()) >= min(2 * len(written) + 2, 7))

    fornix.before = slowly
    journal = run(alyx, fornix)
    # Then all arrive, by one request for each session, and one for the datasets of each two
    assert set(fornix.rows["sessions"]) == set(eids)
    assert len(fornix.rows["datasets"]) == 14
    assert len(read()) == 7
    asked = [r for r in alyx.requests if r.startswith("/datasets?") and "isnull" not in r]
    assert len(asked) == 4
    assert list(journal.refusals()) == []


def test_the_next_pages_of_a_list_are_read_while_one_is_written(alyx, fornix):
    # Given an Alyx whose pages are of two rows, and six weighings
    alyx.page_limit = 2
    alyx.session()
    alyx.lists["weighings"] = [
        {
            "subject": "KS022",
            "date_time": f"2020-06-19T{hour:02d}:00:00",
            "weight": 24.5,
            "user": "ada",
            "url": f"{alyx.url}/weighings/{uuid.uuid4()}",
        }
        for hour in range(8, 14)
    ]

    # When the first page is written only after two others were asked for
    def wait(resource: str) -> None:
        if resource == "weighings":
            until(lambda: [r for r in alyx.requests if "/weighings" in r and "offset=4" in r])

    fornix.before = wait
    run(alyx, fornix)
    # Then all arrive, and each page was read once
    assert len(fornix.rows["weighings"]) == 6
    pages = [path for path in alyx.requests if path.startswith("/weighings")]
    assert len(pages) == len(set(pages)) == 3
