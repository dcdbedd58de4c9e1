"""The lists that every installation begins with."""

from __future__ import annotations

import pytest

from shared.records import documents, reference

pytestmark = pytest.mark.usefixtures("table")


def test_the_allen_regions_are_loaded_once():
    # Given a table without regions, and the atlas's table as iblatlas brings it
    regions = reference.allen_regions()
    assert regions is not None

    # When they are loaded twice
    made = [reference.load_brain_regions(regions), reference.load_brain_regions(regions)]

    # Then all are there, with the void and the root, and the second time made none
    assert made == [1328, 0]
    region = documents.get("brain-region", "382").body
    assert (region["acronym"], region["name"]) == ("CA1", "Field CA1")
    assert documents.get("brain-region", str(region["parent"])).body["acronym"] == "CA"
    assert documents.get("brain-region", "0").body["acronym"] == "void"


def test_what_is_there_is_left_as_it_is():
    # Given a list of which somebody made one procedure by hand
    documents.create("procedure", "Imaging", {"name": "Imaging", "description": "ours"}, who="me")

    reference.load()

    assert documents.get("procedure", "Imaging").body["description"] == "ours"
    for name in reference.PROCEDURES:
        assert documents.get("procedure", name).body["name"] == name
    assert len(reference.PROCEDURES) == 33
