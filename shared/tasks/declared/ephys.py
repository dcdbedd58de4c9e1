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

RAW_QUALITY = TaskDeclaration(
    name="ephys.rawqc",
    arguments=(("collection", "raw_ephys_data/probe00"),),
    inputs=(
        # Compressed, as for ephys.align.
        Expected("*.ap.[ce]bin", WHERE),
        Expected("*.ap.meta", WHERE),
        Expected("*.ap.*h", WHERE),
        Expected("*.lf.[ce]bin", WHERE, required=False),
        Expected("*.lf.meta", WHERE, required=False),
        Expected("*.lf.*h", WHERE, required=False),
    ),
    outputs=(
        Expected("_iblqc_ephysTimeRmsAP.*.npy", WHERE),
        Expected("_iblqc_ephysSpectralDensityAP.*.npy", WHERE),
        Expected("_iblqc_ephysTimeRmsLF.*.npy", WHERE, required=False),
        Expected("_iblqc_ephysSpectralDensityLF.*.npy", WHERE, required=False),
    ),
    parents=("ephys.compress",),
    priority=10,
    time_out_secs=4 * 3600,
)
"""Tells how loud the bands of a probe are, in time and by frequency."""

TASKS = (COMPRESS, RAW_QUALITY)
