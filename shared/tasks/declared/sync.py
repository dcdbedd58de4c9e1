"""Declarations of the built-in tasks of a session's clocks."""

from __future__ import annotations

import msgspec

from shared.tasks.signature import Expected, TaskDeclaration

WHERE = "{collection}"

SYNC_FILES = ("times", "channels", "polarities")
"""Arrays of the pulses of a recording."""

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
    outputs=tuple(Expected(f"_spikeglx_sync.{name}.npy", WHERE) for name in SYNC_FILES),
    parents=("ephys.compress",),
    priority=95,
    time_out_secs=3600,
)
"""Finds the pulses of all devices in the recording of the main clock."""

OF_PROBE = (
    # Compressed: only one of the hundreds of channels of a raw file would be used.
    Expected("*.ap.[ce]bin", WHERE),
    Expected("*.ap.meta", WHERE),
    Expected("*.ap.*h", WHERE),  # the index: .eh, or .ch
    Expected("*.wiring*.json", WHERE, required=False),
)

OWN_PULSES = tuple(Expected(f"_spikeglx_sync.{name}.*.npy", WHERE) for name in SYNC_FILES)
"""Pulses that a probe has recorded, named by it."""

CLOCK = (Expected("*.sync.npy", WHERE), Expected("*.timestamps.npy", WHERE))
"""The relation of a probe's clock to the main one."""

PULSES_PROBE = msgspec.structs.replace(
    PULSES,
    name="sync.pulses_probe",
    arguments=(("collection", "raw_ephys_data/probe00"),),
    inputs=OF_PROBE,
    outputs=OWN_PULSES,
    stands_for="sync.pulses",
)
"""Finds the pulses of all devices in the recording of a probe, where no board has them (3A)."""

ALIGN = TaskDeclaration(
    name="ephys.align",
    arguments=(
        ("collection", "raw_ephys_data/probe00"),
        ("sync_collection", "raw_ephys_data"),
    ),
    inputs=(
        *OF_PROBE,
        *(Expected(f"_spikeglx_sync.{name}.npy", "{sync_collection}") for name in SYNC_FILES),
        Expected("*.wiring*.json", "{sync_collection}", required=False),
    ),
    outputs=(*OWN_PULSES, *CLOCK),
    parents=("ephys.compress", "sync.pulses"),
    priority=80,
    time_out_secs=2 * 3600,
)
"""Finds the time on the main clock of each sample of a probe."""

ALIGN_PROBES = msgspec.structs.replace(
    ALIGN,
    name="ephys.align_probes",
    arguments=(
        ("collection", "raw_ephys_data/probe00"),
        ("sync_collection", "raw_ephys_data/*"),
    ),
    inputs=(
        Expected("*.ap.meta", WHERE),
        Expected("*.wiring*.json", "{sync_collection}", required=False),
        *(Expected(f"_spikeglx_sync.{name}.*.npy", "{sync_collection}") for name in SYNC_FILES),
    ),
    outputs=CLOCK,
    parents=("sync.pulses",),
    stands_for="ephys.align",
)
"""The same where a probe's clock is the main one: the probe with the most pulses (3A)."""

TASKS = (PULSES, PULSES_PROBE, ALIGN, ALIGN_PROBES)
