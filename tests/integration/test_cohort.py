"""A simulated mouse through the whole system: what a scientist gets is what was simulated."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from infra.local import cohort
from infra.local.seed import LABS, connect
from infra.local.workers import Workers
from lab.commands.analyse import FEATURES_FILE, load_subject
from lab.simulate.cohort import write
from lab.simulate.cohort_plan import plan
from shared.science.cohort.features import FEATURES, as_table, subject_features
from tests.system import Cloud

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def test_raw_sessions_become_features_and_a_page_that_says_synthetic(
    cloud: Cloud, shared_data: Path, tmp_path: Path
) -> None:
    # Given a mouse with two short days
    (mouse,) = plan(
        shared_data / "training_cohort", labs=LABS, n_mice=1, n_days=2, trials_scale=0.1
    )
    list(write(tmp_path / "rig", [mouse], seed=0))
    # When its sessions are uploaded, processed, fetched with ONE and analysed
    cohort.register(connect(cloud._home, "admin"), [mouse])
    cohort.register(connect(cloud._home, "admin"), [mouse])
    workers = Workers(cloud._home)
    workers.start()
    try:
        jobs = list(cohort.send(cloud.system, tmp_path / "rig", [mouse]))
    finally:
        workers.stop()
    result = cohort.analyse(cloud.system, [mouse], ["--shuffles", "1", "--repeats", "1"])
    # Then all is on the site and the features are those of the simulated files
    assert [job.date for job in jobs] == [day.date for day in mouse.days]
    assert all(job.page for job in jobs)
    fetched = pd.read_parquet(result / FEATURES_FILE).dropna(axis=1)
    folder = tmp_path / "rig" / mouse.lab / "Subjects" / mouse.subject
    raw = as_table([subject_features(load_subject(folder, mouse.lab, mouse.facts))])
    pd.testing.assert_frame_equal(fetched, raw.dropna(axis=1))
    assert {"weight_loss", "weekend_water", "light", "temperature_c"} < set(fetched) & set(
        FEATURES
    )
    # And the pages say that it is synthetic
    page = read(cohort.publish(cloud.system, result))
    assert "Synthetic data." in page
    assert "0 of 1 mice are trained" in page
    for address in (f"sessions/{jobs[0].eid}.html", f"subjects/{mouse.subject}.html"):
        assert "synthetic" in read(f"{cloud.site_url}/{address}").lower()
    row = connect(cloud._home, "admin").get(f"/sessions/{jobs[0].eid}")
    assert row["synthetic"] is True
    assert row["subject"] == mouse.subject
