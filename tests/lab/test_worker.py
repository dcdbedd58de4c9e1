"""The worker when things go wrong: time-outs, lost leases, bad inputs, refused outputs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lab.worker.pool import WorkerPool, remove_leftovers
from lab.worker.run import Worker
from shared.datasets.read import datasets_of
from shared.work import lease, patch
from tests.lab.worker_fixtures import RAW, the
from tests.processes import runs, until

pytestmark = pytest.mark.integration


def test_a_task_that_takes_too_long_is_stopped(worker, trials, instead):
    instead("print('working', flush=True); time.sleep(60)")
    patch.patch_task(trials.id, {"time_out_secs": 4}, "test")
    worker.run(most=1)
    assert the(trials).status == "Errored"
    assert "Stopped after its time-out of 4 s." in the(trials).log
    assert "working" in the(trials).log
    assert worker.reports[0]["status"] == "Errored"


def test_a_worker_that_lost_its_task_stops_it_and_says_nothing(worker, trials, instead):
    instead("time.sleep(60)")
    thread = threading.Thread(target=worker.run, kwargs={"most": 1})
    thread.start()
    while the(trials).status != "Started":
        pass
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert lease.expire(the(trials), now=later)
    thread.join(30)
    assert not thread.is_alive()
    assert (the(trials).status, int(the(trials).attempt)) == ("Waiting", 1)
    assert worker.reports == []


def test_a_claimed_task_runs_even_if_its_message_cannot_be_deleted(worker, trials, monkeypatch):
    # Given a queue that was away between the claim and the end of its message
    def refused(message):
        why = {"Error": {"Code": "ReceiptHandleIsInvalid", "Message": "of another time"}}
        raise ClientError(why, "DeleteMessage")

    monkeypatch.setattr(worker._queue, "delete", refused)
    # When the worker works, then its first attempt ends, by the empty raw data
    worker.run(most=1)
    assert (the(trials).status, int(the(trials).attempt)) == ("Errored", 1)
    assert worker.reports[0]["status"] == "Errored"


def test_a_worker_stopped_while_its_claim_is_answered_gives_the_task_back(
    worker, trials, monkeypatch
):
    # Given a claim that is answered after the worker was told to stop
    post = worker.client.post

    def slow(path, *body):
        answer = post(path, *body)
        if path.endswith("/claim"):
            os.kill(os.getpid(), signal.SIGINT)
            assert worker.stopping.wait(60)
        return answer

    monkeypatch.setattr(worker.client, "post", slow)
    with pytest.raises(KeyboardInterrupt):
        WorkerPool([worker]).run()
    assert the(trials).status == "Waiting"
    assert worker.reports == []


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("raise ValueError('no trials')", "Errored", "ValueError: no trials"),
        ("os._exit(7)", "Errored", "The process ended with code 7."),
        ("return None", "Empty", ""),
        ("return []", "Incomplete", "outputs are missing: alf/_ibl_trials.table.pqt"),
    ],
)
def test_a_run_ends_as_the_task_ends(worker, trials, instead, code, status, words):
    instead(code)
    worker.run(most=1)
    assert the(trials).status == status
    assert words in (the(trials).log or "")


def test_refused_outputs_are_an_error_and_the_reasons_are_in_the_log(worker, trials, instead):
    instead(
        "p = out / 'alf' / '_ibl_trials.table.pqt'; p.parent.mkdir(); p.write_text('no table');"
        " return [p]"
    )
    worker.run(most=1)
    assert the(trials).status == "Errored"
    assert "Outputs were refused:\nalf/_ibl_trials.table.pqt: " in the(trials).log
    assert set(RAW) == {item.path for item in datasets_of(trials.session)}


def test_an_input_that_is_spoilt_is_found_out(system, worker, trials):
    item = next(i for i in datasets_of(trials.session) if i.path.endswith(".jsonable"))
    key = item.stored_key
    system.flow.s3.put_object(Bucket=system.flow.bucket, Key=key, Body=b"[]\n")
    worker.run(most=1)
    assert the(trials).status == "Errored"
    assert "came with SHA-256" in the(trials).log


def test_a_task_s_process_has_no_secrets(worker, trials, instead, monkeypatch):
    monkeypatch.setenv("FORNIX_TOKEN", "secret")
    instead("raise ValueError(sorted(n for n in os.environ if n.startswith(('AWS', 'FORNIX_T'))))")
    worker.run(most=1)
    assert "ValueError: ['FORNIX_TABLE']" in the(trials).log


def test_each_task_has_a_process_of_its_own_and_both_come_from_one_that_is_warm(
    worker, trials, another, instead
):
    instead("raise ValueError(f'process {os.getpid()} of {os.getppid()}')")
    worker.run(most=2)
    said = [re.search(r"process (\d+) of (\d+)", the(one).log) for one in (trials, another)]
    assert said[0][1] != said[1][1]
    assert said[0][2] == said[1][2] != str(os.getpid())


def test_what_a_task_has_started_ends_with_it(worker, trials, instead):
    instead(
        "import subprocess; raise ValueError(f\"pid {subprocess.Popen(['sleep', '600']).pid}\")"
    )
    worker.run(most=1)
    left = int(re.search(r"pid (\d+)", the(trials).log)[1])
    assert until(lambda: not runs(left))


def test_a_crew_works_on_several_tasks_at_a_time(
    system, worker, trials, another, instead, tmp_path
):
    # Given tasks that each end only when both have begun
    begun = Path("/dev/shm") / f"fornix-{os.getpid()}-begun"
    begun.mkdir()
    instead(
        f"here = Path({str(begun)!r}); (here / str(os.getpid())).touch()\n"
        "    while len(list(here.iterdir())) < 2: time.sleep(0.05)\n"
        "    return None"
    )
    second = Worker(system.client("worker"), lease=5, folder=tmp_path, poll=2)
    WorkerPool([worker, second]).run(most=1)
    assert {the(trials).status, the(another).status} == {"Empty"}
    shutil.rmtree(begun)


def test_an_idle_worker_reads_nothing_of_the_table(system, worker):
    from shared.records.meter import metered

    worker.poll_once()  # has its credentials now
    with metered() as meter:
        assert worker.poll_once() is None
    assert meter.requests == 0


def test_the_run_record_allows_the_run_to_be_repeated(system, worker, trials, instead):
    instead("return []")
    worker.run(most=1)
    record = json.loads(the(trials).run_record)
    assert record["task"] == "task.trials"
    assert record["command"].startswith("fornix task run task.trials")
    assert {one["path"] for one in record["inputs"]} == set(RAW)
    ids = {item.path: item.uuid for item in datasets_of(trials.session)}
    assert {one["path"]: one["id"] for one in record["inputs"]} == ids
    assert record["version"] == the(trials).version


def test_what_killed_workers_left_is_cleared_away(tmp_path):
    for name, pid in (("fornix-worker-dead", "999999999"), ("fornix-worker-alive", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pid").write_text(pid)
    (tmp_path / "fornix-worker-odd").mkdir()
    assert remove_leftovers(tmp_path) == 1
    assert not (tmp_path / "fornix-worker-dead").exists()
