"""Declarations of the built-in tasks of electrophysiology."""

from __future__ import annotations

import msgspec

from shared.tasks.signature import Expected, TaskDeclaration

WHERE = "{collection}"
SORTED = "{output_collection}"

SPIKES = ("times", "clusters", "amps", "depths", "samples", "templates")
CLUSTERS = (
    *("channels.npy", "depths.npy", "amps.npy", "peakToTrough.npy", "waveforms.npy"),
    *("waveformsChannels.npy", "metrics.pqt", "uuids.csv"),
)
TEMPLATES = ("waveforms", "waveformsChannels", "amps")
CHANNELS = ("localCoordinates", "rawInd", "labels")
"""Attributes of a sorter's channels (brainbox's ``SpikeSortingLoader`` loads them)."""

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
        Expected("_fornix_ephysChannels.spikeRates.npy", WHERE, required=False),
        Expected("_iblqc_ephysTimeRmsLF.*.npy", WHERE, required=False),
        Expected("_iblqc_ephysSpectralDensityLF.*.npy", WHERE, required=False),
    ),
    parents=("ephys.compress",),
    priority=10,
    time_out_secs=4 * 3600,
)
"""Measures the noise of a probe's bands, in time and by frequency, and counts spikes."""

SORT = TaskDeclaration(
    name="ephys.sort",
    arguments=(
        ("collection", "raw_ephys_data/probe00"),
        ("output_collection", "alf/probe00/tridesclous2"),
        ("sorter", "tridesclous2"),
        ("parameters", ""),
        ("motion", "auto"),
    ),
    inputs=(
        Expected("*.ap.[ce]bin", WHERE),
        Expected("*.ap.meta", WHERE),
        Expected("*.ap.*h", WHERE),
        Expected("*imec*.timestamps.npy", WHERE),
    ),
    outputs=(
        *(Expected(f"spikes.{name}.npy", SORTED) for name in SPIKES),
        *(Expected(f"clusters.{name}", SORTED) for name in CLUSTERS),
        *(Expected(f"templates.{name}.npy", SORTED) for name in TEMPLATES),
        *(Expected(f"channels.{name}.npy", SORTED) for name in CHANNELS),
        Expected("drift.*.npy", SORTED, required=False),
    ),
    parents=("ephys.compress", "ephys.align"),
    cpu=2,
    ram=8,
    priority=60,
    time_out_secs=24 * 3600,
    environment="ephys-sorting",
)
"""Sorts the spikes of a probe, on the main clock."""

SORT_GPU = msgspec.structs.replace(
    SORT,
    name="ephys.sort_gpu",
    gpu=1,
    ram=32,
    environment="ephys-kilosort",
    stands_for="ephys.sort",
    arguments=tuple((dict(SORT.arguments) | {"sorter": "kilosort4"}).items()),
)
"""Sorts the same spikes by a sorter that needs a graphics card and PyTorch."""

ON_GPU = ("kilosort4",)
"""Sorters that need a graphics card and PyTorch."""

TASKS = (COMPRESS, RAW_QUALITY, SORT, SORT_GPU)
