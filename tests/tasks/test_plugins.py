"""A lab's own tasks: a package of its own, installed beside Fornix, planned and run."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from shared.tasks import registry
from shared.tasks.planning import plan
from shared.tasks.registry import BUILT_IN, BadPipeline, read_pipeline
from tests.tasks.packages import installed_beside, run_task

EXAMPLE = Path(__file__).parent / "example_plugin"

ASK = """
import json, sys
from shared.tasks.planning import plan, unprocessed
from shared.tasks.registry import declaration, names
paths = ["raw_task_data_00/_lab_lickPiezo.raw.npy", "raw_task_data_00/x.raw.npy"]
tasks = plan("4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a", paths, None, "our_lickTask2")
print(json.dumps({
    "tasks": [[t.name, t.graph, t.arguments["output_collection"]] for t in tasks],
    "told": unprocessed(paths, None, "our_lickTask2"),
    "others": [t.name for t in plan("4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a", paths, None, "x")],
    "names": names(),
    "inputs": [str(e) for e in declaration("licks.count", '{"collection": "c"}').inputs],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a Python that has the example installed as a package of its own."""
    return installed_beside(EXAMPLE, tmp_path_factory.mktemp("installed"))


def test_a_lab_s_pipeline_is_planned_where_its_package_is_installed(installed):
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=installed, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said == {
        "tasks": [["licks.count", "licks", "alf/task_00"]],
        "told": [],
        "others": [],
        "names": [*BUILT_IN, "licks.count"],
        "inputs": ["c/_lab_lickPiezo.raw.npy"],
    }


def test_a_lab_s_task_runs_like_any_other(installed, tmp_path):
    session = tmp_path / "session" / "raw_task_data_00"
    session.mkdir(parents=True)
    np.save(session / "_lab_lickPiezo.raw.npy", np.array([0.0, 1, 1, 0, 1, 0]))
    arguments = {"collection": "raw_task_data_00", "output_collection": "alf/task_00"}
    outcome = run_task("licks.count", session.parent, tmp_path / "out", arguments, installed)
    assert outcome["outputs"] == ["alf/task_00/licks.times.npy"]
    times = np.load(tmp_path / "out" / "alf" / "task_00" / "licks.times.npy")
    np.testing.assert_array_equal(times, [0.0, 0.003])


@pytest.mark.parametrize(
    "code",
    [
        "PIPELINE = Path('x')",  # NameError
        "1 / 0",
        "raise SystemExit(3)",
        "import no_such_module",
        "no python",
        "PIPELINE = None",
        "",
    ],
)
def test_a_package_that_cannot_be_used_is_left_out_and_named(code, tmp_path, monkeypatch, caplog):
    # Given a lab's package with a fault in its code, installed where tasks are planned
    name = f"fornix_faulty_{uuid.uuid4().hex}"
    about = tmp_path / f"{name}-1.0.dist-info"
    about.mkdir()
    (tmp_path / f"{name}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[fornix.pipelines]\nfaulty = {name}:PIPELINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.pipelines.cache_clear()
    try:
        # When tasks are planned, then those of everybody else are
        planned = plan("0" * 32, ["raw_behavior_data/_iblrig_taskData.raw.jsonable"])
        assert [task.name for task in planned] == ["task.trials"]
        assert "the pipeline faulty is left out" in caplog.text
    finally:
        registry.pipelines.cache_clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing required field `task`"),
        ("[[task]]\nname = 'x'\n", "missing required field `inputs`"),
        ("[[task]]\nname = 'x'\ninputs = []\noutputs = []\nper = 'week'\n", "Invalid enum value"),
        ("[[task]]\nname = 'task.trials'\ninputs = []\noutputs = []\n", "of that name already"),
        ("[[task]]\nname = 'x'\ninputs = []\noutputs = []\nnice = 1\n", "unknown field `nice`"),
        ("no toml", "pipeline.toml: "),
    ],
)
def test_a_faulty_pipeline_is_named_with_its_fault(tmp_path, text, words):
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    with pytest.raises(BadPipeline) as caught:
        read_pipeline(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
