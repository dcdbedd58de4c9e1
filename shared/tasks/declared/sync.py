"""Declarations of the built-in tasks of a session's clocks."""

from __future__ import annotations

from shared.tasks.signature import Expected, TaskDeclaration

WHERE = "{collection}"

PULSES = TaskDeclaration(
    name="sync.pulses",
    arguments=(("collection", "raw_ephys_data"),),
    inputs=(
        Expected("*.*bin", WHERE),
        Expected("*.meta", WHERE),
        Expected("*.ch", WHERE, required=False),
        Expected("*.eh", WHERE, required=False),
        Expected("*.wiring*.json", WHERE, required=False),
    ),
    outputs=tuple(
        Expected(f"_spikeglx_sync.{name}.npy", WHERE)
        for name in ("times", "channels", "polarities")
    ),
    parents=("ephys.compress",),
    priority=95,
    time_out_secs=3600,
)
"""Finds the pulses of all devices in the recording of the main clock."""

TASKS = (PULSES,)
