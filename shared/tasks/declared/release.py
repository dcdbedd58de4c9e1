"""Declarations of the built-in tasks of releases."""

from __future__ import annotations

from shared.tasks.signature import Expected, TaskDeclaration

NWB_FILE = "_fornix_session.processed.nwb"

NWB = TaskDeclaration(
    name="release.nwb",
    arguments=(("output_collection", "nwb"), ("tag", "")),
    inputs=(Expected("*", "alf*"),),
    outputs=(Expected(NWB_FILE, "{output_collection}"),),
    ram=8,
    priority=5,
    time_out_secs=4 * 3600,
    of_release=True,
)
"""Writes a session's released behaviour, tracking and units as NWB, inspected."""

NWB_RAW_FILE = "_fornix_session.raw.nwb"

NWB_RAW = TaskDeclaration(
    name="release.nwb_raw",
    arguments=(("output_collection", "nwb"), ("tag", "")),
    inputs=(
        Expected("_spikeglx_ephysData*.[ec]bin", "raw_ephys_data/probe*"),
        Expected("*", "raw_ephys_data*", required=False),
        Expected("*channels.*", "alf*", required=False),
    ),
    outputs=(Expected(NWB_RAW_FILE, "{output_collection}"),),
    ram=8,
    priority=4,
    time_out_secs=24 * 3600,
    of_release=True,
)
"""Copies a session's released recordings into an NWB file, a compressed chunk at a time."""

NWB_LINK_FILE = "_fornix_session.raw.nwb.lindi.json"

NWB_LINK = TaskDeclaration(
    name="release.nwb_link",
    arguments=(("output_collection", "nwb"), ("tag", "")),
    inputs=(
        Expected("_spikeglx_ephysData*.ebin", "raw_ephys_data*", linked=True),
        Expected("_iblrig_*Camera.raw.*", "raw_video_data", required=False, linked=True),
        Expected("*", "raw_ephys_data*", required=False),
        Expected("*Camera.times.*", "alf*", required=False),
        Expected("*channels.*", "alf*", required=False),
    ),
    outputs=(Expected(NWB_LINK_FILE, "{output_collection}"),),
    ram=4,
    priority=5,
    time_out_secs=4 * 3600,
    of_release=True,
)
"""Writes where a session's released recordings and videos lie, as NWB by reference (LINDI)."""

TASKS = (NWB, NWB_RAW, NWB_LINK)
