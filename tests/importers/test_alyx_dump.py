"""``fornix export alyx-dump``: a laboratory can leave, with everything that it brought."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lab.commands.export import export
from lab.importers.dump.writing import NO_PASSWORD, AlyxDump
from tests.importers.dumps import Dump
from tests.importers.test_dump import carried, written


def rows_of(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        rows = json.load(file)
    found = {key_of(row): row["fields"] for row in rows}
    assert len(found) == len(rows)
    return found


def key_of(row: dict[str, Any]) -> tuple[str, str]:
    """Return a row's model and primary key; a file's place has no other key than what it says."""
    fields = row["fields"]
    if row["model"] == "data.filerecord":
        return row["model"], f"{fields['dataset']} on {fields['data_repository']}"
    return row["model"], str(row["pk"])


def test_what_was_imported_comes_out_and_goes_into_another_system(
    api,
    other,
    tmp_path,
):
    # Given a system that a dump was imported into
    dump = Dump(14, seed=4)
    first = carried(written(dump, tmp_path / "in.json.gz"), api)
    # When all is exported
    AlyxDump(api).write(tmp_path / "out.json.gz")
    out = rows_of(tmp_path / "out.json.gz")
    # Then what the dump had and was carried is there: same keys, same values where both have some
    refused = {each["id"] for each in first.refusals()}
    checked: Counter[str] = Counter()
    last = {key_of(row): row for row in dump.rows}
    for (model, pk), row in last.items():
        if pk in refused or (model, pk) not in out:
            continue
        exported = out[model, pk]
        for name in SAME.get(model, ()):
            given = row["fields"].get(name)
            if given in (None, "-") or (pk == dump.orphan and name == "litter"):
                continue
            assert exported[name] == row["fields"][name], (model, name)
            checked[model] += 1
    assert set(checked) == set(SAME)
    assert {fields["password"] for (m, _), fields in out.items() if m == "misc.labmember"} == {
        NO_PASSWORD
    }
    # And an empty system that takes it exports the same again
    again = carried(tmp_path / "out.json.gz", other)
    lost = [each for each in again.refusals() if "no animal lived in it" not in each["reason"]]
    assert lost == []
    AlyxDump(other).write(tmp_path / "back.json.gz")
    back = rows_of(tmp_path / "back.json.gz")
    gone = {(each["resource"], each["id"]) for each in again.refusals()}
    wrong = {
        key: (fields, back.get(key)) for key, fields in out.items() if back.get(key) != fields
    }
    for key in [key for key, fields in out.items() if fields.get("username") == "root"]:
        wrong.pop(key)  # each system's own administrator
    assert set(wrong) <= gone, list(wrong.items())[:3]


SAME = {
    "subjects.subject": ("nickname", "sex", "birth_date", "lab", "litter", "request"),
    "subjects.litter": ("line", "breeding_pair", "birth_date"),
    "subjects.breedingpair": ("mother1", "start_date", "end_date"),
    "subjects.line": ("nickname", "alleles", "species", "subject_autoname_index"),
    "subjects.zygosityrule": ("line", "allele", "sequence0", "sequence0_result", "zygosity"),
    "actions.weighing": ("subject", "user", "date_time", "weight"),
    "actions.wateradministration": ("subject", "session", "water_administered", "water_type"),
    "actions.waterrestriction": ("subject", "start_time", "reference_weight", "users"),
    "actions.surgery": ("subject", "start_time", "outcome_type", "implant_weight", "procedures"),
    "actions.session": ("subject", "start_time", "number", "projects", "qc", "extended_qc"),
    "actions.cull": ("subject", "date", "user"),
    "data.dataset": ("name", "collection", "session", "file_size", "created_by", "qc"),
    "data.filerecord": ("dataset", "data_repository", "relative_path", "exists"),
    "misc.labmember": ("username", "email", "allowed_users", "is_stock_manager"),
    "misc.housingsubject": ("subject", "start_datetime"),
    "subjects.genotypetest": ("subject", "sequence", "test_result"),
}
"""Fields that come out as they went in, by model."""


def test_the_command_counts_writes_once_and_never_half(api, tmp_path, monkeypatch):
    monkeypatch.setenv("FORNIX_API_URL", api.settings.url)
    monkeypatch.setenv("FORNIX_TOKEN", api.settings.token)
    carried(written(Dump(9), tmp_path / "in.json.gz"), api)
    file = tmp_path / "all.json"
    run = CliRunner()
    counted = run.invoke(export, ["alyx-dump", str(file), "--dry-run", "--json"])
    assert counted.exit_code == 0, counted.output
    assert not file.exists()
    done = run.invoke(export, ["alyx-dump", str(file)])
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text())
    assert Counter(row["model"] for row in rows) == json.loads(counted.output)["rows"]
    refused = run.invoke(export, ["alyx-dump", str(file)])
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
    # A server that fails in the middle leaves the old file as it was
    before = file.read_bytes()

    def broken(path: str, **query: Any) -> Any:
        if query.get("resource") == "subjects":
            raise RuntimeError("gone")
        return api.get(path, **query)

    class Broken:
        get = staticmethod(broken)

    with pytest.raises(RuntimeError):
        AlyxDump(Broken()).write(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.part")] == []
