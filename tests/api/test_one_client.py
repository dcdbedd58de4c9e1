"""The ONE client, unmodified, over a real socket: everything it asks of a server."""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from functions.api.auth import passwords
from shared import catalog
from shared.catalog import cache_tables
from shared.datasets.read import datasets_of
from shared.records import documents
from tests.api.conftest import PASSWORD, Api, upload

LAB, SUBJECT = "fimbrialab", "FI_001"


@pytest.fixture
def one(
    api: Api, address: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """An instance that has logged in with user name and password, its downloads pointing here."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(Path, "home", lambda: home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import OneAlyx
    monkeypatch.setattr("iblutil.io.params.getfile", lambda name: str(home / f".{name}"))
    passwords.set_password("fimbrialab_member", PASSWORD)
    client = OneAlyx(
        base_url=address,
        username="fimbrialab_member",
        password=PASSWORD,
        silent=True,
        cache_dir=tmp_path / "cache",
        cache_rest=None,
    )
    client.alyx._par = client.alyx._par.set("HTTP_DATA_SERVER", f"{address}/data")
    client.alyx._par = client.alyx._par.set("HTTP_DATA_SERVER_LOGIN", "fimbrialab_member")
    client.alyx._par = client.alyx._par.set("HTTP_DATA_SERVER_PWD", api.token("fimbrialab_member"))
    return client


def npy(values: Any, folder: Path) -> bytes:
    path = folder / f"{uuid.uuid4().hex}.npy"
    np.save(path, np.asarray(values))
    return path.read_bytes()


@pytest.fixture
def eid(api: Api, bucket: str, tmp_path: Path) -> str:
    """A session with a probe, trials, two revisions and a failed dataset."""
    made = api.ok(
        "POST",
        "/sessions",
        {
            "subject": SUBJECT,
            "start_time": "2024-07-01T10:00:00",
            "number": 1,
            "type": "Experiment",
            "task_protocol": "_iblrig_tasks_trainingChoiceWorld6.4.2",
            "projects": ["demo"],
            "procedures": ["Behavior training/tasks"],
        },
    )["id"]
    probe = "alf/probe00"
    wheel = {
        "alf/wheel.position.npy": npy(np.arange(5.0), tmp_path),
        "alf/wheel.timestamps.npy": npy(np.arange(5.0) / 10, tmp_path),
    }
    upload(api, made, wheel)
    upload(api, made, {f"{probe}/spikes.times.npy": npy([1.0, 2.0], tmp_path)}, qc="FAIL")
    upload(api, made, {f"{probe}/#2024-08-01#/spikes.times.npy": npy([1.5, 2.5], tmp_path)})
    upload(api, made, {f"{probe}/spikes.depths.npy": npy([1.0, 2.0], tmp_path)}, qc="CRITICAL")
    api.ok("POST", "/insertions", {"session": made, "name": "probe00", "model": "3B2"})
    return made


def test_login_search_and_paths(one: Any, eid: str, api: Api) -> None:
    for number in range(2, 5):
        api.ok(
            "POST",
            "/sessions",
            {"subject": "FI_002", "start_time": f"2024-07-0{number}T09:00:00", "number": 1},
        )
    wanted = uuid.UUID(eid)
    for terms in (
        {"subject": SUBJECT},
        {"lab": LAB, "subject": SUBJECT},
        {"date_range": ["2024-07-01", "2024-07-01"]},
        {"date": "2024-07-01"},
        {"number": 1, "subject": SUBJECT},
        {"projects": "demo"},
        {"task_protocol": "trainingChoiceWorld"},
        {"datasets": "wheel.position.npy"},
        {"datasets": ["wheel.position.npy", "wheel.timestamps.npy"]},
        {"datasets": "spikes.times.npy", "dataset_qc_lte": "FAIL"},
        {"dataset_types": "spikes.times"},
        {"users": "fimbrialab_member", "subject": SUBJECT},
        {"procedures": "Behavior"},
        {"django": f"subject__nickname,{SUBJECT}"},
        {"django": "data_dataset_session_related__name__startswith,wheel"},
        {"django": "data_dataset_session_related__collection__iexact,alf"},
    ):
        found = one.search(**terms, query_type="remote")
        assert list(found) == [wanted], terms
    found, details = one.search(lab=LAB, details=True, query_type="remote")
    assert len(found) == 4
    assert details[0]["lab"] == LAB
    path = one.eid2path(eid)
    assert path.as_posix().endswith(f"{LAB}/Subjects/{SUBJECT}/2024-07-01/001")
    assert str(one.path2eid(path)) == eid
    assert one.eid2ref(eid, as_dict=True)["subject"] == SUBJECT
    assert one.get_details(eid, full=True)["start_time"] == "2024-07-01T10:00:00"


def test_pages_beyond_the_first_from_both_ends(one: Any, api: Api) -> None:
    for day in range(1, 8):
        body = {"subject": "FI_002", "start_time": f"2024-06-0{day}T09:00:00", "number": 1}
        api.ok("POST", "/sessions", body)
    found = one.search(subject="FI_002", query_type="remote", limit=2)
    assert len(found) == 7
    last, first = found[-1], found[0]
    assert str(one.eid2path(last).session_parts[2]) == "2024-06-01"
    assert str(one.eid2path(first).session_parts[2]) == "2024-06-07"
    assert len(set(found)) == 7


def test_lists_and_loads(one: Any, eid: str) -> None:
    assert list(one.list_datasets(eid, query_type="remote")) == [
        "alf/probe00/#2024-08-01#/spikes.times.npy",
        "alf/probe00/spikes.times.npy",
        "alf/wheel.position.npy",
        "alf/wheel.timestamps.npy",
    ]  # and not the one whose QC is CRITICAL, which the client leaves out
    assert sorted(one.list_collections(eid, query_type="remote")) == ["alf", "alf/probe00"]
    assert sorted(one.list_revisions(eid, query_type="remote")) == ["", "2024-08-01"]
    position = one.load_dataset(eid, "wheel.position.npy", query_type="remote")
    np.testing.assert_array_equal(position, np.arange(5.0))
    wheel = one.load_object(eid, "wheel", query_type="remote")
    assert set(wheel) == {"position", "timestamps"}
    names = ["wheel.position.npy", "wheel.timestamps.npy"]
    arrays, _ = one.load_datasets(eid, names, query_type="remote")
    assert [len(array) for array in arrays] == [5, 5]
    # The default revision, and the last one before a day
    times = one.load_dataset(eid, "spikes.times", collection="alf/probe00")
    np.testing.assert_array_equal(times, [1.5, 2.5])
    times = one.load_dataset(eid, "spikes.times", collection="alf/probe00", revision="2024-07-15")
    np.testing.assert_array_equal(times, [1.0, 2.0])
    spikes = one.list_datasets(eid, "*spikes*", qc="PASS")
    assert list(spikes) == ["alf/probe00/#2024-08-01#/spikes.times.npy"]
    loaded = one.load_collection(eid, "alf")
    assert set(loaded["wheel"]) == {"position", "timestamps"}
    rows = one.list_datasets(eid, "*spikes.times*", details=True)
    (first,) = rows.index[rows["rel_path"] == "alf/probe00/spikes.times.npy"]
    assert one.dataset2type(first) == "spikes.times"


def test_insertions(one: Any, eid: str) -> None:
    (pid,), (name,) = one.eid2pid(eid)
    assert name == "probe00"
    assert one.pid2eid(pid) == (uuid.UUID(eid), "probe00")
    for terms in (
        {"subject": SUBJECT},
        {"name": "probe00"},
        {"session": eid},
        {"lab": LAB},
        {"model": "3B2"},
        {"project": "demo"},
        {"datasets": "spikes.times.npy"},
        {"datasets": "spikes.depths.npy", "dataset_qc_lte": "CRITICAL"},
        {"dataset_types": "spikes.times"},
        {"django": "datasets__name__icontains,spikes"},
    ):
        assert list(one.search_insertions(**terms, query_type="remote")) == [pid], terms
    detail = one.alyx.rest("insertions", "read", id=str(pid))
    assert {each["name"] for each in detail["datasets"]} >= {"spikes.times.npy"}
    assert detail["session_info"]["subject"] == SUBJECT


def test_aggregates(one: Any, api: Api, bucket: str, tmp_path: Path) -> None:
    subject = api.ok("GET", f"/subjects/{SUBJECT}")["id"]
    content = npy([1, 2, 3], tmp_path)
    body = {
        "content_type": "subject",
        "object_id": subject,
        "path": f"aggregates/Subjects/{LAB}/{SUBJECT}",
        "filenames": ["wheel.position.npy"],
        "filesizes": [len(content)],
        "hashes": [hashlib.md5(content).hexdigest()],
        "name": "flatiron",
    }
    repository = {"name": "flatiron", "data_url": "https://example.org/"}
    api.ok("POST", "/data-repository", repository, user="admin")
    api.ok("POST", "/register-file", body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = one.list_aggregates("subjects")
    assert list(found["rel_path"]) == [f"aggregates/Subjects/{LAB}/{SUBJECT}/wheel.position.npy"]


def test_json_fields_notes_and_describe(one: Any, eid: str, tmp_path: Path) -> None:
    field = {"endpoint": "sessions", "uuid": eid, "field_name": "json"}
    assert one.alyx.json_field_write(**field, data={"a": 1}) == {"a": 1}
    assert one.alyx.json_field_update(**field, data={"b": 2}) == {"a": 1, "b": 2}
    assert one.alyx.json_field_remove_key(**field, key="a") == {"b": 2}
    one.alyx.json_field_delete("sessions", eid, "json")
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    note = {
        "user": "fimbrialab_member",
        "content_type": "session",
        "object_id": eid,
        "text": "gnagna",
        "json": json.dumps({"name": "plot"}),
        "width": "orig",
    }
    with image.open("rb") as file:
        made = one.alyx.rest("notes", "create", data=note, files={"image": file})
    assert made["image"].endswith(".png")
    found = one.alyx.rest("notes", "list", django=f"text__icontains,gnagna,object_id,{eid}")
    assert [each["id"] for each in found] == [made["id"]]
    one.alyx.rest("notes", "delete", id=made["id"])
    assert not len(one.alyx.rest("notes", "list", django=f"object_id,{eid}"))
    described = one.alyx.rest("dataset-types", "read", "spikes.times")
    assert described["filename_pattern"] == "*spikes.times*.npy"


def test_cache_tables_load_without_a_warning(one: Any, eid: str, api: Api, bucket: str) -> None:
    documents.create("tag", "release", {"name": "release", "public": True}, who="admin")
    item = next(d for d in datasets_of(eid) if d.name == "wheel.position.npy")
    api.ok("PATCH", f"/datasets/{item.uuid}", {"tags": ["release"]}, user="fimbrialab_manager")
    catalog.write_snapshot()
    labs = {"lab/fimbrialab", "lab/septumlab"}
    assert set(cache_tables.build()) == {"all", "public", "tag/release", *labs}
    # Nothing changed: nothing is written again
    assert cache_tables.build() == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.load_cache()
    assert list(one._cache.sessions.index) == [uuid.UUID(eid)]
    assert len(one._cache.datasets) == 5
    assert list(one.search(datasets="wheel.position.npy", query_type="local")) == [uuid.UUID(eid)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.load_cache(tag="release")
    assert list(one._cache.datasets["rel_path"]) == ["alf/wheel.position.npy"]
    assert isinstance(one._cache.datasets["qc"].dtype, pd.CategoricalDtype)


def test_registration_client(one: Any, api: Api, tmp_path: Path) -> None:
    from one.registration import RegistrationClient

    client = RegistrationClient(one)
    root = one.alyx.cache_dir / LAB / "Subjects"
    path, eid = client.create_new_session(
        SUBJECT, session_root=root.parent.parent, date="2024-09-01"
    )
    assert path.as_posix().endswith(f"{SUBJECT}/2024-09-01/001")
    folder = root / SUBJECT / "2024-09-01" / "001"
    (folder / "alf").mkdir(parents=True, exist_ok=True)
    for name in ("wheel.position.npy", "spikes.times.npy"):
        np.save(folder / "alf" / name, np.arange(3))
    again, rows = client.register_session(
        folder,
        users=["fimbrialab_member"],
        file_list=True,
        end_time="2024-09-01T12:00:00",
        projects="demo",
    )
    assert again["url"].endswith(str(eid))
    assert {row["name"] for row in rows} == {"wheel.position.npy", "spikes.times.npy"}
    (checked,) = client.check_protected_files([folder / "alf" / "wheel.position.npy"])
    assert checked["status_code"] == 200
    # When one is protected, the client moves it into a revision and registers that
    documents.create("tag", "kept", {"name": "kept", "protected": True}, who="admin")
    ident = next(row["id"] for row in rows if row["name"] == "wheel.position.npy")
    api.ok("PATCH", f"/datasets/{ident}", {"tags": ["kept"]}, user="fimbrialab_manager")
    np.save(folder / "alf" / "wheel.position.npy", np.arange(4))
    row = client.register_files(folder / "alf" / "wheel.position.npy")
    assert row["revision"] != ""
    assert list((folder / "alf").glob("#*#/wheel.position.npy"))
    weight = client.register_weight(SUBJECT, 25.3)
    assert (weight["weight"], weight["user"]) == (25.3, "fimbrialab_member")
    water = client.register_water_administration(SUBJECT, 1.1, session=str(eid))
    assert water["session"] == str(eid)
    with pytest.raises(Exception, match="subject"):
        client.register_weight("ghost", 25.3)


def test_tasks_as_ibllib_uses_them(one: Any, eid: str) -> None:
    one.alyx.rest  # noqa: B018
    task = {
        "executable": "ibllib.pipes.behavior_tasks.ChoiceWorldTrialsBpod",
        "priority": 90,
        "io_charge": 5,
        "gpu": 0,
        "cpu": 1,
        "ram": 4,
        "module": "ibllib",
        "parents": [],
        "level": 0,
        "time_out_sec": 7200,
        "session": eid,
        "status": "Waiting",
        "log": None,
        "name": "ChoiceWorldTrialsBpod",
        "graph": "Pipeline",
        "arguments": {},
    }
    made = one.alyx.rest("tasks", "create", data=task)
    assert made["status"] == "Waiting"
    django = f"session__lab__name__in,{LAB}"
    (waiting,) = one.alyx.rest("tasks", "list", status="Waiting", django=django)
    assert waiting["id"] == made["id"]
    assert waiting["session"] == eid
    assert len(one.alyx.rest("tasks", "list", session=eid, graph="Pipeline")) == 1
    started = one.alyx.rest("tasks", "partial_update", id=made["id"], data={"status": "Started"})
    assert started["status"] == "Started"
    done = one.alyx.rest(
        "tasks",
        "partial_update",
        id=made["id"],
        data={"status": "Complete", "time_elapsed_secs": 3.2, "log": "ok", "version": "3.0"},
    )
    assert (done["status"], done["log"], done["version"]) == ("Complete", "ok", "3.0")
