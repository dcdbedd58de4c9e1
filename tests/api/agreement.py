"""What devices and the model of a colony have in common: what is there first, what must agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.api.conftest import Api
from tests.api.device import Device
from tests.api.notebook import ENDS, NAMES, PATHS
from tests.api.plain_colony import Colony, Values

TESTS = ("Cre", "wild type")
"""Sequences that animals are tested for."""

HELD = {
    "subject": (
        "death_date",
        "birth_date",
        "wean_date",
        "genotype_date",
        "cage",
        "litter",
        "protocol_number",
        "to_be_culled",
        "to_be_genotyped",
    ),
    "weighing": ("subject", "weight"),
    "surgery": ("subject",),
    "litter": ("birth_date",),
    "breeding-pair": ("father", "mother1"),
    "stay": ("subject", "cage"),
    "genotype-test": ("subject", "sequence"),
    "cull": ("subject",),
}
"""Fields that the model and the devices are compared by."""


def furnish(api: Api, line: str, nickname: str, cages: Mapping[str, str]) -> None:
    """Make a line with its rules, and cages by their ids; there is no action on these."""
    admin: dict[str, Any] = {"user": "admin"}
    for name in TESTS:  # they are there from the second time on
        api("POST", "/sequences", {"name": name}, **admin)
    api("POST", "/alleles", {"nickname": "Allele"}, **admin)
    body = {"name": line, "nickname": nickname, "lab": "fimbrialab", "alleles": ["Allele"]}
    api.ok("POST", "/lines", body, **admin)
    rules: list[Values] = [
        {"result0": "absent", "zygosity": 0},
        {"result0": "present", "sequence1": "wild type", "result1": "absent", "zygosity": 2},
        {"result0": "present", "sequence1": "wild type", "result1": "present", "zygosity": 1},
    ]
    for each in rules:
        said = {"line": line, "allele": "Allele", "sequence0": "Cre"}
        api.ok("POST", "/zygosity-rules", said | each, **admin)
    for key, name in cages.items():
        api.ok("POST", "/cages", {"id": key, "name": name, "lab": "fimbrialab"}, **admin)


def compare(device: Device, colony: Colony, prefix: str, cages: Mapping[str, str]) -> None:
    """Compare what a device holds of a colony, whose names have a prefix, with the model."""
    for kind in PATHS:
        theirs = {
            key: row
            for key, row in device.of(kind).items()
            if (key if kind in NAMES else row["subject"]).startswith(prefix)
        }
        model = colony.of(kind)
        assert set(theirs) == set(model), kind
        for key, values in model.items():
            row, wanted = theirs[key], dict(values)
            if kind in ENDS:
                assert bool(row.get(ENDS[kind])) == values["ended"], (kind, key, row)
            if kind == "subject":
                wanted["cage"] = cages.get(values["cage"], values["cage"])
                found = {each["allele"]: each["zygosity"] for each in row.get("zygosities", ())}
                assert found == values["zygosities"], (key, row, values)
            for name in HELD.get(kind, ()):
                assert row.get(name) == wanted.get(name), (kind, key, name, row, values)
