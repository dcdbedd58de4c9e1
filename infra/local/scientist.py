"""Fetch the sessions of mice and their facts as a scientist does: with ONE.

It is a separate program, because ONE reads its parameters once per process. ``fornix one-setup``
has written them. Downloads go to ONE's cache folder, where ``fornix analyse training-time
--sessions`` reads them; existing files are not downloaded again.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.alf.layout import trials_in, wheel_in

SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"
AMBIENT = "raw_behavior_data/_iblrig_ambientSensorData.raw.jsonable"

WHEEL_SESSIONS = 5
"""Number of first sessions whose wheel the features use."""


def fetch(subjects: Iterable[str]) -> None:
    """Download the mice's sessions and write ``subjects.json`` beside them.

    Prints a line for each mouse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import ONE

        # Cached answers of an earlier run may lack sessions.
    client = ONE(silent=True, cache_rest=None)
    folder = Path(client.cache_dir)
    file = folder / "subjects.json"
    facts = json.loads(file.read_text()) if file.is_file() else {}
    for subject in subjects:
        eids, details = client.search(subject=subject, details=True)
        dated = sorted(zip((str(d["date"]) for d in details), map(str, eids), strict=True))
        for number, (_, eid) in enumerate(dated):
            names = [SETTINGS, AMBIENT, *behaviour(client.list_datasets(eid), number)]
            client.load_datasets(eid, names, download_only=True, assert_present=False)
        facts[subject] = facts_of(client, subject)
        file.write_text(json.dumps(facts, indent=1))
        print(f"{subject} {len(dated)} sessions", flush=True)


def behaviour(paths: Iterable[str], number: int) -> list[str]:
    """Return the files with trials, and for a mouse's first sessions also those with the wheel."""
    paths = list(paths)
    trials = [path for dataset in trials_in(paths)[:1] for path in dataset.files.values()]
    wheel = [dataset.files["position"] for dataset in wheel_in(paths)[:1]]
    return [*trials, *(wheel if number < WHEEL_SESSIONS else ())]


def facts_of(one: Any, subject: str) -> dict[str, Any]:
    """Return the database's facts of a mouse, in the form that ``--sessions`` reads."""
    subject_record = one.alyx.rest("subjects", "read", id=subject)
    restrictions = one.alyx.rest("water-restriction", "list", nickname=subject)
    return {
        "sex": subject_record["sex"],
        "birth_date": subject_record["birth_date"],
        "weighings": [[w["date_time"][:10], w["weight"]] for w in subject_record["weighings"]],
        "restrictions": [[r["start_time"][:10], r["reference_weight"]] for r in restrictions],
        "waters": [
            [w["date_time"][:10], w["water_type"]] for w in subject_record["water_administrations"]
        ],
        **(subject_record["json"] or {}),
    }


if __name__ == "__main__":
    fetch(sys.argv[1:])
