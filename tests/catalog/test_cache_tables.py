"""The ONE client's cache tables: readable from the first moment, and soon up to date."""

from __future__ import annotations

import io
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
from shared.catalog import cache_tables
from shared.records import documents, objects
from tests.flow import DATE, SUBJECT, Flow, aws_url, flow, npy

__all__ = ["aws_url", "flow"]

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
