"""Declarations of the built-in tasks of a session's microphone."""

from __future__ import annotations

from shared.tasks.signature import Expected, TaskDeclaration

SOUND = "_iblrig_micData.raw"
RECORDED = f"{SOUND}.wav"

COMPRESS = TaskDeclaration(
    name="audio.compress",
    arguments=(("collection", "raw_behavior_data"),),
    inputs=(Expected(RECORDED, "{collection}"),),
    outputs=(Expected(f"{SOUND}.flac", "{collection}"),),
    priority=10,
    ram=2,
    time_out_secs=2 * 3600,
)
"""Compresses a recorded sound without loss (ibllib's ``AudioCompress``), and proves it."""

TASKS = (COMPRESS,)
