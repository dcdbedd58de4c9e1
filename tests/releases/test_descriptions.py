"""What a release says of itself: read by RO-Crate's library, in words that schema.org has.

The validators of each format weigh hundreds of megabytes: `make descriptions` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rocrate
from rocrate.rocrate import ROCrate

from shared.model.release import ReleaseManifest, ReleaseTerms
from shared.releases import linked
from shared.releases.describe import LONGEST, SHORTEST, creators, datacite
from tests.releases.described import ADDRESSES, TERMS, manifest, manifests

DATA = Path(rocrate.__file__).with_name("data")

KINDS = {
    "schema.org": linked.page_json_ld,
    "Croissant": linked.croissant,
    "RO-Crate": linked.ro_crate,
}

CASES = [
    pytest.param(manifest, where, id=f"{name}, {place}")
    for name, manifest in manifests().items()
    for place, where in ADDRESSES.items()
]


@cache
def vocabulary() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return schema.org's properties with the classes that have them, and classes with theirs."""
    graph = json.loads((DATA / "schema.jsonld").read_text())["@graph"]

    def named(node: Any, key: str) -> set[str]:
        found = node.get(key, [])
        return {one["@id"] for one in (found if isinstance(found, list) else [found])}

    domains = {one["@id"]: named(one, "schema:domainIncludes") for one in graph}
    parents = {one["@id"]: named(one, "rdfs:subClassOf") for one in graph}
    return domains, parents


def classes(kind: str) -> set[str]:
    """Return a class of schema.org with all that it is a kind of."""
    _, parents = vocabulary()
    found, left = set(), {kind}
    while left:
        found |= left
        left = {one for kind in left for one in parents.get(kind, ())} - found
    return found


def nodes(value: Any, above: str = "") -> Iterator[dict[str, Any]]:
    """Yield every node of linked data that says what it is."""
    if isinstance(value, list):
        for one in value:
            yield from nodes(one)
    elif isinstance(value, dict):
        if "@type" in value and "@graph" not in value:
            yield value
        for key, one in value.items():
            if key != "@context":
                yield from nodes(one)


@cache
def of_crates() -> dict[str, str]:
    """Return RO-Crate's context: what its words stand for."""
    words: dict[str, str] = json.loads((DATA / "ro-crate.jsonld").read_text())["@context"]
    return words


def in_schema_org(word: str, kind: str) -> str | None:
    """Return a word's name in schema.org; None if its context says that it is of another's."""
    if kind == "RO-Crate":
        address = of_crates().get(word)
        assert address, f"RO-Crate has no word {word}: readers drop it"
        _, _, name = address.partition("schema.org/")
        return f"schema:{name}" if name else None
    if kind == "Croissant":
        meant = linked.CROISSANT_CONTEXT.get(word, word.replace("sc:", "schema:"))
        if not isinstance(meant, str) or meant.startswith(("cr:", "dct:", "rai:")):
            return None
        return meant if meant.startswith("schema:") else f"schema:{meant}"
    return f"schema:{word}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("release", "where"), CASES)
def test_every_word_is_one_of_its_vocabulary_and_belongs_to_what_has_it(
    kind: str, release: ReleaseManifest, where: Any
) -> None:
    domains, _ = vocabulary()
    checked = 0
    for node in nodes(KINDS[kind](release, where)):
        own = in_schema_org(node["@type"], kind)
        for word in node:
            name = None if word.startswith("@") else in_schema_org(word, kind)
            if own is None or name is None:
                continue
            assert name in domains, f"schema.org has no {name}"
            assert classes(own) & domains[name], f"{own} has no {name}"
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize(("release", "where"), CASES)
def test_ro_crate_s_own_library_reads_files_people_and_what_made_the_files(
    release: ReleaseManifest, where: Any, tmp_path: Path
) -> None:
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps(linked.ro_crate(release, where)))
    for path, file in release.paths().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bytes(file.size))
    crate = ROCrate(tmp_path)
    assert {one["name"] for one in crate.data_entities} == {
        path.rpartition("/")[2] for path in release.paths()
    }
    told = crate.root_dataset["author"]
    authors = told if isinstance(told, list) else [told]
    assert len({one.id for one in authors}) == len(authors)
    assert {one["name"] for one in authors} <= {one.name for one in creators(release)}
    assert authors[0]["name"] == creators(release)[0].name
    actions = [one for one in crate.contextual_entities if one.type == "CreateAction"]
    made = {one["instrument"]["version"]: len(one["result"]) for one in actions}
    assert made == ({"fornix 0.1.0": 4, "ibllib 4.1.0": 2} if release.files else {})
    if where.doi:
        assert crate.root_dataset["identifier"]["value"] == f"doi:{where.doi}"


@pytest.mark.parametrize("words", ["", "x", "word " * 3_000, "w" * 9_000])
def test_descriptions_have_the_length_that_search_engines_take(words: str) -> None:
    release = manifest(ReleaseTerms(description=words))
    for make in (linked.page_json_ld, linked.croissant):
        assert SHORTEST <= len(make(release, ADDRESSES["of a server"])["description"]) <= LONGEST
    # Archives get all of it
    whole = datacite(release, ADDRESSES["of a server"])["descriptions"][0]["description"]
    assert words.strip() in whole


def test_a_file_whose_name_has_signs_is_found_by_its_address() -> None:
    release = manifest(TERMS["all said"])
    described = linked.ro_crate(release, ADDRESSES["of a folder"])
    ids = {one["@id"] for one in described["@graph"] if one["@type"] == "File"}
    assert (
        "fimbrialab/Subjects/M_0/2024-07-01/001/alf/%232024-08-01%23/probe00/spikes.times.npy"
        in ids
    )
