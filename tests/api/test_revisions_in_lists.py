"""Whichever revision becomes the default, lists in memory say so of all revisions at once."""

from __future__ import annotations

from typing import Any

import pytest

from shared import catalog
from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.read import datasets_of
from shared.datasets.register import AT_ONCE, register_datasets
from shared.records.items import Dataset
from tests.api.conftest import Api

REVISIONS = ("", "#2024-08-01#/", "#2024-09-01#/")


@pytest.fixture
def eid(api: Api) -> str:
    """A session whose lists a process holds in memory already."""
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    made = str(api.ok("POST", "/sessions", body)["id"])
    catalog.start_request()
    assert defaults(made) == set()
    return made


def defaults(eid: str) -> set[str]:
    """Return the paths that the lists show as defaults, after the same from the table."""
    catalog.start_request()
    rows = [row for row in catalog.table("dataset").rows() if row["session"] == eid]
    listed = {row["path"] for row in rows if row["default_dataset"]}
    assert listed == {item.path for item in datasets_of(eid) if item.default}
    return listed


def register(eid: str, *paths: str, **more: Any) -> None:
    register_datasets(eid, [Dataset.of(eid, path, **more) for path in paths], manifest=str(paths))


def test_each_new_revision_is_the_only_default(eid: str) -> None:
    for revision in REVISIONS:
        path = f"alf/{revision}spikes.times.npy"
        register(eid, path)
        assert defaults(eid) == {path}


def test_of_many_files_at_once_too(eid: str) -> None:
    names = [f"spikes.n{n}.npy" for n in range(AT_ONCE + 5)]
    for revision in REVISIONS[:2]:
        paths = {f"alf/{revision}{name}" for name in names}
        register(eid, *paths)
        assert defaults(eid) == paths


def test_a_default_that_is_chosen_or_deleted_leaves_one(eid: str) -> None:
    paths = [f"alf/{revision}spikes.times.npy" for revision in REVISIONS]
    for path in paths:
        register(eid, path)
    for chosen in (paths[0], paths[2], paths[1]):
        update_dataset(eid, chosen, lambda item: setattr(item, "default", True), who="admin")
        assert defaults(eid) == {chosen}
    delete_dataset(eid, paths[1], who="admin")
    assert len(defaults(eid)) == 1
