"""The page of a probe: drift, all spikes around a trial, responses by depth, unit quality."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from msgspec import Struct
from PIL import Image

from shared.model.identity import nickname_of
from shared.results import addresses
from shared.results.numbers import rounded
from shared.results.render import SiteSettings
from shared.results.source import SiteSession, Sorting
from shared.results.views.page import Crumb, MadeFrom, PageFrame
from shared.results.views.rows import ListedProbe
from shared.results.views.session import Numbers, TrialArrays, code_to_connect
from shared.science.ephys.drift import depth_raster, drift_map
from shared.science.ephys.rasters import ALIGN, depth_peth, usable_trials

GOOD = 1.0
"""Label of a unit that passes all three single-unit criteria."""

EXAMPLE_SECONDS = 6.0
"""Length of the stretch of all spikes around an example trial."""

RASTER_POINTS = 4000
"""Most spikes of one raster: a page cannot show more; others are thinned out."""

DRIFT_CELLS = 300_000

QUALITY = (
    "label",
    "bitwise_fail",
    "n_spikes",
    "firing_rate",
    "median_amplitude_uv",
    "presence_ratio",
    "contamination",
    "sliding_rp_confidence",
    "noise_cutoff",
    "missed_spikes_est",
    "drift",
)


class ProbeFacts(ListedProbe, frozen=True, kw_only=True):
    """The facts about a probe."""

    collection: str
    number: int


class ProbeSummary(Struct, frozen=True):
    """Key figures; `duration` in min."""

    n_units: int
    n_good: int
    n_spikes: int
    duration: float | None


class Drift(Struct, frozen=True):
    """Axes of the drift map: s and µm; `most` spikes in its darkest cell."""

    time: tuple[float, float]
    depth: tuple[float, float]
    most: float | None
    time_bin: float


class Example(Struct, frozen=True):
    """All spikes around a trial: s, µm, µV; the trial's events in s."""

    time: Numbers
    depth: Numbers
    amplitude: Numbers
    n_spikes: int
    start: float | None
    end: float | None
    events: dict[str, float | None]


class DepthResponse(Struct, frozen=True):
    """Rates around stimulus onset: a row per depth (µm), standard deviations of the baseline."""

    time: Numbers
    depth: Numbers
    z: list[Numbers]
    n: int


class ProbeData(Struct, frozen=True):
    """The data of a probe's page.

    Attributes
    ----------
    units : dict
        A column per measure.
    recording : str
        Key of the description of its raw recordings; empty if it has none.
    """

    probe: ProbeFacts
    units: dict[str, Sequence[float | str | None]]
    summary: ProbeSummary
    drift: Drift | None
    example: Example | None
    peth: DepthResponse | None
    made_from: MadeFrom
    recording: str = ""


class ProbeView(Struct, frozen=True):
    """The page of a probe."""

    template: ClassVar[str] = "probe"

    page: PageFrame
    data: ProbeData
    load: str

    @property
    def row(self) -> ListedProbe:
        """The probe's row of the probe list."""
        fields = ListedProbe.__struct_fields__
        return ListedProbe(**{name: getattr(self.data.probe, name) for name in fields})


def probe_id(session: SiteSession, collection: str) -> str:
    """Return the name of a probe's page: the session's id, the probe, the sorter if named."""
    return "-".join([session.id, *collection.split("/")[1:]])


def probe_view(
    settings: SiteSettings,
    session: SiteSession,
    sorting: Sorting,
    trials: TrialArrays | None,
    quality: dict[int, dict[str, Any]],
    made_from: MadeFrom,
    recording: str = "",
) -> tuple[ProbeView, bytes]:
    """Return the page of a probe and its drift map.

    Parameters
    ----------
    settings : SiteSettings
    session : SiteSession
    sorting : Sorting
    trials : dict of array, optional
        The session's trials; without them there is nothing to align spikes to.
    quality : dict
        By cluster, see :func:`shared.science.ephys.quality.units_quality`.
    made_from : MadeFrom
    recording : str
        Key of the description of its raw recordings.

    Returns
    -------
    view : ProbeView
    drift : bytes
        PNG of spikes by time and depth, darker where there are more, on a transparent
        background. Empty without spikes.
    """
    name = probe_id(session, sorting.collection)
    times = sorting.spikes["times"]
    depth = cluster_depths(sorting)
    ids = sorted(quality)
    summary = ProbeSummary(
        n_units=len(ids),
        n_good=sum(1 for i in ids if (quality[i]["label"] or 0) >= GOOD),
        n_spikes=int(times.size),
        duration=rounded(float(times[-1]) / 60) if times.size else None,
    )
    facts = ProbeFacts(
        id=name,
        session=session.id,
        date=session.date,
        lab=session.lab,
        subject=session.subject,
        name=" · ".join(sorting.collection.split("/")[1:]),
        n_units=summary.n_units,
        n_good=summary.n_good,
        n_spikes=summary.n_spikes,
        synthetic=int(session.synthetic),
        collection=sorting.collection,
        number=session.number,
    )
    picture, drift = _drift(sorting) if times.size else (b"", None)
    data = ProbeData(
        facts,
        {
            "cluster": ids,
            "depth": [rounded(depth.get(i)) for i in ids],
            **({"region": [sorting.regions.get(i) for i in ids]} if sorting.regions else {}),
            **{measure: [rounded(quality[i][measure]) for i in ids] for measure in QUALITY},
        },
        summary,
        drift,
        _example(sorting, trials) if times.size else None,
        _depth_response(sorting, trials) if times.size and trials is not None else None,
        made_from,
        recording,
    )
    title = f"{nickname_of(session.subject)} · {session.date} · {facts.name}"
    page = PageFrame(
        address=addresses.probe_page(name),
        title=title,
        description=f"Sorted spikes of {title}",
        crumbs=crumbs_to(session),
        synthetic="all" if session.synthetic else "",
        attributes={
            "src": addresses.probe_data(name),
            "image": addresses.drift_image(name),
            "units": addresses.units_page(name),
        },
    )
    return ProbeView(page, data, code_to_load(settings, session, sorting.collection)), picture


def crumbs_to(session: SiteSession) -> tuple[Crumb, ...]:
    """Return the pages above those of a session's probes."""
    return (
        Crumb("probes.html", "Probes"),
        Crumb(addresses.subject_page(session.subject), nickname_of(session.subject)),
        Crumb(addresses.session_page(session.id), f"{session.date} · {session.number:03d}"),
    )


def code_to_load(settings: SiteSettings, session: SiteSession, collection: str) -> str:
    """Return Python code that loads a probe's sorted spikes with the ONE client."""
    return "\n".join(
        [
            *code_to_connect(settings),
            f'eid = "{session.id}"  # {session.reference}',
            f'spikes = one.load_object(eid, "spikes", collection="{collection}")',
            f'clusters = one.load_object(eid, "clusters", collection="{collection}")',
        ]
    )


def cluster_depths(sorting: Sorting) -> dict[int, float]:
    """Return the median depth of each unit's spikes in µm."""
    frame = pd.DataFrame(
        {"cluster": sorting.spikes["clusters"], "depth": sorting.spikes["depths"]}
    )
    return {int(str(i)): float(d) for i, d in frame.groupby("cluster")["depth"].median().items()}


def _drift(sorting: Sorting) -> tuple[bytes, Drift]:
    s = sorting.spikes
    map_ = drift_map(s["times"], s["depths"], max_cells=DRIFT_CELLS)
    value = np.array(map_["value"], float)
    if not value.size:
        value = np.zeros((1, 1))
    # Counts span orders of magnitude; the highest thousandth would hide the rest.
    top = max(float(np.quantile(value, 0.999)), 1.0)
    shade = np.clip(np.log1p(value) / np.log1p(top), 0, 1)
    pixels = np.zeros((*shade.shape, 2), np.uint8)
    pixels[..., 1] = np.round(255 * shade)
    out = io.BytesIO()
    Image.fromarray(pixels[::-1], "LA").save(out, "PNG", compress_level=6)
    time, depth = map_["time"] or [0.0], map_["depth"] or [0.0]
    return out.getvalue(), Drift(
        time=(time[0], time[-1] + map_["time_bin"]),
        depth=(depth[0], depth[-1] + map_["depth_bin"]),
        most=rounded(top),
        time_bin=map_["time_bin"],
    )


def _example(sorting: Sorting, trials: TrialArrays | None) -> Example:
    """Return all spikes around a trial in the middle of the session."""
    s = sorting.spikes
    start, events = float(s["times"][s["times"].size // 2]), {}
    if trials is not None:
        usable = np.flatnonzero(usable_trials(trials))
        if usable.size:
            trial = usable[usable.size // 2]
            start = float(trials["stimOn_times"][trial]) - 1.5
            events = {
                str(label): rounded(float(trials[name][trial]), 8)
                for label, name in ALIGN.items()
                if name in trials
            }
    drawn = depth_raster(
        s["times"], s["depths"], s["amps"], start, start + EXAMPLE_SECONDS, RASTER_POINTS
    )
    return Example(
        **drawn,
        start=rounded(start, 8),
        end=rounded(start + EXAMPLE_SECONDS, 17),
        events=events,
    )


def _depth_response(sorting: Sorting, trials: TrialArrays) -> DepthResponse:
    s = sorting.spikes
    peth = depth_peth(s["times"], s["depths"], trials["stimOn_times"], (-0.4, 1.0))
    return DepthResponse(**{name: peth[name] for name in DepthResponse.__struct_fields__})
