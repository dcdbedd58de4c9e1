"""The task board as members use it: why, what it wrote, how it was made; again, held, given up."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from shared.model.task import Completion, RunFile, RunRecord, WorkerReport
from shared.work import board, lease
from tests.api.conftest import Api
from tests.app import colony
from tests.app.conftest import Open, shoot
from tests.app.served import Site
from tests.app.test_screens import AXE, judge
from tests.app.test_start import go
from tests.app.week import ask
from tests.processes import until

pytestmark = pytest.mark.browser

TRIALS = "_ibl_trials.table.pqt"


def failed_trials() -> str:
    """Have a worker fail at a session's trials; return the task's id."""
    api = Api()
    about = {"subject": "FI_102", "number": 3, "task_protocol": "trainingChoiceWorld"}
    session = api.ok("POST", "/sessions", about, user=colony.ME)["id"]
    body = {"session": session, "name": "task.trials", "executable": "task.trials"}
    task: str = api.ok("POST", "/tasks", body, user=colony.ME)["id"]
    attempt = int(lease.claim(task, "rig-cellar").attempt)
    record = RunRecord(
        version="1.2.3",
        host="rig-cellar",
        started="2026-01-12T10:00:00+00:00",
        elapsed=2.0,
        inputs=(RunFile("raw_behavior_data/_iblrig_taskData.raw.jsonable", 9, "ab" * 32),),
        environment={"python": "3.13.1"},
    )
    said = "reading\nthe piezo is broken\n"
    lease.complete(task, Completion(attempt, "Errored", log=said, run_record=record))
    return task


def state(task: str) -> dict[str, Any]:
    found: dict[str, Any] = Api().ok("GET", f"/tasks/{task}", user="admin")
    return found


def test_a_failed_task_is_looked_into_held_and_tried_again(device: Open, site: Site) -> None:
    task = failed_trials()
    board.save_report(colony.LAB, WorkerReport("rig-cellar", "resting", reason="the disk is full"))
    page = device("phone")
    go(page, "#/tasks")
    # What the workers say, in their words
    expect(page.get_by_text("the disk is full")).to_be_visible()
    # Found by a word of the reason, among all that failed
    page.get_by_label("Find tasks").fill("piezo")
    expect(page.get_by_role("button", name="Try these 1 again")).to_be_visible()
    page.get_by_role("button", name="task.trials").first.click()
    sheet = page.get_by_role("dialog")
    expect(sheet.locator("strong").first).to_have_text("the piezo is broken")
    expect(sheet.locator("pre")).to_contain_text("reading\nthe piezo is broken")
    # What it should have written, and how it was run
    expect(sheet.get_by_text(TRIALS)).to_be_visible()
    expect(sheet.get_by_text("missing").first).to_be_visible()
    sheet.get_by_text("How it was made").click()
    expect(sheet.get_by_text("rig-cellar").first).to_be_visible()
    expect(sheet.get_by_text(f"fornix rerun {task}")).to_be_visible()
    page.evaluate(AXE.read_text() + ";0")
    assert judge(page) == []
    shoot(page, "task-phone")
    # Held with a reason, which the board then says
    sheet.get_by_label("Why it is to be held").fill("the rig is being repaired")
    sheet.get_by_role("button", name="Hold").click()
    until(lambda: state(task)["status"] == "Held")
    assert state(task)["hold"] == "the rig is being repaired"
    page.get_by_label("Find tasks").fill("")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("the rig is being repaired")).to_be_visible()
    # All that a word finds are given up, or tried again
    page.get_by_label("Find tasks").fill("repaired")
    page.get_by_role("button", name="Try these 1 again").click()
    until(lambda: state(task)["status"] == "Waiting")
    assert {each["status"] for each in ask("/tasks?name=AudioCompress")} == {"Errored"}
