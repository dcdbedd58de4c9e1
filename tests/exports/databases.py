"""A MariaDB server for tests, and small cohorts to fill it with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lab.exports.datajoint.server import LocalServer
from shared.alf import io
from tests.exports import sessions
from tests.processes import free_port


@contextmanager
def running(folder: Path) -> Iterator[LocalServer]:
    """Run a server of one's own in a folder; the test is skipped where MariaDB is missing."""
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed (Debian's mariadb-server)")
    server = LocalServer(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def cohort(
    root: Path,
    mice: int = 2,
    days: int = 3,
    n: int = 30,
    lab: str = "cortexlab",
    trained_from: int = 99,
) -> Path:
    """Write mice with a session a day, weights, water and a restriction; return the root.

    From the day `trained_from` on, or one or two later, they see all contrasts and answer as
    trained mice do.
    """
    facts = {}
    for number in range(mice):
        name = f"FI_{number:03d}"
        for day in range(days):
            seed = 100 * number + day
            folder = root / lab / "Subjects" / name / f"2019-07-{day + 1:02d}" / "001"
            expert = day >= trained_from + number % 3
            sessions.write_trials(folder, expert_trials(260, seed) if expert else trials(n, seed))
            sessions.write_wheel(folder, seed)
            raw = folder / "raw_behavior_data"
            raw.mkdir()
            settings = {
                "PYBPOD_PROTOCOL": "_iblrig_tasks_trainingChoiceWorld",
                "IBLRIG_VERSION": "6.4.2",
                "SESSION_DATETIME": f"2019-07-{day + 1:02d}T10:{number % 60:02d}:30.25",
                "PYBPOD_BOARD": "rig1",
                "PROJECTS": ["ibl_neuropixel_brainwide_01"],
            }
            (raw / "_iblrig_taskSettings.raw.json").write_text(json.dumps(settings))
            rng = np.random.default_rng(seed)
            lines = [
                json.dumps(
                    {
                        "Temperature_C": [rng.normal(23, 1)],
                        "AirPressure_mb": [rng.normal(1013, 5)],
                        "RelativeHumidity": [rng.normal(45, 5)],
                    }
                )
                for _ in range(n)
            ]
            (raw / "_iblrig_ambientSensorData.raw.jsonable").write_text("\n".join(lines))
        facts[name] = {
            "sex": "FM"[number % 2],
            "birth_date": "2019-03-01",
            "projects": ["ibl_neuropixel_brainwide_01"],
            "weighings": [
                [f"2019-07-{day + 1:02d}", 20 + day / 3 + number] for day in range(days)
            ],
            "restrictions": [["2019-06-28", 23.1 + number]],
            "waters": [["2019-06-30", "Water"], ["2019-07-01", "Citric Acid Water 2%"][:2]],
        }
    (root / "subjects.json").write_text(json.dumps(facts))
    return root


def trials(n: int, seed: int):
    """Return trials of a mouse in training: full and half contrasts only."""
    table = sessions.trials(n, seed)
    easy = np.random.default_rng(seed).choice([0.5, 1.0], n)
    left = table["contrastLeft"].notna()
    table["contrastLeft"] = np.where(left, easy, np.nan)
    table["contrastRight"] = np.where(left, np.nan, easy)
    answers = np.random.default_rng(seed + 1).gamma(2, 0.3, n)
    table["response_times"] = table["stimOn_times"] + answers
    return table


def expert_trials(n: int, seed: int):
    """Return trials of a trained mouse: all contrasts, and a steep psychometric curve."""
    table = sessions.trials(n, seed)
    rng = np.random.default_rng(seed)
    table["probabilityLeft"] = 0.5
    left = table["contrastLeft"].notna().to_numpy()
    contrast = np.where(left, table["contrastLeft"], table["contrastRight"])
    right_answer = rng.random(n) < 0.5 + 0.49 * (1 - np.exp(-((contrast / 0.08) ** 1.5)))
    side = np.where(left, 1, -1)
    table["choice"] = np.where(right_answer, side, -side)
    table["feedbackType"] = np.where(right_answer, 1, -1)
    table["response_times"] = table["stimOn_times"] + 0.4
    return table


def rewrite(folder: Path, seed: int) -> None:
    """Extract a session anew: other trials."""
    io.save(folder / "alf" / "_ibl_trials.table.pqt", trials(30, seed))
