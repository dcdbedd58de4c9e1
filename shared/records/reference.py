"""Initial lists of every installation: dataset types, formats, water types and the like.

The names are those of the Alyx REST contract and the ONE convention, because clients send them.
"""

from __future__ import annotations

import csv
import importlib.util
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.model.copies import OWN, own_repository
from shared.records import documents, keys
from shared.records.errors import Exists
from shared.records.feed import first_version
from shared.records.items import Document
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction

WATER_TYPES = (
    "Water",
    "Water 10% Sucrose",
    "Water 15% Sucrose",
    "Citric Acid Water 2%",
    "Citric Acid Water 3%",
    "Hydrogel",
    "Hydrogel 5% Citric Acid",
)
PROCEDURES = (
    "Alteration of light-dark cycle",
    "Behavior training/tasks",
    "Brain lesion",
    "Cannula implant",
    "Clear skull cap",
    "Corrective procedure",
    "Coverslip implant",
    "Coverslip replacement",
    "Craniotomy",
    "Ephys recording with acute probe(s)",
    "Ephys recording with chronic probe(s)",
    "fUSi window",
    "Head-fixation only",
    "Headplate implant",
    "Histology",
    "Imaging",
    "Injection of dye - intracranial",
    "injection of dye - sub cutaneous",
    "Injection of dye - tail vein",
    "Intraocular injection",
    "Neuromics",
    "Optical stimulation",
    "Optical-fiber implant",
    "Perfusion",
    "Secondary craniotomy/durotomy",
    "Single-cell electroporation",
    "Skull thinning",
    "Tail Vein Injection",
    "UV cement",
    "Virus injection",
    "Water restriction",
    "Injection",
    "Weighing",
)
"""Initial procedures of Alyx's installations, and two more that rigs send."""
SPECIES = (("Mus musculus", "mouse"), ("Rattus norvegicus", "rat"))
CULL_REASONS = (
    "acute injury",
    "benign experimental impediments",
    "infection or illness",
    "issue during surgery",
    "regular experiment end",
    "time limit reached",
    "underweight",
)
CULL_METHODS = (
    "CO2",
    "Cervical Dislocation",
    "Concussion of the Brain",
    "Cooling",
    "Decapitation",
    "Overdose",
)
CAGE_TYPES = ("Allentown", "GM500", "IVC", "Micro-Isolator")
ENRICHMENTS = ("Cardboard tunnel", "Geometric object <5cm", "House", "Nesting", "Wheel")
FOODS = ("Envigo 2018", "Envigo 2914", "Envigo 2919", "Picolab Rodent Diet 20 5053")
SOURCES = ("Allen Institute", "Charles River", "Cruciform BSU", "Jax")
"""Initial sources of Alyx's installations."""
STRAINS = ("C57BL/6J",)
PROBE_MODELS = ("3A", "3B1", "3B2", "NP2.1", "NP2.4")
COORDINATE_SYSTEMS = ("Allen CCF v3", "IBL-Allen")
IMAGING_TYPES = ("mesoscope",)
REPOSITORY_TYPES = ("Fileserver", "S3 bucket")


def rows() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the records as (kind, key, body)."""
    from shared.alf.dataset_types import DATA_FORMATS, DATASET_TYPES

    for dataset_type in DATASET_TYPES.values():
        body = {
            "name": dataset_type.name,
            "filename_pattern": dataset_type.filename_pattern.lower(),
            "description": dataset_type.description,
            "created_by": None,
        }
        yield "dataset-type", dataset_type.name, body
    for format_ in DATA_FORMATS.values():
        extension = f".{format_.extension}" if format_.extension else ""
        body = {
            "name": format_.name,
            "file_extension": extension,
            "description": format_.description,
        }
        yield "data-format", format_.name, body
    yield "data-repository", OWN, own_repository()
    for name, nickname in SPECIES:
        yield "species", name, {"name": name, "nickname": nickname}
    for kind, names in (
        ("water-type", WATER_TYPES),
        ("procedure", PROCEDURES),
        ("cull-reason", CULL_REASONS),
        ("cull-method", CULL_METHODS),
        ("cage-type", CAGE_TYPES),
        ("enrichment", ENRICHMENTS),
        ("food", FOODS),
        ("source", SOURCES),
        ("strain", STRAINS),
        ("probe-model", PROBE_MODELS),
        ("coordinate-system", COORDINATE_SYSTEMS),
        ("imaging-type", IMAGING_TYPES),
        ("data-repository-type", REPOSITORY_TYPES),
    ):
        for name in names:
            yield kind, name, {"name": name, "description": ""}


def load(who: str = "installation") -> int:
    """Create the missing records; return their number."""
    return _create_missing(list(rows()), who)


TOGETHER = 30
"""Records of one transaction; each takes about three of its at most hundred items."""


def _create_missing(records: Sequence[tuple[str, str, dict[str, Any]]], who: str) -> int:
    """Create the missing ones of some records; return their number."""
    places = [(keys.document(kind, key), "A") for kind, key, _ in records]
    present = {item.pk for item in Record.batch_get(places, consistent_read=True)}
    missing = [each for each in records if keys.document(each[0], each[1]) not in present]
    made = 0
    for start in range(0, len(missing), TOGETHER):
        group = missing[start : start + TOGETHER]
        try:
            _create_together(group, who)
            made += len(group)
        except ConditionFailed:  # somebody else was faster with one of them
            for kind, key, body in group:
                with suppress(Exists):
                    documents.create(kind, key, body, who=who)
                    made += 1
    return made


def _create_together(records: Sequence[tuple[str, str, dict[str, Any]]], who: str) -> None:
    """Create records, all or none."""
    with transaction() as writes:
        for kind, key, body in records:
            body = {"id": str(uuid.uuid4()), **body}
            item = Document(what=kind, id=str(body["id"]), body=body, version=first_version())
            item.pk, item.sk = keys.document(kind, key), "A"
            condition = Record.pk.does_not_exist()
            version = int(item.version)
            writes.record(
                kind, key, None, body, who, item=item, version=version, condition=condition
            )


def allen_regions() -> Path | None:
    """Return iblatlas's table of the Allen atlas's regions; None if it is not installed."""
    spec = importlib.util.find_spec("iblatlas")
    path = (
        Path(spec.origin).with_name("allen_structure_tree.csv") if spec and spec.origin else None
    )
    return path if path is not None and path.is_file() else None


def load_brain_regions(path: Path, who: str = "installation") -> int:
    """Create the brain regions of a table (CSV: id, acronym, name, parent), e.g. the Allen CCF.

    Returns
    -------
    int
        Number of regions that were created.
    """
    records = []
    with path.open(newline="") as file:
        for region in csv.DictReader(file):
            parent = region.get("parent") or region.get("parent_structure_id") or ""
            body = {
                "id": int(float(region["id"])),
                "acronym": region["acronym"],
                "name": region["name"],
                "parent": int(float(parent)) if parent.strip() else None,
                "ontology": 1,
                "description": "",
            }
            records.append(("brain-region", str(body["id"]), body))
    return _create_missing(records, who)
