"""Probe and unit pages, from one set of sorted-spike files."""

from __future__ import annotations

import io
import json
from html import unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shared.results.source import SourceFile

from .conftest import trials_of


def document(store, key: str) -> dict:
    return json.loads(store.read(key)[0])


@pytest.fixture
def recorded(site, shelf, store):
    """Return a session with a probe, its pages built."""
    one = shelf.put("FX_001", "2026-02-01", trials_of(120, 1), protocol="biased")
    shelf.put_probe(one.id)
    site.refresh()
    return one


def test_a_probe_has_a_page_and_each_unit_its_data(recorded, store) -> None:
    pid = f"{recorded.id}-probe00"
    probe = document(store, f"data/probes/{pid}.json")
    assert probe["summary"]["n_units"] == 12
    assert probe["units"]["cluster"] == list(range(12))
    units = list(store.names(f"data/units/{pid}/"))
    assert len(units) == 12
    unit = document(store, f"data/units/{pid}/3.json")
    assert len(unit["pairs"]) == 9
    assert set(unit["psth"]["stimulus"]) == {"left", "right", "incorrect", "all"}
    raster = unit["rasters"]["feedback"]
    assert len(raster["trial"]) == len(raster["contrast"]) == len(raster["correct"])
    assert max(raster["row"]) < len(raster["trial"])
    assert len(unit["waveform"]["channel"]) == 8


def test_labels_on_pages_are_those_of_the_file(site, shelf, store) -> None:
    # Given a lab's own verdict on the units, beside their spikes
    one = shelf.put("FX_001", "2026-02-01", trials_of(120, 1), protocol="biased")
    labels = np.arange(12) % 4 / 3
    table = pd.DataFrame({"cluster_id": np.arange(12), "label": labels, "ks2_label": "mua"})
    shelf.put_probe(one.id, more={"clusters.metrics.pqt": table})
    # When the pages are built
    site.refresh()
    # Then the probe's table, its count of good units and each unit's page tell the same
    probe = document(store, f"data/probes/{one.id}-probe00.json")
    assert probe["units"]["label"] == pytest.approx(labels, abs=1e-5)
    assert probe["summary"]["n_good"] == 3
    unit = document(store, f"data/units/{one.id}-probe00/5.json")
    assert unit["quality"]["label"] == pytest.approx(1 / 3, abs=1e-5)


def test_units_have_their_region_where_histology_has_decided(site, shelf, store) -> None:
    # Given the regions of units beside their spikes, and a table that knows one of two
    one = shelf.put("FX_001", "2026-02-01", trials_of(120, 1), protocol="biased")
    numbers = np.array([672] * 7 + [997] * 5, np.int32)
    shelf.put_probe(one.id, more={"clusters.brainLocationIds_ccf_2017.npy": numbers})
    shelf.acronyms = {672: "CP"}
    # When the pages are built
    site.refresh()
    # Then the probe's table and each unit's page have them
    probe = document(store, f"data/probes/{one.id}-probe00.json")
    assert probe["units"]["region"] == ["CP"] * 7 + ["997"] * 5
    assert document(store, f"data/units/{one.id}-probe00/5.json")["region"] == "CP"


def test_without_histology_no_region_is_told(recorded, store) -> None:
    pid = f"{recorded.id}-probe00"
    assert "region" not in document(store, f"data/probes/{pid}.json")["units"]
    assert "region" not in document(store, f"data/units/{pid}/3.json")


def test_the_drift_map_shows_where_spikes_are(recorded, store) -> None:
    pid = f"{recorded.id}-probe00"
    axes = document(store, f"data/probes/{pid}.json")["drift"]
    picture = Image.open(io.BytesIO(store.read(f"data/probes/{pid}.drift.png")[0]))
    alpha = np.asarray(picture)[..., 1]
    # Highest depth on top, as on the axis; somewhere full, somewhere empty.
    assert alpha.max() == 255
    assert alpha.min() == 0
    assert axes["depth"][0] < axes["depth"][1]


def test_lists_and_session_page_lead_to_the_probe(recorded, store) -> None:
    listed = document(store, "data/probes.json")
    assert listed["columns"]["id"] == [f"{recorded.id}-probe00"]
    html = store.read(f"sessions/{recorded.id}.html")[0].decode()
    assert f"../probes/{recorded.id}-probe00.html" in html
    assert document(store, "data/overview.json")["counts"]["probes"] == 1


def test_probe_and_units_go_with_their_session(recorded, site, shelf, store) -> None:
    shelf.change(recorded.id, public=False)
    site.refresh()
    assert not [key for key in store.names() if recorded.id in key]


def test_spikes_of_unequal_length_are_left_out_with_a_reason(site, shelf, store) -> None:
    one = shelf.put("FX_001", "2026-02-01", trials_of(60, 1))
    shelf.put_probe(one.id)
    key = (one.id, "alf/probe00", "spikes.amps.npy")
    shelf.bytes[key] = shelf.bytes[key][:-5]
    (problem,) = site.refresh().problems
    assert problem.where == "FX_001/2026-02-01/001"
    assert "differ in length" in problem.reason
    assert problem.reason in unescape(store.read(f"sessions/{one.id}.html")[0].decode())
    assert not list(store.names("probes/"))


def test_private_datasets_of_a_public_session_are_not_used(site, shelf, store) -> None:
    one = shelf.put("FX_001", "2026-02-01", trials_of(60, 1))
    shelf.put_probe(one.id)
    kept, *spikes = shelf.all[one.id][0].datasets
    hidden = [SourceFile(d.id, d.name, d.collection, public=False) for d in spikes]
    shelf.change(one.id, datasets=(kept, *hidden))
    site.refresh()
    assert not list(store.names("data/probes/"))
