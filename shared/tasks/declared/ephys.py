"""Declarations of the built-in tasks of electrophysiology."""

from __future__ import annotations

from shared.tasks.signature import Expected, TaskDeclaration

WHERE = "{collection}"

COMPRESS = TaskDeclaration(
    name="ephys.compress",
    arguments=(("collection", "raw_ephys_data/probe00"),),
    inputs=(Expected("*.bin", WHERE), Expected("*.meta", WHERE)),
    outputs=(
        Expected("*.ebin", WHERE),
        Expected("*.eh", WHERE),
        Expected("*.rms.npy", WHERE, required=False),
    ),
    priority=60,
    time_out_secs=4 * 3600,
)
"""Compresses every raw SpikeGLX file of a folder, and proves that it can be restored."""

TASKS = (COMPRESS,)
