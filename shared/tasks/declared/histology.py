"""Declarations of the built-in tasks of histology."""

from __future__ import annotations

from shared.tasks.signature import Expected, TaskDeclaration

AT, SORTED = "{site_collection}", "{output_collection}"

PLACES = ("mlapdv", "brainLocationIds_ccf_2017")
"""Attributes of sites, channels and units that say where in the brain they are."""

SITES = TaskDeclaration(
    name="histology.sites",
    arguments=(
        ("collection", "raw_ephys_data/probe00"),
        ("site_collection", "alf/probe00"),
        ("histology", ""),
    ),
    inputs=(Expected("*.ap.meta", "{collection}"),),
    outputs=tuple(
        Expected(f"electrodeSites.{name}.npy", AT) for name in ("localCoordinates", *PLACES)
    ),
    priority=50,
    time_out_secs=1800,
)
"""Finds where the sites of a probe lie, when the alignment of its track is resolved.

``histology`` is what is known of the probe (`shared.model.histology.HistologyRecord`, JSON).
"""

CHANNELS = TaskDeclaration(
    name="histology.channels",
    arguments=(("site_collection", "alf/probe00"), ("output_collection", "alf/probe00")),
    inputs=(
        *SITES.outputs,
        Expected("channels.localCoordinates.npy", SORTED),
        Expected("clusters.channels.npy", SORTED, required=False),
    ),
    outputs=(
        *(Expected(f"channels.{name}.npy", SORTED) for name in PLACES),
        *(Expected(f"clusters.{name}.npy", SORTED, required=False) for name in PLACES),
    ),
    priority=50,
    time_out_secs=600,
)
"""Gives sorted channels and units the places of their sites."""

TASKS = (SITES, CHANNELS)
