"""Registering what ONE cache tables list: present and older forms, hostile rows, kills."""

from __future__ import annotations

import datetime
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from iblutil.io import parquet
from one.alf.cache import QC_TYPE, make_parquet_db
from one.api import One

from lab.importers.carrier import Carrier
from lab.importers.identifiers import from_int_pairs
from lab.importers.journal import Journal
from lab.importers.one_tables import NoTables, TablesImport, open_tables
from lab.importers.sessions import Repository

FLATIRON = Repository("flatiron", "https://bytes.example.org/public")


def sessions_table(n: int = 1, **columns: Any) -> pd.DataFrame:
    ids = [str(uuid.uuid4()) for _ in range(n)]
    table = {
        "lab": "cortexlab",
        "subject": "KS022",
        "date": datetime.date(2020, 6, 20),
        "number": np.arange(1, n + 1, dtype=np.uint16),
        "task_protocol": "ephysChoiceWorld",
        "projects": "brainwide,repeated",
    }
    return pd.DataFrame(table | columns, index=pd.Index(ids, name="id"))


def datasets_table(eids: list[str], paths: list[str], **columns: Any) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(
        [(eid, str(uuid.uuid4())) for eid in eids for _ in paths], names=["eid", "id"]
    )
    table = {
        "rel_path": paths * len(eids),
        "file_size": pd.array([1024] * len(index), dtype="UInt64"),
        "hash": "d41d8cd98f00b204e9800998ecf8427e",
        "exists": True,
        "qc": pd.Categorical.from_codes([1] * len(index), dtype=QC_TYPE),
        "default_revision": True,
    }
    return pd.DataFrame(table | columns, index=index).sort_index()


def write(folder: Path, sessions: pd.DataFrame, datasets: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    parquet.save(folder / "sessions.pqt", sessions, {"date_created": "2024-01-01 00:00"})
    parquet.save(folder / "datasets.pqt", datasets, {"date_created": "2024-01-01 00:00"})
    return folder


def run(path: Path, fornix: Any, journal: Journal | None = None, lab: Any = None) -> Journal:
    journal = journal or Journal()
    with open_tables(path) as (sessions, datasets):
        TablesImport(sessions, datasets, Carrier(fornix, journal), FLATIRON, lab).run()
    return journal


def test_sessions_and_datasets_keep_their_ids(fornix, tmp_path):
    # Given tables with one session and one dataset
    sessions = sessions_table()
    datasets = datasets_table(list(sessions.index), ["alf/probe00/#2024-05-06#/spikes.times.npy"])
    # When they are imported
    journal = run(write(tmp_path / "one", sessions, datasets), fornix)
    # Then both are there under their ids, with what they refer to and where the bytes are
    (eid,) = sessions.index
    assert fornix.rows["sessions"][eid] == {
        "id": eid,
        "lab": "cortexlab",
        "subject": "KS022",
        "start_time": "2020-06-20T00:00:00",
        "number": 1,
        "task_protocol": "ephysChoiceWorld",
        "projects": ["brainwide", "repeated"],
    }
    ((_, did),) = datasets.index
    assert fornix.rows["datasets"][did] == {
        "id": did,
        "session": eid,
        "name": "spikes.times.npy",
        "collection": "alf/probe00",
        "revision": "2024-05-06",
        "file_size": 1024,
        "hash": "d41d8cd98f00b204e9800998ecf8427e",
        "qc": "PASS",
        "default_dataset": True,
        "file_records": [
            {
                "data_repository": "flatiron",
                "exists": True,
                "relative_path": "cortexlab/Subjects/KS022/2020-06-20/001/"
                "alf/probe00/#2024-05-06#/spikes.times.npy",
            }
        ],
    }
    assert fornix.rows["data-repository"]["flatiron"]["data_url"] == FLATIRON.url
    assert set(fornix.rows["projects"]) == {"brainwide", "repeated"}
    assert set(fornix.rows["revisions"]) == {"2024-05-06"}
    assert list(journal.refusals()) == []


def test_a_zip_of_tables(fornix, tmp_path):
    sessions = sessions_table()
    folder = write(tmp_path / "one", sessions, datasets_table(list(sessions.index), ["a.b.npy"]))
    with zipfile.ZipFile(tmp_path / "cache.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"some/folder/{file.name}")
        archive.writestr("../../evil.txt", "not unpacked")
    run(tmp_path / "cache.zip", fornix)
    assert set(fornix.rows["sessions"]) == set(sessions.index)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_older_tables(fornix, tmp_path):
    """Ids as pairs of integers, ``project``, no qc, no default revisions, a session_path."""
    # Given tables as ONE-api 1 wrote them
    sessions = sessions_table().rename(columns={"projects": "project"})
    paths = ["alf/a.b.npy", "alf/#2023-01-01#/a.b.npy", "alf/#2023-01-01a#/a.b.npy", "alf/c.d.npy"]
    datasets = datasets_table(list(sessions.index), paths, session_path="cortexlab/…")
    datasets = datasets.drop(columns=["qc", "default_revision"])
    expected = {did: path for (_, did), path in datasets["rel_path"].items()}
    (eid,) = sessions.index
    for table in (sessions, datasets):
        for name in list(table.index.names):
            pairs = parquet.str2np(table.index.get_level_values(name).to_numpy())
            table[f"{name}_0"], table[f"{name}_1"] = pairs[:, 0], pairs[:, 1]
    sessions = sessions.set_index(["id_0", "id_1"])
    datasets = datasets.set_index(["eid_0", "eid_1", "id_0", "id_1"])
    # When they are imported
    run(write(tmp_path / "one", sessions, datasets), fornix)
    # Then ids are those that ONE derives, and the latest revision is the default
    assert fornix.rows["sessions"][eid]["projects"] == ["brainwide", "repeated"]
    assert set(fornix.rows["datasets"]) == set(expected)
    default = {expected[i] for i, r in fornix.rows["datasets"].items() if r["default_dataset"]}
    assert default == {"alf/#2023-01-01a#/a.b.npy", "alf/c.d.npy"}
    assert {r["qc"] for r in fornix.rows["datasets"].values()} == {"NOT_SET"}


def test_integer_pairs_are_the_ids_that_the_client_shows():
    ids = [str(uuid.uuid4()) for _ in range(50)]
    assert from_int_pairs(parquet.str2np(np.array(ids))) == ids


def test_tables_made_by_the_client_itself(fornix, tmp_path):
    """Tables that ONE-api builds of a folder without labs, under the ids that it shows."""
    root = tmp_path / "data"
    folder = root / "KS022" / "2020-06-20" / "001" / "alf"
    folder.mkdir(parents=True)
    np.save(folder / "spikes.times.npy", np.arange(10.0))
    make_parquet_db(root, hash_files=False)
    run(root, fornix, lab="cortexlab")
    one = One(cache_dir=root, mode="local")
    assert set(fornix.rows["sessions"]) == {str(eid) for eid in one.search()}
    (dataset,) = fornix.rows["datasets"].values()
    assert dataset["collection"] == "alf"
    assert dataset["hash"] is None


def test_hostile_rows_are_reported_and_the_rest_arrives(fornix, tmp_path):
    sessions = sessions_table(5)
    good = sessions.index[0]
    sessions["date"] = sessions["date"].astype(str)
    sessions.loc[sessions.index[1], "date"] = "2020-13-45"
    sessions.loc[sessions.index[2], "subject"] = "../../etc"
    sessions.loc[sessions.index[3], "lab"] = "no lab"
    sessions.loc[sessions.index[4], "subject"] = None
    paths = [
        "alf/a.b.npy",
        "alf/._a.b.npy",
        "../../../etc/passwd.x.y",
        "alf/#r#/x/a.b.npy",
        "alf/bad-name.with.dots",
        None,
    ]
    datasets = datasets_table([good], paths)
    other = datasets_table([str(uuid.uuid4()), sessions.index[1]], ["alf/c.d.npy"])
    journal = run(write(tmp_path / "one", sessions, pd.concat([datasets, other])), fornix)
    assert list(fornix.rows["sessions"]) == [good]
    assert [r["name"] for r in fornix.rows["datasets"].values()] == ["a.b.npy"]
    assert journal.tallies()["sessions"] == {"created": 1, "not carried": 4}
    assert journal.tallies()["datasets"] == {"created": 1, "not carried": 7}
    reasons = {r["reason"] for r in journal.refusals()}
    assert {"its session was not carried", "it has no session"} <= reasons


def test_another_session_of_that_day_and_number_is_no_reason_to_change_an_id(fornix, tmp_path):
    sessions = sessions_table()
    there = {"subject": "KS022", "start_time": "2020-06-20T10:00:00", "number": 1}
    fornix.rows["sessions"] = {str(uuid.uuid4()): there}
    datasets = datasets_table(list(sessions.index), ["a.b.npy"])
    journal = run(write(tmp_path / "one", sessions, datasets), fornix)
    reasons = [r["reason"] for r in journal.refusals()]
    assert "the server has this subject, date and number under another id" in reasons
    assert "datasets" not in fornix.rows


@pytest.mark.parametrize("stop_at", [2, 5, 6, 7, 8, 9])
def test_a_killed_import_goes_on(fornix, tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr("lab.importers.one_tables.BATCH", 10)
    sessions = sessions_table(25)
    datasets = datasets_table(list(sessions.index), ["a.b.npy", "c.d.npy"])
    folder = write(tmp_path / "one", sessions, datasets)
    calls = 0

    def kill(resource: str) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    fornix.after = kill
    for attempt in range(2):
        journal = Journal(tmp_path / "journal.sqlite")
        if attempt == 0:
            with pytest.raises(KeyboardInterrupt):
                run(folder, fornix, journal)
        else:
            run(folder, fornix, journal)
            assert list(journal.refusals()) == []
        journal.close()
    assert set(fornix.rows["sessions"]) == set(sessions.index)
    assert set(fornix.rows["datasets"]) == {did for _, did in datasets.index}


def test_a_path_without_tables(tmp_path):
    with pytest.raises(NoTables, match=r"sessions\.pqt"), open_tables(tmp_path):
        pass
    (tmp_path / "x.zip").write_text("no zip")
    with pytest.raises(NoTables, match="neither a folder nor a zip"):
        open_tables(tmp_path / "x.zip").__enter__()
    (tmp_path / "sessions.pqt").write_bytes(b"PAR1 truncated")
    with pytest.raises(NoTables), open_tables(tmp_path):
        pass
    folder = write(tmp_path / "one", sessions_table(), pd.DataFrame({"rel_path": ["a.b.npy"]}))
    with pytest.raises(NoTables, match="lacks the columns"), open_tables(folder):
        pass


def test_requests_are_cut_by_rows(fornix, tmp_path):
    sessions = sessions_table(10)
    datasets = datasets_table(list(sessions.index), [f"a{i}.b.npy" for i in range(201)])
    run(write(tmp_path / "one", sessions, datasets), fornix)
    assert fornix.requests["datasets"] == 11
    assert len(fornix.rows["datasets"]) == 2010


def test_tables_that_users_reported(fornix, shared_data, tmp_path):
    # Given tables whose ids are bytes, whose projects are lists, and of which a number is missing
    reported = shared_data / "reported"
    # When they are imported
    by_bytes = run(reported / "import-one-ids-bytes/tables", fornix)
    by_lists = run(reported / "import-one-projects-list/tables", fornix)
    # Then what can be read is carried, ids and projects as they are
    table = pd.read_parquet(reported / "import-one-ids-bytes/tables/sessions.pqt")
    assert {str(uuid.UUID(bytes=one)) for one in table.index} <= set(fornix.rows["sessions"])
    assert fornix.rows["sessions"]["ba453b2a-ae49-4017-9693-34edc0711681"]["projects"] == [
        "a",
        "b",
    ]
    assert fornix.rows["sessions"]["2774250a-ed11-47b6-ad8c-cb0b1701b3d5"]["projects"] == []
    for journal in (by_bytes, by_lists):
        assert journal.tallies()["sessions"] == {"created": 2}
        assert journal.tallies()["datasets"] == {"created": 4}
    # and what is missing is told: which session, which field, what to do
    journal = run(reported / "import-one-number-missing/tables", fornix)
    refused = {row["id"]: f"{row['reason']} {row['detail']}" for row in journal.refusals()}
    said = refused["b0432445-d16e-49bb-907f-b5a17299f470"]
    assert "number" in said
    assert "missing" in said
    assert journal.tallies()["sessions"] == {"created": 1, "not carried": 1}


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (["a", "b"], ["a", "b"]),
        (np.array(["a"], dtype=object), ["a"]),
        ([], []),
        (None, []),
        ("", []),
        ("a", ["a"]),
        ("a, b", ["a", "b"]),
    ],
)
def test_projects_are_read_in_any_form(fornix, tmp_path, value, known):
    sessions = sessions_table()
    sessions["projects"] = pd.Series([value], index=sessions.index, dtype=object)
    run(
        write(tmp_path / "one", sessions, datasets_table(list(sessions.index), ["a.b.npy"])),
        fornix,
    )
    (row,) = fornix.rows["sessions"].values()
    assert row["projects"] == known


@pytest.mark.parametrize("number", [None, np.nan, -1, 1.5, "one", 10**7])
def test_a_number_that_is_none_is_told_with_session_and_field(fornix, tmp_path, number):
    sessions = sessions_table(2)
    sessions["number"] = pd.Series([number, 2], index=sessions.index, dtype=object).astype(
        str if isinstance(number, str) else float
    )
    journal = run(
        write(tmp_path / "one", sessions, datasets_table(list(sessions.index), ["a.b.npy"])),
        fornix,
    )
    assert list(fornix.rows["sessions"]) == [sessions.index[1]]
    said = [row for row in journal.refusals() if row["id"] == sessions.index[0]]
    assert said
    assert "number" in said[0]["reason"]
    assert "Error" not in said[0]["reason"], "it is told in words, not by Python"
