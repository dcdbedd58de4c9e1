"""Where trials, wheel and spikes lie, in every layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alf.layout import (
    TRIAL_COLUMNS,
    objects,
    output_collection,
    raw_collections_in,
    sortings_in,
    trials_in,
    wheel_in,
)

TABLE = "_ibl_trials.table.pqt"
SEPARATE = [f"_ibl_trials.{name}.npy" for name in TRIAL_COLUMNS]


@pytest.mark.parametrize(
    ("paths", "collections", "table"),
    [
        ([f"alf/{TABLE}"], ["alf"], f"alf/{TABLE}"),
        ([f"alf/{name}" for name in SEPARATE], ["alf"], None),
        ([f"alf/trials.{name}.npy" for name in TRIAL_COLUMNS], ["alf"], None),
        ([f"alf/#2024-05-06#/{TABLE}"], ["alf"], f"alf/#2024-05-06#/{TABLE}"),
        ([f"alf/task_00/{TABLE}"], ["alf/task_00"], f"alf/task_00/{TABLE}"),
        (
            [f"alf/task_01/{TABLE}", f"alf/task_00/#a#/{TABLE}"],
            ["alf/task_00", "alf/task_01"],
            f"alf/task_00/#a#/{TABLE}",
        ),
    ],
)
def test_trials_are_found_in_every_layout(paths, collections, table) -> None:
    found = trials_in([*paths, "alf/spikes.times.npy", "raw_behavior_data/notes.txt", "no name"])
    assert [one.collection for one in found] == collections
    assert found[0].table == table


@pytest.mark.parametrize(
    "paths",
    [
        [],
        [f"alf/{name}" for name in SEPARATE[1:]],  # nothing says what was chosen
        [f"raw_behavior_data/{TABLE}"],
        [f"alf/probe00/{TABLE}"],
        ["alf/_ibl_trials.goCueTrigger_times.npy"],
    ],
)
def test_without_whole_trials_there_are_none(paths) -> None:
    assert trials_in(paths) == []


def test_the_default_revision_counts_else_the_latest() -> None:
    paths = [f"alf/{TABLE}", f"alf/#2023-01-01#/{TABLE}", f"alf/#2024-01-01#/{TABLE}"]
    assert trials_in(paths)[0].table == paths[2]
    assert trials_in(paths, preferred={paths[1]})[0].table == paths[1]
    assert trials_in(paths, preferred={paths[0]})[0].table == paths[0]


def test_a_dataset_s_uuid_in_its_name_is_no_part_of_it() -> None:
    path = "alf/_ibl_wheel.position.6a0f2b1e-4a5b-4c6d-8e7f-0123456789ab.npy"
    assert wheel_in([path, "alf/_ibl_wheelMoves.intervals.npy"])[0].files == {"position": path}


def test_sortings_are_those_of_each_probe_and_sorter() -> None:
    paths = [
        "alf/probe01/spikes.times.npy",
        "alf/probe00/pykilosort/spikes.times.npy",
        "alf/probe00/pykilosort/#a#/spikes.times.npy",
        "alf/probe00/pykilosort/clusters.channels.npy",
        "spikes.times.npy",
    ]
    found = sortings_in(paths)
    assert [one.collection for one in found] == ["alf/probe00/pykilosort", "alf/probe01"]
    assert found[0].files == {"times": "alf/probe00/pykilosort/#a#/spikes.times.npy"}


def test_results_lie_where_their_raw_data_say() -> None:
    assert output_collection("raw_behavior_data") == "alf"
    assert output_collection("raw_task_data_00") == "alf/task_00"
    paths = ["raw_task_data_01/a.b.c", "raw_task_data_00/a.b.c", "raw_task_data_1/a.b.c", "x.y.z"]
    assert raw_collections_in([*paths, "raw_video_data/a.b.c"]) == [
        "raw_task_data_00",
        "raw_task_data_01",
    ]


PARTS = st.sampled_from(["alf", "alf/task_00", "alf/task_03", "raw_behavior_data", ""])
REVISIONS = st.sampled_from(["", "#2023-01-01#", "#2024-01-01#", "#a#"])
NAMES = st.sampled_from([TABLE, *SEPARATE, "_ibl_wheel.position.npy", "spikes.times.npy"])
PATHS = st.lists(
    st.builds(lambda *parts: "/".join(p for p in parts if p), PARTS, REVISIONS, NAMES), unique=True
)


@given(PATHS, st.randoms())
def test_the_order_of_files_does_not_matter(paths, random) -> None:
    shuffled = list(paths)
    random.shuffle(shuffled)
    for name in ("trials", "wheel", "spikes"):
        assert objects(paths, name) == objects(shuffled, name)
