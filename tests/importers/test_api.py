"""Imports into the real API, over real sockets: Alyx, tables, folders, and Fornix to Fornix."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.client import Client, RequestRefused, Settings
from lab.importers.alyx import AlyxImport
from lab.importers.alyx_source import AlyxSource
from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport
from lab.importers.identifiers import derived
from lab.importers.journal import Journal
from lab.importers.sessions import Repository
from shared.model import moment
from shared.records.meter import metered
from shared.sessions.delete import delete_session
from shared.work import read

ROOT = Path(__file__).resolve().parents[2]


def copy(source: AlyxSource, target: Client) -> Journal:
    journal = Journal()
    AlyxImport(source, Carrier(target, journal)).run()
    return journal


def everything(alyx: Any) -> dict[str, Any]:
    """Fill the small Alyx with one row of each kind; return their ids."""
    ids = {"session": alyx.session(n_datasets=3)}
    path = "aggregates/Subjects/cortexlab/KS022/_ibl_subjectTrials.table.pqt"
    ids["aggregate"] = alyx.dataset(None, "_ibl_subjectTrials.table.pqt", collection=None)
    alyx.lists["datasets"][-1]["file_records"][0]["relative_path"] = path
    for name in ("weighing", "water", "insertion", "trajectory", "surgery", "note"):
        ids[name] = str(uuid.uuid4())
    ids["procedure"] = alyx.lists["procedures"][0]["id"]
    alyx.lists |= {
        "water-type": [{"name": "Water", "json": None, "url": f"{alyx.url}/water-type/Water"}],
        "weighings": [
            {
                "subject": "KS022",
                "date_time": "2020-06-19T09:00:00",
                "weight": 24.5,
                "user": "ada",
                "url": f"{alyx.url}/weighings/{ids['weighing']}",
            }
        ],
        "water-administrations": [
            {
                "subject": "KS022",
                "date_time": "2020-06-20T15:00:00",
                "water_administered": 0.9,
                "water_type": "Water",
                "user": "ada",
                "session": ids["session"],
                "adlib": False,
                "url": f"{alyx.url}/water-administrations/{ids['water']}",
            }
        ],
        "water-restriction": [
            {
                "subject": "KS022",
                "start_time": "2020-06-01T09:00:00",
                "end_time": None,
                "water_type": "Water",
                "reference_weight": 25.5,
            }
        ],
        "surgeries": [
            {
                "id": ids["surgery"],
                "name": "",
                "subject": alyx.lists["subjects"][0]["id"],
                "users": [alyx.lists["users"][0]["id"]],
                "procedures": [ids["procedure"]],
                "start_time": "2020-01-01T10:00:00",
                "end_time": None,
                "implant_weight": 1.2,
                "outcome_type": "r",
                "narrative": "",
                "json": None,
            }
        ],
        "insertions": [
            {
                "id": ids["insertion"],
                "session": ids["session"],
                "model": "3B2",
                "session_info": {"id": ids["session"]},
                "name": "probe00",
                "json": {"qc": "PASS"},
                "serial": "19051016842",
                "auto_datetime": "2021-01-01T00:00:00",
                "chronic_insertion": None,
                "datasets": [],
            }
        ],
        "trajectories": [
            {
                "id": ids["trajectory"],
                "probe_insertion": ids["insertion"],
                "chronic_insertion": None,
                "x": -2243.1,
                "y": -2000.0,
                "z": -361.0,
                "depth": 4000.0,
                "theta": 15.0,
                "phi": 180.0,
                "roll": 0.0,
                "provenance": "Planned",
                "coordinate_system": "IBL-Allen",
                "json": None,
                "session": {"id": ids["session"]},
                "probe_name": "probe00",
            }
        ],
        "notes": [
            {
                "id": ids["note"],
                "user": "ada",
                "date_time": "2020-06-21T10:00:00",
                "content_type": "actions.session",
                "object_id": ids["session"],
                "text": "Nice session",
                "image": None,
                "json": None,
            }
        ],
    }
    return ids


def test_an_alyx_is_there_with_all_ids(alyx, api):
    # Given an Alyx with a row of each kind
    ids = everything(alyx)
    # When it is copied into Fornix
    journal = copy(alyx.source(), api)
    # Then nothing is lost
    assert list(journal.refusals()) == []
    session = api.get(f"/sessions/{ids['session']}")
    assert session["start_time"] == "2020-06-20T14:03:07.123456"
    assert session["procedures"] == ["Behavior training/tasks"]
    assert session["extended_qc"] == {"_task_goCue_delays": 0.99}
    assert session["qc"] == "PASS"
    expected = {row["url"][-36:] for row in alyx.lists["datasets"] if row["session"]}
    assert {d["id"] for d in session["data_dataset_session_related"]} == expected
    assert [n["text"] for n in session["notes"]] == ["Nice session"]
    assert session["wateradmin_session_related"][0]["id"] == ids["water"]
    assert session["probe_insertion"][0]["id"] == ids["insertion"]
    # and each is found under its own id
    for source in alyx.lists["datasets"]:
        dataset = api.get(f"/datasets/{source['url'][-36:]}")
        assert dataset["tags"] == ["2022_Q2_release"]
        assert dataset["created_by"] == "ada"
        assert dataset["created_datetime"] == "2020-07-01T10:00:00"
        (record,) = source["file_records"]
        (copied,) = dataset["file_records"]
        assert copied["relative_path"] == record["relative_path"]
        # and its place under the one that follows from the dataset and the repository
        file = api.get(f"/files/{copied['id']}")
        assert file["dataset"].endswith(dataset["id"])
        assert file["data_repository"] == record["data_repository"]
    aggregate = api.get(f"/datasets/{ids['aggregate']}")
    assert aggregate["session"] is None
    assert aggregate["object_id"] == alyx.lists["subjects"][0]["id"]
    assert api.get(f"/weighings/{ids['weighing']}")["weight"] == 24.5
    assert api.get(f"/insertions/{ids['insertion']}")["model"] == "3B2"
    assert api.get(f"/trajectories/{ids['trajectory']}")["provenance"] == "Planned"
    assert api.get(f"/surgeries/{ids['surgery']}")["implant_weight"] == 1.2
    subject = api.get("/subjects/KS022")
    assert subject["id"] == alyx.lists["subjects"][0]["id"]
    assert subject["species"] == "Mus musculus"
    (restriction,) = api.get("/water-restriction", subject="KS022")["results"]
    assert restriction["reference_weight"] == 25.5
    assert api.get("/users/ada")["id"] == alyx.lists["users"][0]["id"]


def test_a_repeat_changes_nothing(alyx, api):
    everything(alyx)
    first = copy(alyx.source(), api)
    again = copy(alyx.source(), api)
    assert list(again.refusals()) == []
    created = {resource: n["created"] for resource, n in first.tallies().items()}
    unchanged = {r: n.get("unchanged", n.get("kept")) for r, n in again.tallies().items()}
    assert unchanged == {r: n for r, n in created.items() if r in unchanged}
    # The lab has got a repository of Fornix's own meanwhile: it is left as it is.
    assert [r for r, n in again.tallies().items() if "kept" in n] == ["labs"]


def test_fornix_to_fornix_keeps_all_ids(alyx, api, other):
    """Fornix speaks Alyx: a Fornix is a source like any other."""
    # Given a Fornix that holds an Alyx
    ids = everything(alyx)
    copy(alyx.source(), other)
    # When another copies it
    source = AlyxSource(other.settings, rate=0)
    journal = copy(source, api)
    # Then both show the same
    assert list(journal.refusals()) == []
    lost = {note for note in journal.notes() if "is not carried" in note}
    assert lost == {"users: the field 'role' is not carried"}
    for path in (
        f"/sessions/{ids['session']}",
        f"/insertions/{ids['insertion']}",
        f"/weighings/{ids['weighing']}",
        f"/surgeries/{ids['surgery']}",
        f"/notes/{ids['note']}",
        "/subjects/KS022",
        "/users/ada",
        "/labs/cortexlab",
        "/tags/2022_Q2_release",
        *(f"/datasets/{row['url'][-36:]}" for row in alyx.lists["datasets"]),
    ):
        here, there = (_plain(c.get(path), c.settings.url) for c in (api, other))
        assert here == there, path
    # Lists do not show the ids of restrictions; they follow from the subject and the start.
    restriction = derived("water-restriction", "KS022", "2020-06-01T09:00:00")
    path = f"/water-restriction/{restriction}"
    here, there = (_plain(c.get(path), c.settings.url) for c in (api, other))
    assert here == there


def _plain(value: Any, url: str) -> Any:
    """Return an answer without the server's address and the times of its own bookkeeping."""
    if isinstance(value, dict):
        own = ("auto_datetime", "datetime", "version")
        return {k: _plain(v, url) for k, v in value.items() if k not in own}
    if isinstance(value, list):
        return [_plain(v, url) for v in value]
    return value.replace(url, "") if isinstance(value, str) else value


def test_a_folder(api, tmp_path):
    path = tmp_path / "data/cortexlab/Subjects/KS022/2020-06-20/001/alf"
    path.mkdir(parents=True)
    did = str(uuid.uuid4())
    (path / "spikes.times.npy").write_bytes(b"1")
    (path / f"spikes.clusters.{did}.npy").write_bytes(b"2")

    def run() -> Journal:
        journal = Journal()
        nas = Repository("nas", "https://nas.example.org/data", plain_names=True)
        FolderImport(tmp_path / "data", Carrier(api, journal), nas, None).run()
        return journal

    journal = run()
    assert list(journal.refusals()) == []
    (session,) = api.get("/sessions")["results"]
    datasets = api.get("/datasets", session=session["id"])["results"]
    assert {d["name"] for d in datasets} == {"spikes.times.npy", "spikes.clusters.npy"}
    assert did in {d["id"] for d in datasets}
    assert {d["dataset_type"] for d in datasets} == {"spikes.times", "spikes.clusters"}
    assert all(uuid.UUID(d["id"]).version == 4 for d in datasets)
    # and their bytes are where they were, under the names they have there
    for row in datasets:
        folder = "cortexlab/Subjects/KS022/2020-06-20/001"
        name = row["name"].replace(".npy", f".{row['id']}.npy")
        answer = requests.get(
            f"{api.settings.url}/data/{folder}/alf/{name}",
            headers={"Authorization": f"Token {api.settings.token}"},
            allow_redirects=False,
            timeout=10,
        )
        on_disk = name if row["id"] == did else row["name"]
        assert answer.status_code == 302
        address = f"https://nas.example.org/data/{folder}/alf/{on_disk}"
        assert answer.headers["Location"] == address
    assert run().tallies() == {"sessions": {"unchanged": 1}, "datasets": {"unchanged": 2}}
    assert api.get("/datasets")["count"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resource": "passwords", "rows": []}, "resource"),
        ({"resource": ["labs"], "rows": []}, "resource"),
        ({"resource": "labs", "rows": {}}, "rows"),
        ({"resource": "labs", "rows": ["cortexlab"]}, "rows[0]"),
        ({"resource": "labs", "rows": [{}] * 201}, "rows"),
    ],
)
def test_what_is_no_import(api, body, field):
    with pytest.raises(RequestRefused) as refused:
        api.post("/import", body)
    assert refused.value.status == 400
    assert field in refused.value.body


def test_rows_are_refused_one_by_one(api):
    rows = [
        {"name": "cortexlab", "timezone": "Europe/London"},
        {"name": "no lab"},
        {"name": "marslab", "timezone": "Mars/Base"},
        {"name": "cortexlab", "timezone": "Europe/Lisbon"},
        {"name": "cortexlab"},
    ]
    answer = api.post("/import", {"resource": "labs", "rows": rows})
    assert (answer["created"], answer["unchanged"]) == (1, 1)
    assert [(r["id"], r["status"]) for r in answer["refused"]] == [
        ("cortexlab", 409),
        ("no lab", 400),
        ("marslab", 400),
    ]
    assert api.get("/labs/cortexlab")["timezone"] == "Europe/London"


def test_weights_are_stored_together_and_a_faulty_one_alone_is_refused(api: Client) -> None:
    _lab(api)
    days = range(1, 29)
    rows: list[dict[str, Any]] = [
        {"subject": "KS022", "weight": 20.0, "date_time": f"2024-07-{day:02d}T09:00:00"}
        | {"id": str(uuid.uuid4())}
        for day in days
    ]
    rows[3]["weight"] = "heavy"
    faulty = rows[3]["id"]
    with metered() as cost:
        answer = api.post("/import", {"resource": "weighings", "rows": rows})
    assert (answer["created"], len(answer["refused"])) == (27, 1)
    assert (answer["refused"][0]["id"], answer["refused"][0]["row"]) == (faulty, 3)
    stored = {row["url"][-36:] for row in api.get("/weighings", nickname="KS022")["results"]}
    assert stored == {row["id"] for row in rows} - {faulty}
    # Without a faulty row there are no more transactions than parts of a list
    more = [{**row, "id": str(uuid.uuid4()), "weight": 21.0} for row in rows]
    with metered() as cheap:
        assert api.post("/import", {"resource": "weighings", "rows": more})["created"] == 28
    assert cheap.requests < 10 < cost.requests
    assert api.post("/import", {"resource": "weighings", "rows": more})["unchanged"] == 28


def _lab(api: Client) -> None:
    api.post("/import", {"resource": "labs", "rows": [{"name": "cortexlab"}]})
    subject = {"nickname": "KS022", "lab": "cortexlab"}
    api.post("/import", {"resource": "subjects", "rows": [subject]})


def _session(number: int = 1, **fields: Any) -> dict[str, Any]:
    row = {"subject": "KS022", "lab": "cortexlab", "start_time": "2020-06-20T10:00:00"}
    return row | {"id": str(uuid.uuid4()), "number": number} | fields


def test_a_session_that_is_there_under_another_id_is_named(api):
    _lab(api)
    first, second = _session(), _session()
    assert api.post("/import", {"resource": "sessions", "rows": [first]})["created"] == 1
    (refused,) = api.post("/import", {"resource": "sessions", "rows": [second]})["refused"]
    assert (refused["id"], refused["status"]) == (second["id"], 409)
    assert refused["existing"] == first["id"]


@pytest.mark.parametrize("id_", [None, "x", 7, "2f0c7a54-e6b6-11f0-aa7d-02fc00000001", "A" * 36])
def test_a_session_without_a_usable_id_is_refused(api, id_):
    _lab(api)
    (refused,) = api.post("/import", {"resource": "sessions", "rows": [_session(id=id_)]})[
        "refused"
    ]
    assert refused["status"] == 400


def test_datasets_that_clash_are_refused_and_the_others_stored(api):
    # Given two sessions, and a dataset in the first
    _lab(api)
    one, two = _session(1), _session(2)
    api.post("/import", {"resource": "sessions", "rows": [one, two]})

    def dataset(session: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
        row = {"id": str(uuid.uuid4()), "session": session["id"], "name": name}
        return row | {"collection": "alf", "file_size": 3, "hash": "00" * 16} | fields

    def send(*rows: dict[str, Any]) -> dict[str, Any]:
        return api.post("/import", {"resource": "datasets", "rows": list(rows)})

    first = dataset(one, "a.b.npy")
    assert send(first)["created"] == 1
    # When rows come that clash with it
    answer = send(
        first,
        first | {"file_size": 4},
        first | {"id": str(uuid.uuid4())},
        first | {"session": two["id"]},
        dataset(one, "../../x.y.npy"),
        dataset(one, "c.d.npy", hash="no hash"),
        dataset(one, "c.d.npy", file_records=[{"exists": True}]),
        dataset(one, "c.d.npy", file_records="x"),
        dataset({"id": str(uuid.uuid4())}, "c.d.npy"),
        dataset(two, "e.f.npy"),
    )
    # Then each is refused for its own reason, and what is right is there
    assert (answer["created"], answer["unchanged"]) == (1, 1)
    assert sorted(r["status"] for r in answer["refused"]) == [400] * 5 + [409] * 3
    assert api.get(f"/datasets/{first['id']}")["file_size"] == 3
    assert api.get("/datasets")["count"] == 2


def test_a_session_of_thirty_datasets_with_two_places_each_takes_few_requests(api):
    # Given a session, and thirty datasets with ids of their own
    _lab(api)
    places = [{"name": name} for name in ("lab", "server")]
    api.post("/import", {"resource": "data-repository", "rows": places})
    one, two = _session(1), _session(2)
    api.post("/import", {"resource": "sessions", "rows": [one, two]})

    def dataset(session: dict[str, Any], number: int) -> dict[str, Any]:
        records = [
            {"data_repository": place["name"], "relative_path": f"x/{number}", "exists": True}
            for place in places
        ]
        row = {"id": str(uuid.uuid4()), "session": session["id"], "name": f"a.b{number}.npy"}
        return row | {"collection": "alf", "file_records": records}

    def send(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return api.post("/import", {"resource": "datasets", "rows": rows})

    rows = [dataset(one, number) for number in range(30)]
    # When they are imported
    with metered() as cost:
        assert send(rows)["created"] == 30
    # Then their sixty items need one transaction, one look at the session and one at ids
    assert cost.requests <= 5
    assert cost.by_operation["BatchGetItem"] <= 30
    # And again, nothing is written
    with metered() as again:
        assert send(rows)["unchanged"] == 30
    assert again.requests <= 4
    assert "TransactWriteItems" not in again.by_operation
    # And each is found by its own id, and its places by theirs, which can be changed
    found = api.get(f"/datasets/{rows[7]['id']}")
    assert found["name"] == "a.b7.npy"
    for place in found["file_records"]:
        path = f"/files/{place['id']}"
        assert api.patch(path, {"exists": False})["data_repository"] == place["data_repository"]
        assert api.get(path)["relative_path"] == "x/7"
    # When others come with one of these ids, then that one is refused alone
    clashing = [dataset(two, number) for number in range(3)]
    clashing[1]["id"] = rows[3]["id"]
    answer = send(clashing)
    assert (answer["created"], [r["status"] for r in answer["refused"]]) == (2, [409])
    # When the first session is gone, then its ids are free again
    delete_session(one["id"], who="admin")
    moved = dataset(two, 10)
    moved["id"] = rows[3]["id"]
    assert send([moved])["created"] == 1
    assert two["id"] in str(api.get(f"/datasets/{moved['id']}")["session"])


def test_the_history_of_tasks_comes_as_records_that_nothing_runs(alyx: Any, api: Client) -> None:
    # Given sessions of an Alyx with tasks that have ended, one that waits, and one of no session
    eids = [alyx.session(number=number, n_datasets=1) for number in (1, 2)]

    def task(eid: str | None, name: str, status: str, **fields: Any) -> dict[str, Any]:
        row = {"id": str(uuid.uuid4()), "name": name, "executable": f"ibllib.pipes.{name}"}
        times = {"datetime": "2021-02-03T04:05:06.123456", "time_elapsed_secs": 7.5}
        about = {"graph": "EphysPipeline", "arguments": {"n": 1}, "version": "2.0", "level": 1}
        return row | times | about | {"session": eid, "status": status, "parents": []} | fields

    alyx.lists["tasks"] = [
        task(eids[0], "Sorting", "Complete", log="sorted\n" * 20, priority=90),
        task(eids[0], "Sync", "Errored", log="no pulses"),
        task(eids[0], "Video", "Waiting"),
        *(task(eids[1], f"Part{place:02d}", "Empty") for place in range(50)),
        task(None, "Lost", "Complete"),
    ]
    # When it is imported, twice
    journal = copy(alyx.source(), api)
    assert journal.tallies()["tasks"] == {"created": 52}
    assert sum(n for note, n in journal.notes().items() if note.startswith("tasks: ")) == 2
    assert copy(alyx.source(), api).tallies()["tasks"] == {"unchanged": 52}
    # Then they are there as they ended, with their logs and times
    rows = {row["name"]: row for row in api.get("/tasks", session=eids[0])["results"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "Sorting": "Complete",
        "Sync": "Errored",
    }
    sorting = api.get(f"/tasks/{rows['Sorting']['id']}")
    assert sorting["log"] == "sorted\n" * 20
    assert sorting["datetime"].startswith("2021-02-03T04:05:06")
    assert (sorting["executable"], sorting["version"]) == ("ibllib.pipes.Sorting", "2.0")
    assert (sorting["priority"], sorting["time_elapsed_secs"]) == (90, 7.5)
    assert sorting["arguments"] == {"n": 1}
    assert api.get("/tasks", session=eids[1])["count"] == 50
    # And nothing waits to be run or followed up
    assert api.get("/tasks", status="Waiting")["count"] == 0
    assert read.due("cortexlab", before=moment.now(), most=10) == []


@pytest.mark.parametrize("status", ["Waiting", "Held", "Started", "Done", None, 5])
def test_a_task_that_has_not_ended_is_no_record(api: Client, status: Any) -> None:
    _lab(api)
    session = _session()
    api.post("/import", {"resource": "sessions", "rows": [session]})
    row = {"session": session["id"], "name": "Sync", "status": status}
    good = {**row, "status": "Complete", "name": "Good"}
    missing = {**good, "session": str(uuid.uuid4())}
    answer = api.post("/import", {"resource": "tasks", "rows": [row, good, missing]})
    assert answer["created"] == 1
    assert [refused["status"] for refused in answer["refused"]] == [400, 400]
    assert api.get("/tasks")["count"] == 1


def test_only_administrators_import(api):
    _lab(api)
    row = {"username": "ada", "lab": ["cortexlab"], "password": "a long password"}
    api.post("/users", row)
    member = Client(Settings(api.settings.url, "ada", "a long password"))
    with pytest.raises(RequestRefused) as refused:
        member.post("/import", {"resource": "labs", "rows": [{"name": "x"}]})
    assert refused.value.status == 403
    assert api.get("/labs")["count"] == 1


def test_two_labs_mice_of_one_name_come_as_two(alyx: Any, api: Client, tmp_path: Path) -> None:
    # Given an Alyx in which another lab has a mouse KS022, too, and records of both
    lab, mouse = alyx.lists["labs"][0], alyx.lists["subjects"][0]
    ids = {"cortexlab": mouse["id"], "otherlab": str(uuid.uuid4())}
    alyx.lists["labs"].append({**lab, "name": "otherlab"})
    alyx.lists["subjects"].append({**mouse, "id": ids["otherlab"], "lab": "otherlab", "sex": "F"})
    eids = {name: alyx.session("KS022", n_datasets=0, lab=name, number=1) for name in ids}
    weights = {"cortexlab": 20.0, "otherlab": 30.0}
    alyx.lists["weighings"] = [
        {
            "subject": "KS022",
            "date_time": "2020-06-19T09:00:00",
            "weight": weights[name],
            "user": "ada",
            "url": f"{alyx.url}/weighings/{uuid.uuid4()}",
            "_lab": name,
        }
        for name in ids
    ]
    start = {"subject": "KS022", "start_time": "2020-06-01T09:00:00", "water_type": None}
    alyx.lists["water-restriction"] = [{**start, "_lab": name} for name in ids]
    surgery = {"id": str(uuid.uuid4()), "subject": ids["otherlab"], "implant_weight": 1.0}
    alyx.lists["surgeries"] = [{**surgery, "start_time": "2020-06-02T09:00:00"}]
    # When it is copied, twice
    for outcome in ("created", "unchanged"):
        journal = copy(alyx.source(), api)
        assert list(journal.refusals()) == []
        tallies = journal.tallies()
        for resource in ("subjects", "sessions", "weighings", "water-restriction"):
            assert tallies[resource] == {outcome: 2}, resource
    # Then each mouse has its own
    for name, identity in ids.items():
        row = api.get("/subjects/KS022", lab=name)
        assert (row["id"], row["nickname"]) == (identity, "KS022")
        assert [each["weight"] for each in row["weighings"]] == [weights[name]]
        (session,) = api.get("/sessions", subject="KS022", lab=name)["results"]
        assert session["id"] == eids[name]
        assert api.get("/water-restriction", subject=identity)["count"] == 1
        assert api.get("/surgeries", subject=identity)["count"] == (name == "otherlab")
    with pytest.raises(RequestRefused) as refused:
        api.get("/subjects/KS022")
    assert refused.value.status == 409
    # and folders of both labs become sessions of each one's mouse
    for name in ids:
        file = tmp_path / name / "Subjects/KS022/2020-07-01/001/alf/spikes.times.npy"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"times")
    FolderImport(tmp_path, Carrier(api, Journal()), Repository("nas", None), None).run()
    for name, identity in ids.items():
        found = api.get("/sessions", subject=identity, date_range="2020-07-01,2020-07-01")
        assert [each["lab"] for each in found["results"]] == [name]
