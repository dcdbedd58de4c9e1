"""Data of the demonstration beside sessions: weights, water, and Fig. 2.

All data are entered as a lab does it: by a member's account through the HTTP API, and by the
command that analyses mice.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from infra.local.cloud import spawn
from infra.local.home import Home
from infra.local.seed import LABS, connect, subjects
from infra.local.system import System
from infra.settings import API_PREFIX, ROOT
from lab.client import Client

COHORT = ROOT.parent / "shared" / "data" / "training_cohort"
"""Folder of the real mice of the paper's figure, beside the checkout."""

START_WEIGHT = 22.0
"""Weight of a mouse before its restriction in grams."""

DAYS_SHOWN = 12


def colony(home: Home, today: datetime.date) -> None:
    """Add weights, a water restriction and water of each lab's mice up to today, once."""
    done = home.path / "colony"
    if done.exists():
        return
    for lab in LABS:
        client = connect(home, f"{lab}_member")
        for number, nickname in enumerate(subjects(lab)):
            _history(client, nickname, START_WEIGHT + number, today)
    done.write_text(today.isoformat())


def _history(client: Client, nickname: str, grams: float, today: datetime.date) -> None:
    """Write a mouse's last days; the first two are before its restriction."""
    days = [today - datetime.timedelta(days=back) for back in range(DAYS_SHOWN, -1, -1)]
    for at, (day, weight) in enumerate(zip(days, _weights(grams), strict=True)):
        at_nine = f"{day}T09:00:00"
        weighing = {"subject": nickname, "weight": weight}
        if day != today:  # today's weight has the present time
            weighing["date_time"] = at_nine
        client.post("/weighings", weighing)
        if at == 2:
            client.post("/water-restriction", {"subject": nickname, "start_time": at_nine})
        if at >= 2 and day != today:  # today's water is left to the visitor
            water = {
                "subject": nickname,
                "date_time": f"{day}T16:00:00",
                "water_administered": 1.0,
            }
            client.post("/water-administrations", water)


def _weights(grams: float) -> Iterator[float]:
    """Yield morning weights in g: a loss of a tenth in the first days, then a slow gain."""
    for day in range(DAYS_SHOWN + 1):
        share = 1.0 if day <= 2 else max(0.89, 1 - 0.03 * (day - 2)) + 0.003 * max(0, day - 6)
        yield round(grams * share, 1)


class Figure2:
    """The training-time page, made by a separate process."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.out = system.home.path / "training-time"
        self._process: subprocess.Popen[bytes] | None = None
        self._published = system.home.path / "training-time-published"

    def start(self) -> None:
        """Start the analysis, unless it was done or there are no mice."""
        if self._published.exists() or not COHORT.is_dir():
            return
        if not (self.out / "training_time.json").exists():
            command = ["nice", sys.executable, "-m", "lab.cli", "analyse", "training-time"]
            self._process = spawn(
                [*command, "--cohort", str(COHORT), "--out", str(self.out), "--jobs", "1"],
                self.system.home.logs / "training-time.log",
                cwd=self.system.home.path,
                env=dict(os.environ),
            )

    def publish(self) -> bool:
        """Publish the page when the analysis has ended; return whether this just happened."""
        result = self.out / "training_time.json"
        running = self._process is not None and self._process.poll() is None
        if running or self._published.exists() or not result.exists():
            return False
        from functions.analysis.bucket import Bucket
        from shared.results import training_time
        from shared.results.render import SiteSettings

        environment = self.system.environment()
        os.environ |= {name: environment[name] for name in environment if name.startswith("AWS_")}
        store = Bucket(environment["FORNIX_SITE_BUCKET"])
        settings = SiteSettings(api_url=self.system.home.api_url, asks=API_PREFIX)
        analysed: dict[str, Any] = json.loads(result.read_text())
        training_time.publish(store, settings, "published", "Published cohort", analysed)
        self._published.write_text("")
        return True

    def stop(self) -> None:
        """End the analysis, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
