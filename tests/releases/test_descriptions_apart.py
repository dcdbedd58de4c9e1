"""What a release says of itself before the validators of each format (`make descriptions`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.releases import describe, linked
from tests.releases.described import ADDRESSES, manifests

pytestmark = pytest.mark.proof

PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "descriptions" / "bin" / "python"
PROGRAM = Path(__file__).with_name("validators.py")

MAKERS = {
    "datacite": (describe.datacite,),
    "croissant": (linked.croissant,),
    "ro-crate-1.3": (linked.ro_crate,),
    "ro-crate-1.2": (linked.ro_crate,),
    "json-ld": (linked.page_json_ld, linked.croissant, linked.ro_crate),
}


def faults(asked: list[dict[str, Any]]) -> list[list[str]]:
    """Return what a validator finds in each document."""
    if not PYTHON.exists():
        pytest.skip("the validators are installed apart: make descriptions")
    done = subprocess.run(
        [str(PYTHON), str(PROGRAM)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    answers = [one[7:] for one in done.stdout.splitlines() if one.startswith("ANSWER ")]
    assert answers, done.stderr[-3000:]
    found: list[list[str]] = json.loads(answers[0])
    return found


@pytest.mark.parametrize("kind", MAKERS)
def test_its_validator_finds_no_fault_in_any(kind: str) -> None:
    cases = [
        (f"{name}, {place}", release, make(release, where))
        for name, release in manifests().items()
        for place, where in ADDRESSES.items()
        if name == "all said" or where.doi
        for make in MAKERS[kind]
    ]
    asked = [
        {
            "kind": kind,
            "document": document,
            "files": {path: file.size for path, file in release.paths().items()},
        }
        for _, release, document in cases
    ]
    found = dict(zip((name for name, _, _ in cases), faults(asked), strict=True))
    assert found == {name: [] for name in found}


def test_each_validator_finds_what_is_wrong() -> None:
    release, where = manifests()["all said"], ADDRESSES["of a server"]
    datacite = describe.datacite(release, where) | {"creators": [{"name": 5}]}
    croissant = linked.croissant(release, where)
    del croissant["distribution"][0]["contentUrl"]
    crate = linked.ro_crate(release, where)
    crate["@graph"][1]["author"] = {"name": "not by its id"}
    page = linked.page_json_ld(release, where) | {"unheard": "of"}
    documents = {
        "datacite": datacite,
        "croissant": croissant,
        "ro-crate-1.3": crate,
        "json-ld": page,
    }
    asked = [{"kind": k, "document": one, "files": {}} for k, one in documents.items()]
    found = dict(zip(documents, faults(asked), strict=True))
    assert {kind for kind, told in found.items() if not told} == set()
