"""Fig. 2's table by the ONE client: its own tables of a folder, its own reader of every file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from lab.extracted import AMBIENT
from shared.science.cohort.features import (
    CohortSession,
    CohortSubject,
    as_table,
    subject_features,
)

RAW = "raw_behavior_data"


def features_by_one(root: Path) -> pd.DataFrame:
    """Return the features of each mouse of a folder, of what `One` loads of its sessions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.alf.cache import make_parquet_db
        from one.api import One

        make_parquet_db(root, hash_files=False)
        one = One(cache_dir=root, mode="local")
        facts = json.loads((root / "subjects.json").read_text())
        rows = [subject_features(_mouse(one, name, facts[name])) for name in sorted(facts)]
    return as_table(rows).set_index("subject")


def assert_same_by_one(root: Path, by_files: pd.DataFrame) -> None:
    """Compare the table with that which the files gave, number by number, bit by bit."""
    by_one = features_by_one(root).loc[by_files.index, by_files.columns]
    numbers = by_files.columns.difference(["id"])
    assert len(numbers) >= 20
    pd.testing.assert_frame_equal(by_one[numbers], by_files[numbers], check_exact=True)


def _mouse(one: Any, name: str, facts: dict[str, Any]) -> CohortSubject:
    eids = [str(eid) for eid in one.search(subject=name)]
    lab = one.get_details(eids[0])["lab"]
    return CohortSubject(
        name=name,
        lab=lab,
        sex=facts["sex"],
        birth_date=facts["birth_date"],
        sessions=[_session(one, eid) for eid in eids],
        weighings=[(day, float(grams)) for day, grams in facts["weighings"]],
        restrictions=[(day, float(grams)) for day, grams in facts["restrictions"]],
        waters=[(day, kind) for day, kind in facts["waters"]],
    )


def _session(one: Any, eid: str) -> CohortSession:
    details = one.get_details(eid)
    # The tables have no hashes: the client would hash every file, and say that it differs.
    raw, alf = ({"collection": name, "check_hash": False} for name in (RAW, "alf"))
    settings = one.load_dataset(eid, "_iblrig_taskSettings.raw.json", **raw)
    told = one.load_dataset(eid, "_iblrig_ambientSensorData.raw.jsonable", **raw)
    return CohortSession(
        date=str(details["date"]),
        protocol=settings["PYBPOD_PROTOCOL"],
        trials=one.load_object(eid, "trials", **alf),
        number=int(details["number"]),
        wheel={"position": one.load_object(eid, "wheel", **alf)["position"]},
        ambient={name: [line[key][0] for line in told] for name, key in AMBIENT.items()},
        eid=eid,
    )
