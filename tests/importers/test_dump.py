"""``fornix import dump``: rows in are rows out, or named; ids and lineage stay; nothing twice."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab.client import Client
from lab.importers.carrier import Carrier
from lab.importers.dump.job import DumpImport
from lab.importers.dump.models import MODELS
from lab.importers.dump.parts import is_uuid
from lab.importers.journal import Journal
from tests.importers.dumps import Dump


def written(dump: Dump, path: Path) -> Path:
    """Return a file with the rows of a dump."""
    with gzip.open(path, "wt") as file:
        json.dump(dump.rows, file)
    return path


def carried(file: Path, api: Any, **options: Any) -> Journal:
    """Import a dump; return the journal with the account."""
    journal = Journal()
    dry_run = options.pop("dry_run", False)
    DumpImport(file, Carrier(api, journal, dry_run=dry_run), None, **options).run()
    return journal


def check_sums(dump: Dump, journal: Journal) -> None:
    """Check that every row of a dump has exactly one outcome."""
    rows = Counter(row["model"] for row in dump.rows)
    told = {model: dict(counts) for model, counts in journal.tallies().items()}
    assert {model: counts.pop("rows in") for model, counts in told.items()} == rows
    assert {model: sum(counts.values()) for model, counts in told.items()} == rows


def check_hostile(dump: Dump, journal: Journal, more: int = 0) -> None:
    """Check that exactly the hostile rows are not carried, each for its reason."""
    told = {each["id"]: f"{each['reason']} {each['detail']}" for each in journal.refusals()}
    wrong = {pk: told.get(pk) for pk, why in dump.hostile.items() if why not in told.get(pk, "")}
    assert not wrong
    others = {pk: why for pk, why in told.items() if pk not in dump.hostile}
    assert len(others) == more, others


def all_of(api: Client, resource: str) -> list[dict[str, Any]]:
    """Return all rows of a list."""
    found: list[dict[str, Any]] = []
    while True:
        answer = api.get(f"/{resource}", limit=1000, offset=len(found))
        found += answer["results"]
        if len(found) >= answer["count"]:
            return found


def check_round_trip(dump: Dump, api: Client, journal: Journal) -> None:
    """Check counts, ids and lineage of what is there against the dump."""
    tallies = journal.tallies()
    for model, counts in tallies.items():
        if model not in MODELS or not MODELS[model].resource or not counts.get("created"):
            continue
        shown = all_of(api, MODELS[model].resource)
        kept = {str(row.get("id") or row.get("url"))[-36:] for row in shown}
        pks = {str(row["pk"]) for row in dump.of(model)}
        if all(is_uuid(each) for each in kept):  # some lists show names alone
            assert len(kept & pks) == counts["created"], model
    animals = {row["id"]: row for row in all_of(api, "subjects")}
    names = {pk: row["nickname"] for pk, row in animals.items()}
    pairs = {row["pk"]: row["fields"] for row in dump.of("subjects.breedingpair")}
    by_name = {(f["name"],): f for f in pairs.values()}
    litters = {row["pk"]: row["fields"] for row in dump.of("subjects.litter")}
    litters |= {(f["name"],): f for f in litters.values()}
    checked = 0
    for row in dump.of("subjects.subject"):
        litter = row["fields"]["litter"] if row["pk"] in animals else None
        litter = litters.get(tuple(litter) if isinstance(litter, list) else litter or "")
        if litter and row["pk"] != dump.circle:
            pair = litter["breeding_pair"]
            pair = by_name[tuple(pair)] if isinstance(pair, list) else pairs[pair]
            assert animals[row["pk"]]["father"] == names[pair["father"]]
            assert animals[row["pk"]]["mother"] == names[pair["mother1"]]
            checked += 1
    assert checked > dump.animals // 3


def clashes(dump: Dump, journal: Journal) -> int:
    """Return how many animals have the name of another lab's animal; they are named."""
    told = [each["id"] for each in journal.refusals() if "called F0000" in each["detail"]]
    assert told in ([], [dump.twin])
    return len(told)


def test_every_row_is_carried_or_named_and_a_second_run_changes_nothing(api, tmp_path):
    # Given a dump of a small colony with rows that cannot be
    dump = Dump(60)
    file = written(dump, tmp_path / "dump.json.gz")
    # When it is imported
    first = carried(file, api)
    # Then every row has one outcome, and what is there is what was in it
    check_sums(dump, first)
    check_hostile(dump, first, more=clashes(dump, first))
    check_round_trip(dump, api, first)
    shown = json.dumps([all_of(api, r) for r in ("users", "data-repository", "notes")])
    assert "s3cret" not in shown
    assert '"bucket": "b"' in shown
    assert "2020/07/01/gone.png" in shown
    # And a second run makes nothing and finds nothing changed
    second = carried(file, api)
    check_sums(dump, second)
    for model, counts in second.tallies().items():
        assert counts.get("created", 0) == counts.get("kept", 0) == 0, (model, counts)
        before = first.tallies()[model].get("created", 0)
        assert counts.get("unchanged", 0) == before + first.tallies()[model].get("unchanged", 0)


def test_what_the_rules_of_alyx_left_open_is_brought_into_agreement(api, tmp_path):
    dump = Dump(20, seed=2)
    journal = carried(written(dump, tmp_path / "d.json.gz"), api)
    # Two open stays: the earlier one ends when the later begins
    stays = Counter(row["subject"] for row in all_of(api, "stays") if not row["end"])
    assert stays
    assert set(stays.values()) == {1}
    # A cull is a death, and whoever has none is named
    culled = {row["subject"] for row in all_of(api, "culls")}
    rows = all_of(api, "subjects")
    assert {r["nickname"] for r in rows if r["death_date"] == "2021-02-01"} == culled
    # Lines of one name are two lines; counters go on where they were
    lines = {row["name"]: row for row in all_of(api, "lines")}
    assert len(lines) == 2
    assert {row["nickname"] for row in lines.values()} == {"PV", "PV2"}
    assert all(row["subject_autoname_index"] == 41 for row in lines.values())
    # Zygosities that the rule gives name it; others are as given by hand
    said = [each for r in rows for each in api.get(f"/subjects/{r['id']}")["genotype"]]
    assert {(each["by"], each["zygosity"]) for each in said} == {("rule", 3), ("manual", 1)}
    # People may act for each other, and belong to labs by their memberships
    users = {row["username"]: row for row in all_of(api, "users")}
    assert users["ada"]["allowed_users"] == ["grace"]
    assert users["grace"]["allowed_users"] == ["ada"]
    assert users["ada"]["lab"] == ["alab"]
    assert users["ada"]["is_husbandry"]
    assert users["jane"]["role"] == "member"
    # A circle of parents is cut, and told
    assert any("descends from itself" in text for text in journal.notes())


def test_natural_keys_and_server_times_mean_the_same(api, tmp_path):
    dump = Dump(14, seed=3, natural=True)
    journal = carried(
        written(dump, tmp_path / "d.json.gz"), api, server_zone=ZoneInfo("Europe/London")
    )
    check_sums(dump, journal)
    check_round_trip(dump, api, journal)
    # A weighing at nine in London was at four in New York
    hours = {
        lab: {r["date_time"][11:13] for r in api.get("/weighings", lab=lab)["results"]}
        for lab in ("alab", "blab")
    }
    assert hours == {"alab": {"09"}, "blab": {"04"}}


def test_a_dry_run_sends_nothing_and_tells_what_would_be_refused(fornix, tmp_path):
    dump = Dump(20)
    journal = carried(written(dump, tmp_path / "d.json.gz"), fornix, dry_run=True)
    check_sums(dump, journal)
    assert not fornix.requests
    told = {each["id"] for each in journal.refusals()}
    by_server = ("between", "10000", "count", "later")
    known = {pk for pk, why in dump.hostile.items() if why not in by_server}
    assert known <= told


def test_only_some_models_are_carried(api, tmp_path):
    dump = Dump(20)
    file = written(dump, tmp_path / "d.json.gz")
    asked = ("data.datarepository", "misc.cagetype", "misc.lab")
    first = carried(file, api, only=asked)
    check_sums(dump, first)
    made = {model for model, counts in first.tallies().items() if counts.get("created")}
    assert made == set(asked)
    # What others refer to is taken to be there
    carried(file, api, only=("misc.labmember", "subjects.species", "lines", "alleles"))
    again = carried(file, api, only=("misc.labmembership",))
    assert again.tallies()["misc.labmembership"]["created"] == 3


def test_pictures_come_from_the_media_folder_once_and_from_nowhere_else(api, bucket, tmp_path):
    from PIL import Image

    # Given notes with a picture that is there, one that is not, and one outside the folder
    dump = Dump(9)
    media = tmp_path / "media"
    media.mkdir()
    Image.new("RGB", (30, 20)).save(media / "there.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "secret.png")
    about = {"user": dump.users[0], "date_time": "2020-07-01T09:00:00", "text": ""}
    about |= {"content_type": ["subjects", "subject"], "object_id": dump.subjects[0]}
    wanted = ("there.png", "missing.png", "../secret.png")
    there, missing, outside = (
        dump.add("misc.note", name="", image=image, **about) for image in wanted
    )
    only = ("misc.lab", "misc.labmember", "subjects.subject", "misc.note", "data.datarepository",
            "misc.cagetype", *(f"subjects.{n}" for n in ("species", "allele", "line", "sequence",
                                                         "subjectrequest")))  # fmt: skip
    file = written(dump, tmp_path / "d.json.gz")
    # When it is imported with the folder, twice
    carried(file, api, only=only, media=media)
    shown = {each: api.get(f"/notes/{each}")["image"] for each in (there, missing, outside)}
    assert shown[there]
    assert not shown[missing]
    assert not shown[outside]
    again = carried(file, api, only=only, media=media)
    # Then the picture is the first one still
    assert api.get(f"/notes/{there}")["image"] == shown[there]
    assert again.notes()["misc.note: pictures that are not in the media folder"] == 3


@pytest.mark.proof
def test_a_dump_of_a_thousand_animals(api, tmp_path):
    dump = Dump(1000, seed=5)
    file = written(dump, tmp_path / "dump.json.gz")
    first = carried(file, api)
    check_sums(dump, first)
    check_hostile(dump, first, more=clashes(dump, first))
    check_round_trip(dump, api, first)
    second = carried(file, api)
    assert not any("created" in counts or "kept" in counts for counts in second.tallies().values())
