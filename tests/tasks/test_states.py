"""The state machine of tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tasks.states import (
    ACTIVE,
    LABELS,
    RESULTS,
    STEPS,
    TERMINAL,
    IllegalStep,
    Status,
    UnknownStatus,
    step,
)

statuses = st.sampled_from(list(Status))


def test_names_and_numbers_are_alyx():
    assert {status.label: int(status) for status in Status} == {
        "Waiting": 20,
        "Held": 25,
        "Started": 30,
        "Errored": 40,
        "Abandoned": 45,
        "Empty": 50,
        "Incomplete": 55,
        "Complete": 60,
    }


@pytest.mark.parametrize("text", ["Waiting", "waiting", "WAITING", 20])
def test_a_status_is_read_by_name_or_number(text):
    assert Status.parse(text) is Status.WAITING


@pytest.mark.parametrize("text", ["Done", "", None, 21])
def test_an_unknown_status_lists_the_eight(text):
    with pytest.raises(UnknownStatus, match=", ".join(LABELS)):
        Status.parse(text)


@given(statuses, statuses)
def test_a_step_is_a_change_a_stay_or_refused(old, new):
    if old == new:
        assert step(old, new) is False
    elif new in STEPS[old]:
        assert step(old, new) is True
    else:
        with pytest.raises(IllegalStep, match=f"from {old.label} to {new.label}"):
            step(old, new)


@given(statuses)
def test_results_come_only_from_a_run(old):
    assert RESULTS & STEPS[old] <= ({Status.ERRORED} if old in ACTIVE else set()) or (
        old is Status.STARTED
    )


def test_whatever_has_ended_can_be_run_again():
    reachable = {status: STEPS[status] for status in TERMINAL}
    assert all(Status.WAITING in steps for steps in reachable.values())


@given(st.lists(statuses, max_size=20))
def test_no_walk_leaves_the_machine(walk):
    here = Status.WAITING
    for new in walk:
        try:
            step(here, new)
        except IllegalStep:
            continue
        here = new
    assert here in STEPS
