"""The ONE client's cache tables: readable from the first moment, and soon up to date."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from one.alf.cache import QC_TYPE
from one.api import One

import shared.work.item  # noqa: F401 - tasks are among what is listed
from functions.analysis.handler import handler as analysis
from functions.journal import handler as journal
from functions.journal.append import append
from lab.client import RequestRefused
from shared import catalog
from shared.catalog import cache_tables, index, snapshot
from shared.datasets.edit import update_dataset
from shared.records import aws, documents, feed, objects
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session
from tests.flow import DATE, LAB, SESSION, SUBJECT, Flow, System, aws_url, flow, npy, system

__all__ = ["aws_url", "flow", "system"]

pytestmark = pytest.mark.filterwarnings("ignore:The copy keyword is deprecated")


def client(folder: Path, scope: str = "all") -> One:
    """Return a real ONE client of a scope's tables."""
    packed = zipfile.ZipFile(io.BytesIO(objects.read(cache_tables.zip_key(scope))))
    packed.extractall(folder / scope)
    return One(cache_dir=folder / scope, mode="local")


def journaled(flow: Flow) -> list[dict[str, Any]]:
    """Let the journal's function run once; return what it says to analysis."""
    journal.handler({"kind": "journal", "once": True})
    return [m for m in flow.messages("analysis") if m["kind"] == "tables"]


@pytest.mark.parametrize("scope", ["all", "public"])
def test_empty_tables_answer_every_search(flow: Flow, tmp_path: Path, scope: str) -> None:
    # Given an installation without a session
    cache_tables.build()
    one = client(tmp_path, scope)
    # Then its tables can be searched, and say nothing is there
    assert len(one.search(subject=SUBJECT, date_range=["2020-01-01", "2030-01-01"])) == 0
    assert len(one.search(datasets="spikes.times.npy", dataset_qc_lte="WARNING")) == 0
    assert len(one.list_datasets()) == 0
    assert one._cache["datasets"]["qc"].dtype == QC_TYPE


def test_one_row_has_all_categories_of_quality(flow: Flow, tmp_path: Path) -> None:
    flow.upload({"alf/spikes.times.npy": npy(1, 2)})
    cache_tables.build()
    one = client(tmp_path)
    assert one._cache["datasets"]["qc"].dtype == QC_TYPE
    assert one.list_datasets() == ["alf/spikes.times.npy"]


def test_what_was_uploaded_tagged_or_made_public_is_in_them_by_the_next_journal(
    flow: Flow, tmp_path: Path
) -> None:
    append()
    flow.messages("analysis")
    # Given a session that was just uploaded
    flow.upload({"alf/spikes.times.npy": npy(1, 2)})
    # When the journal is written, then the tables are made anew
    (message,) = journaled(flow)
    analysis(message, None)
    assert len(client(tmp_path).search(subject=SUBJECT, date_range=[DATE, DATE])) == 1
    # What is no part of them makes no work
    documents.create("note", "n", {"text": "x"}, who="a")
    assert journaled(flow) == []
    assert journaled(flow) == []
    # A new release has its own at once
    documents.create("tag", "2026_Q4", {"name": "2026_Q4", "public": True}, who="a")
    (message,) = journaled(flow)
    assert analysis(message, None)["cache"].keys() == {"tag/2026_Q4"}
    assert cache_tables.info("tag/2026_Q4") is not None
    # and the same again writes nothing
    assert analysis(message, None) == {"cache": {}}


class Reads:
    """What is read of the store while a block runs: keys in S3, operations on the table."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        self.operations: list[str] = []
        client = aws.client("s3")
        client.meta.events.register("provide-client-params.s3.GetObject", self._s3)
        scan = index.scan
        monkeypatch.setattr(index, "scan", lambda: self.operations.append("scan") or scan())
        since = feed.since
        monkeypatch.setattr(
            feed, "since", lambda *asked: self.operations.append("feed") or since(*asked)
        )

    def _s3(self, params: dict[str, Any], **_: Any) -> None:
        self.keys.append(params["Key"])

    def taken(self) -> tuple[list[str], list[str]]:
        keys, operations = sorted(self.keys), self.operations
        self.keys, self.operations = [], []
        return keys, operations


def test_a_build_after_another_reads_what_changed_and_looks_at_what_it_concerns(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given tables of two labs and two releases, built from a snapshot
    for name in ("otherlab", "thirdlab"):
        documents.create("lab", name, {"name": name, "id": name}, who="a")
    for name in ("2026_Q1", "2026_Q2"):
        documents.create("tag", name, {"name": name, "public": True}, who="a")
    flow.upload({"alf/spikes.times.npy": npy(1, 2)})
    catalog.write_snapshot()
    reads = Reads(monkeypatch)
    first = cache_tables.build()
    assert {"all", "public", f"lab/{LAB}", "lab/otherlab", "tag/2026_Q1"} <= first.keys()
    keys, operations = reads.taken()
    assert [key for key in keys if key.startswith("snapshots/")]
    assert operations == ["feed"]
    # When a session comes, then the changes alone are read, and of the tables only what is said
    # of the scopes that it concerns
    flow.upload({"alf/spikes.times.npy": npy(3, 4)}, session={**SESSION, "number": 2})
    reads.taken()  # those of the upload
    assert cache_tables.build().keys() == {"all", f"lab/{LAB}"}
    assert reads.taken() == (
        [f"cache/{scope}/cache_info.json" for scope in ("all", f"lab/{LAB}", "public")],
        ["feed"],
    )
    assert len(client(tmp_path).search(subject=SUBJECT)) == 2
    # When one of its datasets is released, then the release and the public are concerned, too
    eid = sessions.find(SUBJECT, DATE, 2).id

    def release(tag: str) -> None:
        update_dataset(eid, "alf/spikes.times.npy", lambda d: setattr(d, "tags", [tag]), who="a")

    release("2026_Q1")
    assert cache_tables.build().keys() == {"public", "tag/2026_Q1"}
    assert len(client(tmp_path, "tag/2026_Q1").search(subject=SUBJECT)) == 1
    assert len(client(tmp_path, "public").search(subject=SUBJECT)) == 1
    reads.taken()
    # When it goes to the other release, then both are concerned, and no lab
    release("2026_Q2")
    assert cache_tables.build().keys() == {"tag/2026_Q1", "tag/2026_Q2"}
    # and a whole build, as the schedule makes it, finds nothing else
    assert cache_tables.build(whole=True) == {}


def test_what_is_built_step_by_step_is_what_is_built_at_once(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given changes of every kind, each followed by a build
    cache_tables.build()
    documents.create("lab", "otherlab", {"name": "otherlab", "id": "x"}, who="a")
    cache_tables.build()
    for number in (1, 2, 3):
        flow.upload(
            {"alf/spikes.times.npy": npy(1, number)}, session={**SESSION, "number": number}
        )
        cache_tables.build()
    eid = sessions.find(SUBJECT, DATE, 2).id
    for public in (True, False):
        sessions.update(eid, {"public": public}, who="a")
        assert cache_tables.build().keys() == {"public"}
    delete_session(sessions.find(SUBJECT, DATE, 3).id, who="a")
    assert cache_tables.build().keys() == {"all", f"lab/{LAB}"}
    # Then a process that begins anew finds nothing to write
    monkeypatch.setattr(cache_tables, "_builders", {})
    assert cache_tables.build(whole=True) == {}


def test_after_many_changes_there_is_a_new_snapshot_soon(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MANY_YOUNG", 4)
    catalog.write_snapshot()
    began = snapshot.latest()["at"]
    # Given few changes, then the snapshot stays
    flow.upload({"alf/spikes.times.npy": npy(1, 2)})
    (message, *_) = journaled(flow)
    assert "snapshot" not in analysis(message, None)
    # Given many, as at the end of an import, then there is one that has them
    flow.upload({f"alf/probe{i:02d}/spikes.times.npy": npy(1, 2) for i in range(5)})
    (message, *_) = journaled(flow)
    assert "dataset" in analysis(message, None)["snapshot"]["written"]
    latest = snapshot.latest()
    assert latest["at"] > began
    assert latest["kinds"]["dataset"]["n"] == 6
    # and not another one for the same
    assert "snapshot" not in analysis(message, None)


def test_an_import_ends_with_a_snapshot(system: System, tmp_path: Path) -> None:
    # Given a snapshot, and a lab's folder
    catalog.write_snapshot()
    began = snapshot.latest()["at"]
    folder = tmp_path / "data" / LAB / "Subjects" / SUBJECT / "2020-06-20" / "001" / "alf"
    folder.mkdir(parents=True)
    (folder / "spikes.times.npy").write_bytes(npy(1, 2))
    where = ["--repository", "nas", "--url", "https://nas.example.org"]
    command = ["import", "folder", str(tmp_path / "data"), *where]
    # When an administrator imports it
    done = subprocess.run(
        [sys.executable, "-c", "from lab.cli import main; main()", *command],
        env=system.environment_of("admin") | {"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Then analysis is asked for a snapshot, whatever it has just built, and it has the rows
    (asked,) = [m for m in system.flow.messages("analysis") if m["kind"] == "snapshot"]
    assert {"session", "dataset"} <= set(analysis(asked, None)["snapshot"]["written"])
    assert snapshot.latest()["at"] > began
    # and no member can ask for one
    with pytest.raises(RequestRefused) as refused:
        system.client("member").post("/import/end", {})
    assert refused.value.status == 403
