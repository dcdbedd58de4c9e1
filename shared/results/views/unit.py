"""The page of a probe's units, and the data of each: raster, rates, waveform, amplitudes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.results import addresses
from shared.results.numbers import column, rounded
from shared.results.source import SiteSession, Sorting
from shared.results.views.page import Crumb, PageFrame
from shared.results.views.probe import (
    QUALITY,
    RASTER_POINTS,
    ProbeView,
    cluster_depths,
    crumbs_to,
)
from shared.results.views.session import Numbers, TrialArrays
from shared.science.ephys.drift import amplitude_over_time
from shared.science.ephys.quality import autocorrelogram
from shared.science.ephys.rasters import ALIGN, ALIGN_SORT, Align, psth_by_event, raster

WAVEFORM_CHANNELS = 8

AMPLITUDE_POINTS = 3000


class Raster(Struct, frozen=True):
    """Spikes around an event in order of trials: s and row of each; the rows as columns."""

    time: Numbers
    row: list[int]
    n_spikes: int
    trial: list[int]
    contrast: Numbers
    correct: list[int]
    mark: Numbers


class Waveform(Struct, frozen=True):
    """Mean waveform (µV by ms) on some channels, with their positions on the probe (µm)."""

    channel: list[int]
    x: Numbers | None
    y: Numbers | None
    time: Numbers
    value: list[Numbers]


class UnitData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of one unit; values aligned to trials only if there are trials."""

    cluster: int
    depth: float | None
    quality: dict[str, float | None]
    autocorrelogram: dict[str, Any]
    amplitudes: dict[str, Any]
    waveform: Waveform | None
    pairs: list[tuple[str, str]] | None = None
    rasters: dict[str, Raster] | None = None
    psth: dict[str, Any] | None = None
    region: str | None = None


class UnitView(Struct, frozen=True):
    """The page of a probe's units; its script fetches the data of the chosen one."""

    template: ClassVar[str] = "unit"

    page: PageFrame
    load: str


def unit_view(session: SiteSession, probe: ProbeView) -> UnitView:
    """Return the page of a probe's units."""
    facts = probe.data.probe
    page = PageFrame(
        address=addresses.units_page(facts.id),
        title=f"Units of {probe.page.title}",
        crumbs=(*crumbs_to(session), Crumb(probe.page.address, facts.name)),
        synthetic=probe.page.synthetic,
        attributes={
            "src": addresses.probe_data(facts.id),
            "folder": addresses.units_folder(facts.id),
            "probe": probe.page.address,
        },
    )
    return UnitView(page, probe.load + "\nunit = spikes.clusters == CLUSTER")


def units_data(
    sorting: Sorting, trials: TrialArrays | None, quality: dict[int, dict[str, Any]]
) -> dict[int, UnitData]:
    """Return the data of each unit, by cluster."""
    depth = cluster_depths(sorting)
    return {
        cluster: UnitData(
            cluster=cluster,
            depth=rounded(depth.get(cluster)),
            region=sorting.regions.get(cluster),
            quality={name: rounded(measured[name]) for name in QUALITY},
            waveform=_waveform(sorting, cluster),
            **_drawn(sorting, cluster, trials),
        )
        for cluster, measured in quality.items()
    }


def _drawn(sorting: Sorting, cluster: int, trials: TrialArrays | None) -> dict[str, Any]:
    mine = sorting.spikes["clusters"] == cluster
    times, amps = sorting.spikes["times"][mine], sorting.spikes["amps"][mine]
    drawn: dict[str, Any] = {
        "autocorrelogram": autocorrelogram(times),
        "amplitudes": amplitude_over_time(times, amps, AMPLITUDE_POINTS),
    }
    if trials is not None:
        aligns = [a for a, name in ALIGN.items() if name in trials]
        drawn["pairs"] = [pair for pair in ALIGN_SORT if pair[0] in aligns]
        # One raster per event; the page sorts its rows into the other orders.
        drawn["rasters"] = {align: _raster(times, trials, align) for align in aligns}
        drawn["psth"] = {align: psth_by_event(times, trials, align) for align in aligns}
    return drawn


def _raster(times: NDArray[Any], trials: TrialArrays, align: Align) -> Raster:
    """Return a raster in order of trials, its rows as columns."""
    drawn = raster(times, trials, align, "trial", max_points=RASTER_POINTS)
    rows = drawn["rows"]
    return Raster(
        time=column(np.array(drawn["time"], float), 3),
        row=drawn["row"],
        n_spikes=drawn["n_spikes"],
        trial=[row["trial"] for row in rows],
        contrast=[rounded(row["contrast"]) for row in rows],
        correct=[int(row["correct"]) for row in rows],
        mark=column(np.array([row["mark"] for row in rows], float), 3),
    )


def _waveform(sorting: Sorting, cluster: int) -> Waveform | None:
    """Return the mean waveform (µV) on the channels where it is largest."""
    waveforms = sorting.clusters.get("waveforms")
    if waveforms is None or cluster >= len(waveforms):
        return None
    mean = np.asarray(waveforms[cluster], float) * 1e6
    largest = np.sort(np.argsort(-np.ptp(mean, axis=0), kind="stable")[:WAVEFORM_CHANNELS])
    channels = sorting.clusters.get("waveformsChannels")
    numbers = (
        np.asarray(channels[cluster])[largest].astype(int) if channels is not None else largest
    )
    places = sorting.channels.get("localCoordinates")
    has_places = places is not None and numbers.max(initial=-1) < len(places)
    return Waveform(
        channel=numbers.tolist(),
        x=column(places[numbers, 0], 1) if has_places and places is not None else None,
        y=column(places[numbers, 1], 1) if has_places and places is not None else None,
        time=column((np.arange(len(mean)) - len(mean) // 3) / 30, 3),
        value=[column(mean[:, i], 1) for i in largest],
    )
