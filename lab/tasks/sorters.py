"""Spike sorting by SpikeInterface: only the environment of sorters imports this module.

Destriping is the IBL's, by SpikeInterface's implementations: high-pass filter, correction of the
converters' shift, bad channels interpolated or left out, signals common to neighbours removed.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import probeinterface
import spikeinterface.full as si
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

from shared.recordings.spikeglx import read_meta
from shared.recordings.spikeinterface import read_fornix
from shared.science.ephys.sorted_probe import DEAD, GOOD, NOISY, OUTSIDE, Sites, SortedProbe
from shared.science.errors import RawFileInvalid

log = logging.getLogger(__name__)

HIGHPASS = 300.0
"""Cut-off of the high-pass filter in Hz."""

SPATIAL_PAD = 60
"""Channels mirrored at the ends of a shank; shanks with fewer use the common median instead."""

MOST_MOTION = 10.0
"""Motion of the tissue in µm above which it is corrected (half the distance of two rows)."""

MOTION_PRESET = "nonrigid_fast_and_accurate"
"""SpikeInterface's preset; unlike the default it needs no torch."""

LEAST_BRAIN = 0.25
"""Least share of channels in the brain with which the others are left out."""

LOOKS = 10
"""Pieces of 0.3 s in which bad channels are searched (as ibl-neuropixel)."""

LABELS = {"good": GOOD, "dead": DEAD, "noise": NOISY, "out": OUTSIDE}

PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "spykingcircus2": {"apply_motion_correction": False},
}
"""Parameters of sorters unless others are asked for: motion is corrected before, and its own
correction needs torch."""

MOST_JOBS = 4
AROUND = 200.0
"""Radius in µm around its peak for a unit's waveform."""


@dataclass(frozen=True)
class SortingChoice:
    """The chosen sorter, its parameters, and whether motion is corrected."""

    sorter: str
    parameters: Mapping[str, Any]
    motion: str = "auto"


def sort_probe(path: Path, meta: Path, asked: SortingChoice, scratch: Path) -> SortedProbe:
    """Destripe and sort a compressed recording.

    Parameters
    ----------
    path, meta
        The recording, and the ``.meta`` of SpikeGLX beside it.
    asked
        Sorter, parameters and motion correction.
    scratch
        A folder for large files, deleted afterwards: the destriped recording, int16.

    Raises
    ------
    RawFileInvalid
        The ``.meta`` has no sites, or other ones than were recorded.
    """
    warnings.simplefilter("ignore")  # announcements of changes in libraries
    si.set_global_job_kwargs(
        n_jobs=min(os.cpu_count() or 1, MOST_JOBS), pool_engine="thread", progress_bar=False,
        chunk_duration="1s",
    )  # fmt: skip
    raw, sites = open_probe(path, meta)
    log.info("%d channels, %.1f s", raw.get_num_channels(), raw.get_total_duration())
    clean, labels = destripe(raw)
    clean = clean.save(format="binary", folder=scratch / "destriped", dtype="int16")
    log.info("destriped; bad channels: %d", int((labels > 0).sum()))
    clean, motion = corrected(clean, asked.motion)
    sorting = si.run_sorter(
        asked.sorter, clean, folder=scratch / "sorted", verbose=False, raise_error=True,
        **{**PARAMETERS.get(asked.sorter, {}), **asked.parameters},
    )  # fmt: skip
    sorting = si.remove_excess_spikes(sorting, clean).remove_empty_units()
    sites = Sites(sites.places, sites.raw_ind, labels)
    return _described(sorting, clean, sites, raw.get_sampling_frequency(), motion)


def open_probe(path: Path, meta: Path) -> tuple[Any, Sites]:
    """Return a recording with its geometry, and its sites.

    The synchronisation line is left out.
    """
    whole = read_fornix(path)
    meta_values = read_meta(path)
    try:
        probe = probeinterface.read_spikeglx(meta)
    except (KeyError, ValueError, IndexError, AssertionError) as error:
        text = f"the sites of the probe cannot be read ({error!r})"
        fix = "copy the .meta from the computer that recorded"
        raise RawFileInvalid(meta.name, text, fix) from None
    n = probe.get_contact_count()
    if n > whole.get_num_channels() or meta_values is None or n != meta_values.sync_columns().word:
        text = f"it tells of {n} sites, and {path.name} has {whole.get_num_channels()} channels"
        raise RawFileInvalid(meta.name, text, "keep the .meta that was written with the recording")
    raw = whole.select_channels(whole.channel_ids[:n])
    if raw.get_property("gain_to_uV") is None:
        gains = meta_values.facts(whole.get_num_channels()).get("microvolts")
        if gains is None:
            raise RawFileInvalid(meta.name, "it does not tell the gains", "copy it from the rig")
        raw.set_channel_gains(
            np.broadcast_to(np.asarray(gains, float), whole.get_num_channels())[:n]
        )
        raw.set_channel_offsets(0)
    columns = np.asarray(probe.device_channel_indices)
    raw.set_probe(probe, group_mode="by_shank" if probe.shank_ids is not None else "by_probe")
    shifts = get_neuropixels_sample_shifts_from_probe(probe)
    if shifts is not None:
        raw.set_property("inter_sample_shift", np.asarray(shifts)[np.argsort(columns)])
    places = raw.get_channel_locations()[:, :2].astype(float)
    return raw, Sites(places, np.arange(n), np.zeros(n, np.int64))


def destripe(raw: Any) -> tuple[Any, Any]:
    """Return a recording without artefacts, and the labels of its channels (0 to 3)."""
    high = si.highpass_filter(raw, HIGHPASS, dtype="float32")
    if "inter_sample_shift" in high.get_property_keys():
        high = si.phase_shift(high)
    labels = np.zeros(raw.get_num_channels(), np.int64)
    shanks = []
    for _, shank in sorted(high.split_by("group").items()):
        at = raw.ids_to_indices(shank.channel_ids)
        labels[at] = bad_channels(raw.select_channels(shank.channel_ids))
        shanks.append(_of_shank(shank, labels[at]))
    clean = shanks[0] if len(shanks) == 1 else si.aggregate_channels(shanks)
    return clean, labels


def bad_channels(raw: Any) -> Any:
    """Return the label of each channel of a shank; too few channels are all good."""
    if raw.get_num_channels() < SPATIAL_PAD:
        return np.zeros(raw.get_num_channels(), np.int64)
    _, told = si.detect_bad_channels(raw, num_random_chunks=LOOKS, seed=0)
    labels = np.array([LABELS[str(each)] for each in told])
    outside = labels == OUTSIDE
    if (~outside).mean() < LEAST_BRAIN:  # then the channels do not show the brain's surface
        labels[outside] = GOOD
    return labels


def _of_shank(shank: Any, labels: Any) -> Any:
    """Return a shank with interpolated bad channels, without signals common to its channels."""
    bad = shank.channel_ids[(labels == DEAD) | (labels == NOISY)]
    if len(bad):
        shank = si.interpolate_bad_channels(shank, bad)
    outside = shank.channel_ids[labels == OUTSIDE]
    if len(outside):
        shank = shank.remove_channels(outside)
    if shank.get_num_channels() > SPATIAL_PAD:
        return si.highpass_spatial_filter(shank, n_channel_pad=SPATIAL_PAD)
    return si.common_reference(shank) if shank.get_num_channels() > 1 else shank


def corrected(clean: Any, how: str) -> tuple[Any, tuple[Any, Any] | None]:
    """Return a recording corrected for motion, and the motion; None if it was not corrected.

    ``how``: ``auto`` corrects motion of more than `MOST_MOTION`.
    """
    if how == "off" or clean.get_num_channels() < SPATIAL_PAD:
        return clean, None
    motion = si.compute_motion(clean, preset=MOTION_PRESET)
    moved = np.asarray(motion.displacement[0], float)
    way = float(np.ptp(moved, axis=0).max(initial=0))
    log.info("the tissue moves by %.1f µm", way)
    if how == "auto" and way <= MOST_MOTION:
        return clean, None
    still = si.interpolate_motion(clean.astype("float32"), motion, border_mode="force_extrapolate")
    return still, (np.asarray(motion.temporal_bins_s[0], float), moved)


def _described(
    found: Any, clean: Any, sites: Sites, rate: float, motion: tuple[Any, Any] | None
) -> SortedProbe:
    """Return the sorted spikes, with amplitudes, depths and waveforms."""
    if not len(found.unit_ids):
        empty = np.zeros((0, 1, len(sites.places)), np.float32)
        nothing = np.zeros(0)
        none = nothing.astype(np.int64)
        return SortedProbe(none, none, nothing, nothing, empty, sites, rate, motion=motion)
    analyzer = si.create_sorting_analyzer(
        found, clean, format="memory", sparse=True, method="radius", radius_um=AROUND
    )
    analyzer.compute(
        ["random_spikes", "waveforms", "templates", "noise_levels", "spike_amplitudes"],
        extension_params={"random_spikes": {"seed": 0}},
    )
    analyzer.compute("spike_locations", method="center_of_mass")
    spikes = found.to_spike_vector()
    templates = analyzer.get_extension("templates").get_templates(operator="average")
    whole = np.zeros((*templates.shape[:2], len(sites.places)), np.float32)
    # Channels outside the brain were left out of the sorting, but belong to the probe.
    whole[:, :, np.asarray(clean.channel_ids, np.int64)] = templates
    noise = np.asarray(analyzer.get_extension("noise_levels").get_data(), float)
    peaks = np.ptp(templates, axis=1).argmax(axis=1)
    heights = np.abs(np.take_along_axis(templates, peaks[:, None, None], axis=2)[:, :, 0]).max(
        axis=1
    )
    return SortedProbe(
        samples=np.asarray(spikes["sample_index"], np.int64),
        units=np.asarray(spikes["unit_index"], np.int64),
        amps=np.abs(np.asarray(analyzer.get_extension("spike_amplitudes").get_data(), float))
        * 1e-6,
        depths=np.asarray(analyzer.get_extension("spike_locations").get_data()["y"], float),
        templates=whole * np.float32(1e-6),
        sites=sites,
        rate=rate,
        extra={"snr": heights / noise[peaks]},
        motion=motion,
    )
