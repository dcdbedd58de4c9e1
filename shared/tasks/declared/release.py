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

TASKS = (NWB,)
