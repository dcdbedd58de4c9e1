"""What a run found out reaches the session's fields, whatever the session had before."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from lab.client import Unreachable
from lab.worker.facts import fill_facts
from shared.model.task import RunFacts
from shared.science.behaviour.facts import session_facts


class Server:
    """A session, and what was changed of it."""

    def __init__(self, **session):
        self.session = session

    def get(self, path):
        return dict(self.session)

    def patch(self, path, body):
        self.session |= body


def claim(collection="alf"):
    task = SimpleNamespace(arguments={"output_collection": collection})
    return SimpleNamespace(task=task, session=SimpleNamespace(id="s", folder="M1/2024-07-01/001"))


def test_numbers_and_end_are_filled_and_an_end_that_was_given_stays():
    server = Server(end_time=None)
    fill_facts(server, claim(), RunFacts(12, 6, "2024-07-01T11:00:00"))
    assert server.session == {
        "n_trials": 12, "n_correct_trials": 6, "end_time": "2024-07-01T11:00:00",
    }  # fmt: skip
    fill_facts(server, claim(), RunFacts(13, 6, "2024-07-01T12:00:00"))
    assert server.session["n_trials"] == 13
    assert server.session["end_time"] == "2024-07-01T11:00:00"


def test_several_protocols_are_added_up_each_counted_once():
    server = Server(json={"mine": 1})
    for _ in range(2):
        fill_facts(server, claim("alf/task_00"), RunFacts(10, 5))
        fill_facts(server, claim("alf/task_01"), RunFacts(20, 9))
    assert (server.session["n_trials"], server.session["n_correct_trials"]) == (30, 14)
    assert server.session["json"]["mine"] == 1


def test_a_task_that_counted_no_trials_leaves_their_numbers():
    # Given a session with its numbers, and then a probe that was sorted
    server = Server(n_trials=12, n_correct_trials=6)
    sorting = RunFacts(extended_qc={"_sorting_probe00_units": 3.0})
    fill_facts(server, claim("alf/probe00/tridesclous2"), sorting)
    assert (server.session["n_trials"], server.session["n_correct_trials"]) == (12, 6)
    assert server.session["extended_qc"] == {"_sorting_probe00_units": 3.0}
    assert "json" not in server.session


def test_a_server_that_refuses_fails_no_task(caplog):
    class Away(Server):
        def patch(self, path, body):
            raise Unreachable("away")

    fill_facts(Away(), claim(), RunFacts(1, 1))
    assert "were not written: away" in caplog.text


@pytest.mark.parametrize(
    ("before", "qc", "new", "expected"),
    [
        (None, "NOT_SET", {"task": "WARNING"}, "WARNING"),
        # judged anew, it is better: nobody has said otherwise
        ({"task": "FAIL"}, "FAIL", {"task": "PASS"}, "PASS"),
        # the worst that is told counts; single checks do not
        ({"task_00": "FAIL", "_task_00_x": 0.1}, "FAIL", {"task_01": "PASS"}, "FAIL"),
        ({"experimenter": "CRITICAL"}, "CRITICAL", {"task": "PASS"}, "CRITICAL"),
        # what somebody set by hand only gets worse
        ({}, "CRITICAL", {"task": "PASS"}, "CRITICAL"),
        ({}, "PASS", {"task": "WARNING"}, "WARNING"),
        ({"behavior": 1, "odd": ["x"]}, "NOT_SET", {"task": "PASS"}, "PASS"),
    ],
)
def test_a_session_is_as_good_as_the_worst_that_is_told_of_it(before, qc, new, expected):
    server = Server(extended_qc=before, qc=qc)
    fill_facts(server, claim(), RunFacts(extended_qc={**new, "_task_goCue_delays": 1.0}))
    assert server.session["qc"] == expected
    assert server.session["extended_qc"] == {**(before or {}), **new, "_task_goCue_delays": 1.0}


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"SESSION_DATETIME": "2019-07-01T12:15:18"}, "2019-07-01T12:15:38.500000"),
        ({"SESSION_START_TIME": "2024-07-01T23:59:50"}, "2024-07-02T00:00:10.500000"),
        ({"SESSION_END_TIME": "2024-07-01T11:00:00"}, "2024-07-01T11:00:00"),
        ({"SESSION_DATETIME": "yesterday"}, None),
        ({}, None),
    ],
)
def test_facts_come_from_the_trials_and_the_rig_s_clock(settings, end):
    table = pd.DataFrame({"feedbackType": [1, -1, 1, 0], "intervals_1": [1.0, 5, 9, 20.5]})
    facts = session_facts(table, settings)
    assert (facts["n_trials"], facts["n_correct_trials"]) == (4, 2)
    assert facts.get("end_time") == end
