"""A death that was a slip is taken back: what ended with it goes on, in whichever order."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import Api
from tests.api.test_batch import new_id, send
from tests.api.test_colony_effects import colony
from tests.api.test_undo import undo

__all__ = ["colony"]


def culled(api: Api, *animals: str) -> list[str]:
    """Cull animals one after the other; return the culls' ids."""
    said = {"date": "2024-07-01", "severity": "mild"}
    return [api.ok("POST", "/culls", {**said, "subject": each})["id"] for each in animals]


def died(api: Api, animal: str) -> Any:
    return api.ok("GET", f"/subjects/{animal}")["death_date"]


def end_of_pair(api: Api) -> Any:
    return api.ok("GET", "/breeding-pairs/PV_BP_001")["end_date"]


def test_a_cull_that_came_back_by_undo_is_deleted_as_before(colony: Api) -> None:
    start = {"subject": "DAD", "reference_weight": 25, "start_time": "2024-06-01T09:00:00"}
    restriction = colony.ok("POST", "/water-restriction", start)["id"]
    (cull,) = culled(colony, "DAD")
    group = new_id()
    send(colony, [{"op": "delete", "resource": "culls", "key": cull}], group=group)
    assert died(colony, "DAD") is None
    assert undo(colony, group, user="fimbrialab_manager").status == 200
    assert died(colony, "DAD") == "2024-07-01"

    colony.ok("DELETE", f"/culls/{cull}")

    assert died(colony, "DAD") is None
    assert colony.ok("GET", f"/water-restriction/{restriction}")["end_time"] is None
    assert end_of_pair(colony) is None


def test_a_pair_goes_on_when_both_its_parents_live_again(colony: Api) -> None:
    for_dad, for_mum = culled(colony, "DAD", "MUM")
    colony.ok("DELETE", f"/culls/{for_dad}")
    assert end_of_pair(colony) == "2024-07-01", "its mother is dead"

    colony.ok("DELETE", f"/culls/{for_mum}")

    assert end_of_pair(colony) is None


def test_an_undone_cull_leaves_a_pair_ended_whose_other_parent_is_dead(colony: Api) -> None:
    group = new_id()
    body = {"id": new_id(), "subject": "DAD", "date": "2024-07-01", "severity": "mild"}
    send(colony, [{"op": "create", "resource": "culls", "body": body}], group=group)
    (for_mum,) = culled(colony, "MUM")

    assert undo(colony, group).status == 200

    assert died(colony, "DAD") is None
    assert end_of_pair(colony) == "2024-07-01"
    colony.ok("DELETE", f"/culls/{for_mum}")
    assert end_of_pair(colony) is None


def test_a_pair_with_another_mother_goes_on_when_one_is_dead(colony: Api) -> None:
    colony.ok("PATCH", "/breeding-pairs/PV_BP_001", {"mother2": "MUM2"})
    for_mum, for_dad = culled(colony, "MUM", "DAD")

    colony.ok("DELETE", f"/culls/{for_dad}")

    assert end_of_pair(colony) is None
    assert died(colony, "MUM") == "2024-07-01"
    colony.ok("DELETE", f"/culls/{for_mum}")


def test_a_move_that_is_taken_back_leaves_the_cage_that_was_written(colony: Api) -> None:
    colony.ok("PATCH", "/subjects/DAD", {"cage": "C1"})
    cage = colony.ok("POST", "/cages", {"name": "C2", "lab": "fimbrialab"})["id"]
    group = new_id()
    stay = {"id": new_id(), "subject": "DAD", "cage": cage}
    send(colony, [{"op": "create", "resource": "stays", "body": stay}], group=group)
    assert colony.ok("GET", "/subjects/DAD")["cage"] == "C2"

    assert undo(colony, group).status == 200

    assert colony.ok("GET", "/subjects/DAD")["cage"] == "C1"


def test_a_dead_animal_moves_into_no_cage(colony: Api) -> None:
    cage = colony.ok("POST", "/cages", {"name": "C2", "lab": "fimbrialab"})["id"]
    culled(colony, "DAD")
    stay = {"subject": "DAD", "cage": cage, "start": "2024-06-01T09:00:00"}

    refused = colony("POST", "/stays", stay)

    assert refused.status == 400
    assert refused.body["subject"] == ["DAD died on 2024-07-01; give the stay's end."]
    # Where it was while it lived may be written down later
    colony.ok("POST", "/stays", {**stay, "end": "2024-06-20T09:00:00"})
