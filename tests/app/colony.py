"""A lab in the middle of its week: 2,000 animals, of which twenty are under water restriction."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.records.items import Document
from shared.records.table import Record

LAB = "fimbrialab"
ME = "fimbrialab_member"
COLLEAGUE = "anna"
STOCK = "fimbrialab_manager"
TODAY = datetime.now(UTC).date()

LINES = (("Pvalb-Cre", "PV"), ("Sst-Cre", "SST"), ("Vip-Cre", "VIP"), ("Ai32", "AI"))
SEQUENCES = ("Cre", "Wild type", "ChR2")
RESTRICTED = tuple(f"FI_{number:03d}" for number in range(101, 121))
WEANLINGS = tuple(f"PV_{number:04d}" for number in range(9001, 9009))
UNTESTED = tuple(f"SST_{number:04d}" for number in range(9101, 9109))
NEGATIVES = tuple(f"VIP_{number:04d}" for number in range(9201, 9213))

Row = tuple[str, str, dict[str, Any]]


def day(ago: int) -> str:
    """Return a day before today."""
    return (TODAY - timedelta(days=ago)).isoformat()


def at(ago: int, hour: int = 9) -> str:
    """Return a moment on a day before today, as it is stored."""
    return f"{day(ago)}T{hour:02d}:00:00+00:00"


def known_id(*parts: object) -> str:
    """Return the same id for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def records(animals: int = 2000) -> Iterator[Row]:
    """Yield kind, key and body of every record; of no animals, the lab and its lists alone."""
    chance = random.Random(7)
    yield from _people()
    yield from _lists()
    if not animals:
        return
    yield from _lines()
    yield from _pairs_and_litters()
    yield from _restricted(chance)
    yield from _special()
    yield from _cages()
    left = animals - len(RESTRICTED) - len(WEANLINGS) - len(UNTESTED) - len(NEGATIVES) - 24
    for number in range(left):
        line, short = LINES[number % len(LINES)]
        name = f"{short}_{number:04d}"
        zygosity = chance.choice((0, 1, 1, 2))
        yield subject(
            name,
            line=line,
            sex="MF"[number // 4 % 2],
            birth_date=day(40 + number % 300),
            responsible_user=STOCK if number % 3 else COLLEAGUE,
            cage=f"S{number // 4:03d}",
            zygosities=[{"allele": short, "zygosity": zygosity, "by": "rule"}],
        )


def subject(name: str, **values: Any) -> Row:
    """Return a subject."""
    body = {
        "nickname": name,
        "lab": LAB,
        "sex": "F",
        "birth_date": day(90),
        "responsible_user": ME,
        "projects": [],
        "protocol_number": "1",
        "to_be_culled": False,
        "to_be_genotyped": False,
        **values,
    }
    return "subject", name, body


def _people() -> Iterator[Row]:
    for name, more in (
        (ME, {"first_name": "Mei"}),
        (COLLEAGUE, {"first_name": "Anna"}),
        ("admin", {"role": "administrator", "lab": []}),
        (STOCK, {"is_stock_manager": True, "role": "manager", "is_husbandry": True}),
    ):
        body = {
            "username": name,
            "role": "member",
            "lab": [LAB],
            "is_active": True,
            "is_public_user": False,
            "email": f"{name}@example.org",
            "allowed_users": [],
            "is_stock_manager": False,
            "is_husbandry": True,
            **more,
        }
        yield "user", name, body
    lab = {
        "name": LAB,
        "institution": "Institute of the Fimbria",
        "timezone": "Europe/Lisbon",
        "repositories": [],
        "reference_weight_pct": 0.85,
        "zscore_weight_pct": 0,
    }
    yield "lab", LAB, lab


def _lists() -> Iterator[Row]:
    for kind, names in (
        ("water-type", ("Water", "Water 10% Sucrose", "Hydrogel")),
        ("procedure", ("Headplate implant", "Craniotomy", "Behavior training/tasks")),
        ("cull-reason", ("No useful genotype", "Experiment ended", "Health")),
        ("cull-method", ("CO2", "Perfusion", "Cervical dislocation")),
        ("cage-type", ("IVC",)),
        ("food", ("Standard",)),
        ("project", ("synthetic",)),
        ("species", ("Mus musculus",)),
        ("strain", ("C57BL/6J",)),
        ("source", ("Jax",)),
    ):
        for name in names:
            yield kind, name, {"name": name, "description": ""}
    template = known_id("template")
    yield (
        "template",
        template,
        {
            "id": template,
            "lab": LAB,
            "procedure": "Headplate implant",
            "title": "Headplate implant",
            "body": "Anaesthesia from {start} to {end}. Bregma–lambda {bregma_lambda} mm. "
            "Analgesia: {drug}.",
            "fields": [
                {"name": "start", "type": "text"},
                {"name": "end", "type": "text"},
                {"name": "bregma_lambda", "type": "number", "unit": "mm"},
                {"name": "drug", "type": "choice", "choices": ["Carprofen", "Buprenorphine"]},
            ],
            "active": True,
        },
    )
    location = "Surgery Room"
    yield "location", location, {"name": location, "lab": LAB}


def _lines() -> Iterator[Row]:
    for name in SEQUENCES:
        yield "sequence", name, {"name": name, "base_pairs": "", "description": ""}
    for name, short in LINES:
        yield "allele", short, {"nickname": short, "name": name, "sequences": list(SEQUENCES)}
        body = {"name": name, "nickname": short, "lab": LAB, "alleles": [short], "is_active": True}
        yield (
            "line",
            name,
            {
                **body,
                "strain": "C57BL/6J",
                "species": "Mus musculus",
                "generation_scheme": "backcross",
            },
        )
        for order, (first, second, zygosity) in enumerate(
            ((True, False, 2), (True, True, 1), (False, True, 0))
        ):
            key = known_id("rule", name, order)
            rule = {"id": key, "line": name, "allele": short, "order": order}
            tests = {"sequence0": "Cre", "result0": first, "sequence1": "Wild type"}
            yield "zygosity-rule", key, {**rule, **tests, "result1": second, "zygosity": zygosity}


def _pairs_and_litters() -> Iterator[Row]:
    for number in range(12):
        line, short = LINES[number % len(LINES)]
        parents = (f"{short}_F{number}", f"{short}_M{number}")
        for name, sex in zip(parents, "FM", strict=True):
            zygosity = [{"allele": short, "zygosity": 1, "by": "rule"}]
            yield subject(
                name, line=line, sex=sex, birth_date=day(120), cage=f"B{number:02d}",
                responsible_user=STOCK, zygosities=zygosity,
            )  # fmt: skip
        pair = f"{short}_BP_{number:03d}"
        body = {"name": pair, "line": line, "father": parents[1], "mother1": parents[0]}
        yield (
            "breeding-pair",
            pair,
            {
                **body,
                "mother2": None,
                "start_date": day(60),
                "end_date": None,
                "cage": f"B{number:02d}",
            },
        )
        litter = f"{short}_L_{number:03d}"
        age = 24 if number == 0 else 30 if number == 1 else 27 + number
        body = {"name": litter, "line": line, "breeding_pair": pair, "birth_date": day(age)}
        yield "litter", litter, {**body, "born": 8, "died": 0}


def _restricted(chance: random.Random) -> Iterator[Row]:
    for i, name in enumerate(RESTRICTED):
        born = day(150 + i)
        yield subject(
            name, sex="MF"[i // 2 % 2], birth_date=born, line="Pvalb-Cre", protocol_number="3",
            ear_mark="LR"[i % 2], cage=f"R{i // 4}",
        )  # fmt: skip
        key = known_id("restriction", name)
        body = {"id": key, "subject": name, "start_time": at(20), "end_time": None}
        yield (
            "water-restriction",
            key,
            {**body, "water_type": "Water", "reference_weight": 24.0 + i / 10},
        )
        weight = 24.0 + i / 10
        for ago in range(22, 0, -1):
            weight += chance.uniform(-0.35, 0.25) if ago < 20 else 0
            weight = max(weight, (0.83 if i == 3 else 0.88) * (24 + i / 10))
            key = known_id("weighing", name, ago)
            body = {"id": key, "subject": name, "date_time": at(ago), "user": ME}
            yield "weighing", key, {**body, "weight": round(weight, 1)}
            key = known_id("watering", name, ago)
            body = {"id": key, "subject": name, "date_time": at(ago, 15), "user": ME}
            body |= {"water_administered": 1.0, "water_type": "Water", "adlib": False}
            yield "watering", key, body


def _special() -> Iterator[Row]:
    for i, name in enumerate(WEANLINGS):
        yield subject(
            name,
            line="Pvalb-Cre",
            litter="PV_L_000",
            birth_date=day(24),
            sex="MF"[i % 2],
            responsible_user=STOCK,
        )
    for i, name in enumerate(UNTESTED):
        yield subject(
            name, line="Sst-Cre", litter="SST_L_001", birth_date=day(30), sex="MF"[i % 2],
            to_be_genotyped=True, wean_date=day(8), responsible_user=STOCK, ear_mark=str(i + 1),
        )  # fmt: skip
    for i, name in enumerate(NEGATIVES):
        yield subject(
            name, line="Vip-Cre", birth_date=day(45), sex="MF"[i % 2], responsible_user=STOCK,
            zygosities=[{"allele": "VIP", "zygosity": 0, "by": "rule"}], to_be_culled=True,
        )  # fmt: skip


def _cages() -> Iterator[Row]:
    for number in range(24):
        key = known_id("cage", number)
        body = {"id": key, "name": f"C{number:02d}", "lab": LAB, "room": "B1.12", "rack": "A"}
        place = {"row": number // 6 + 1, "column": number % 6 + 1, "capacity": 5}
        yield "cage", key, {**body, **place, "cleaning_days": ["Monday"], "last_cleaned": day(7)}
    for i, name in enumerate(RESTRICTED):
        key = known_id("stay", name)
        cage = known_id("cage", i // 2)
        yield "stay", key, {"id": key, "subject": name, "cage": cage, "start": at(21), "end": None}


def plant(animals: int = 2000) -> None:
    """Write the lab to the table, by batches."""
    from shared.records import documents  # noqa: F401 - the model is declared with it

    with Record.batch_write() as batch:
        for kind, key, body in records(animals):
            body = {"id": known_id(kind, key), **body}
            batch.save(
                Document(pk=f"DOC#{kind}#{key}", sk="A", what=kind, id=body["id"], body=body)
            )


def age_of(birth: str) -> int:
    """Return days since a birth."""
    return (TODAY - date.fromisoformat(birth)).days
