"""``?django=`` on the colony's kinds, field by field of their declarations."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.engine.declarations import KINDS, Field
from functions.api.resources import RESOURCES
from shared import catalog
from shared.catalog import versions
from tests.api import test_filter_counts as counting
from tests.api.conftest import Api
from tests.api.test_colony_kinds import ADMIN, PLAIN, colony

world = colony  # the same line, allele, sequences and parents

OTHERS: dict[str, list[dict[str, Any]]] = {
    "sequences": [{"name": "other", "description": "A long Text", "base_pairs": "ACG"}],
    "alleles": [{"nickname": "Flp", "sequences": ["Cre", "wt"], "x_linked": True}],
    "lines": [{"name": "Old line", "nickname": "OL", "is_active": False, "wean_age_days": 25}],
    "zygosity-rules": [{"sequence1": None, "result1": None, "zygosity": 3, "order": 4}],
    "genotype-tests": [{"subject": "MUM", "test_result": "absent", "plate": "P 7"}],
    "breeding-pairs": [{"name": "BP2", "father": None, "mother2": "MUM2", "events": []}],
    "litters": [{"name": "L2", "breeding_pair": None, "born": 8, "died": 0, "description": "x"}],
    "subject-requests": [{"count": 9, "due_date": None, "description": "For Anna"}],
    "cages": [{"name": "D1", "row": 7, "card": "K12", "enrichment": [], "rack": ""}],
    "other-actions": [{"subject": "MUM", "procedures": [], "narrative": "A Long day"}],
    "virus-injections": [{"injection_volume": 7.5, "injection_type": "I", "users": []}],
    "lab-memberships": [{"role": "Head", "start_date": "2024-07-01"}],
    "licences": [{"number": "PP2", "holder": "admin", "procedures": [], "valid_until": None}],
    "own-fields": [{"resource": "cages", "required": True, "order": 3, "unit": ""}],
    "subject-tags": [{"name": "cohort 2", "subjects": ["MUM2"], "description": "x"}],
    "templates": [{"title": "Other", "active": False, "procedure": "Histology"}],
    "views": [{"screen": "cages", "name": "Other"}],
}
KIND_OF = {"int": "number", "float": "number", "date": "time", "datetime": "time", "bool": "bool"}


def form_of(name: str, spec: Field) -> counting.Form | None:
    """Return how a declared field is asked for; None for JSON and what is never shown."""
    if spec.hidden or not spec.indexed or spec.type in ("json", "choice"):
        return None
    if spec.type == "ref":
        key = KINDS[spec.to].key
        values = counting.each(name) if spec.many else counting.one(name)
        if key == "id":
            return counting.Form(name, values, "id")
        return counting.Form(f"{name}__{key}", values, "name")
    return counting.Form(name, counting.one(name), KIND_OF.get(spec.type, "text"))


@pytest.mark.parametrize("path", sorted(OTHERS))
def test_what_a_filter_of_a_declared_field_finds_is_what_the_records_say(
    world: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given records of the kind that differ in many fields, held as columns
    monkeypatch.setattr(versions, "SMALL", 1)
    plain = next(body for each, body, _ in PLAIN if each == path)
    for more in ({}, *OTHERS[path]):
        world.ok("POST", f"/{path}", {**plain, "lab": "fimbrialab", **more}, **ADMIN)
    catalog.reset_for_tests()
    rows = counting.everything(world, path)
    assert len(rows) >= 2
    # When each of its fields is asked for by every lookup
    forms = [form_of(name, spec) for name, spec in RESOURCES[path].fields.items()]
    monkeypatch.setitem(counting.FORMS, path, [each for each in forms if each])
    asked = list(counting.conditions(path, rows))
    assert len(asked) > 8
    # Then those are found of which a reading of each record says so, and left out the others
    for query, says in asked:
        yes = sorted(i for i, row in rows.items() if says(row))
        assert counting.found_by(world, path, query) == yes, query
        left = sorted(set(rows) - set(yes))
        assert counting.found_by(world, path, f"~{query}") == left, f"~{query}"
