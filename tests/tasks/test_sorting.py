"""Which probes are sorted, by which sorter, and what is said where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from lab.tasks.sorting import main_clock
from shared.science.errors import RawFileMissing
from shared.tasks.description import BadDescription
from shared.tasks.planning import plan, unprocessed

EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"
BOARD = ["raw_ephys_data/x_g0_t0.nidq.bin", "raw_ephys_data/x_g0_t0.nidq.meta"]
PROBE = [f"raw_ephys_data/probe00/x_g0_t0.imec0.ap.{kind}" for kind in ("ebin", "meta", "eh")]


def sorting(paths, description=None):
    """Return the tasks that sort, and those planned before them by id."""
    planned = plan(EID, paths, description)
    names = {task.id: task.name for task in planned}
    return [task for task in planned if task.name.startswith("ephys.sort")], names


def test_a_probe_beside_a_board_is_sorted_after_it_is_aligned():
    (task,), names = sorting([*BOARD, *PROBE])
    assert task.name == "ephys.sort"
    assert task.arguments["output_collection"] == "alf/probe00/tridesclous2"
    assert [names[parent] for parent in task.parents] == ["ephys.align"]
    assert task.declaration.environment == "ephys-sorting"
    assert unprocessed([*BOARD, *PROBE]) == []


def test_a_description_chooses_another_sorter_and_what_that_needs():
    description = {"devices": {"neuropixel": {"probe00": {"sorter": "kilosort4"}}}}
    (task,), _ = sorting([*BOARD, *PROBE], description)
    assert (task.name, task.declaration.gpu) == ("ephys.sort_gpu", 1)
    assert task.arguments["output_collection"] == "alf/probe00/kilosort4"
    description["devices"]["neuropixel"]["probe00"]["sorter"] = "../x"
    with pytest.raises(BadDescription, match="sorter"):
        plan(EID, [*BOARD, *PROBE], description)


def test_what_came_sorted_is_not_sorted_again_and_what_was_sorted_here_is_planned_still():
    imported = "alf/probe00/pykilosort/spikes.times.npy"
    assert sorting([*BOARD, *PROBE, imported])[0] == []
    assert sorting([*BOARD, *PROBE, "alf/probe00/spikes.times.npy"])[0] == []
    assert len(sorting([*BOARD, *PROBE, "alf/probe01/spikes.times.npy"])[0]) == 1
    assert len(sorting([*BOARD, *PROBE, "alf/probe00/tridesclous2/spikes.times.npy"])[0]) == 1


def test_without_a_sync_recording_the_sorting_is_held_with_that_reason():
    planned = {task.name: task for task in plan(EID, PROBE)}
    for name in ("ephys.align", "ephys.sort"):
        assert "no sync recording (nidq)" in (planned[name].hold or "")
    assert unprocessed(PROBE) == []
    # When it comes, it is the same tasks that go on
    later = {task.name: task for task in plan(EID, [*BOARD, *PROBE])}
    for name in ("ephys.align", "ephys.sort"):
        assert (later[name].id, later[name].hold) == (planned[name].id, None)


def test_a_probe_beside_a_clock_that_cannot_be_read_is_not_sorted_and_that_is_said():
    description = {"sync": {"bpod": {}}}
    assert sorting(PROBE, description)[0] == []
    assert "no recording of its spikes beside" in unprocessed(PROBE, description)[0]


def test_a_probe_that_came_sorted_needs_no_sync_recording():
    paths = [*PROBE, "alf/probe00/spikes.times.npy"]
    assert not {"ephys.align", "ephys.sort"} & {task.name for task in plan(EID, paths)}


def test_spikes_beyond_the_last_pulse_go_on_by_the_same_line(tmp_path):
    np.save(tmp_path / "x.imec0.timestamps.npy", np.array([[0, 1.0], [30_000, 2.0]]))
    # times of the recording's loudness lie beside it
    np.save(tmp_path / "_iblqc_ephysTimeRmsAP.timestamps.npy", np.arange(3.0))
    clock = main_clock(tmp_path, "x.imec0")
    np.testing.assert_allclose(clock(np.array([15_000.0, 60_000, -30_000])), [1.5, 3, 0])


def test_a_probe_that_was_not_aligned_is_not_sorted(tmp_path):
    with pytest.raises(RawFileMissing, match=r"run ephys\.align"):
        main_clock(tmp_path, "x.imec0")
