"""A probe's sorted spikes as the files of the ONE convention, ``alf/probe00/<sorter>/``.

Shapes and units are those that brainbox's ``SpikeSortingLoader`` expects (ibllib 4.1.0).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shared.science.ephys.unit_metrics import unit_metrics

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAREST = 32
"""Channels of a unit's stored waveform, the peak's first (as ibl-sorter)."""

NAMESPACE = uuid.UUID("5a1c0a3e-6f5b-4a0b-9d0e-2f6a5f0c7b11")

GOOD, DEAD, NOISY, OUTSIDE = 0, 1, 2, 3
"""Labels of channels (ibl-neuropixel's)."""


@dataclass(frozen=True)
class Sites:
    """The recorded channels of a probe.

    Attributes
    ----------
    places : array
        Shape (n, 2), µm: across, and up from the deepest site.
    raw_ind : array
        Shape (n,): column in the raw file.
    labels : array
        Shape (n,): good, dead, noisy, outside the brain (0 to 3).
    """

    places: Floats
    raw_ind: Ints
    labels: Ints


@dataclass(frozen=True)
class SortedProbe:
    """The result of a sorter.

    Attributes
    ----------
    samples, units : array
        Shape (spikes,), in order: sample of the probe, and unit from 0.
    amps, depths : array
        Shape (spikes,): V, µm.
    templates : array
        Shape (units, samples, channels), V: the mean waveform of each unit.
    sites : Sites
    rate : float
        Samples a second.
    extra : mapping
        More columns of the table of units, by name, shape (units,).
    motion : tuple of array, optional
        Times (s of the probe) and displacement of the tissue (µm, shape (times, depths)), if it
        was corrected.
    """

    samples: Ints
    units: Ints
    amps: Floats
    depths: Floats
    templates: npt.NDArray[np.float32]
    sites: Sites
    rate: float
    extra: Mapping[str, Floats] = field(default_factory=dict)
    motion: tuple[Floats, Floats] | None = None

    def files(self, main: Callable[[Floats], Floats]) -> dict[str, Any]:
        """Return arrays and tables by the name of their file.

        Parameters
        ----------
        main : callable
            Returns the main clock (s) at samples of the probe.
        """
        times = main(self.samples.astype(float))
        peaks = np.ptp(self.templates, axis=1).argmax(axis=1).astype(np.int64)
        heights = np.ptp(self.templates, axis=1).max(axis=1, initial=0).astype(float)
        waveforms, channels = self._nearest(peaks)
        arrays = {
            "spikes.times.npy": times,
            "spikes.samples.npy": self.samples.astype(np.int64),
            "spikes.clusters.npy": self.units.astype(np.int32),
            "spikes.templates.npy": self.units.astype(np.int32),
            "spikes.amps.npy": self.amps,
            "spikes.depths.npy": self.depths,
            "clusters.channels.npy": peaks,
            "clusters.depths.npy": self._depths(peaks),
            "clusters.amps.npy": self._mean_amplitudes(),
            "clusters.peakToTrough.npy": self._durations(peaks),
            "clusters.waveforms.npy": waveforms,
            "clusters.waveformsChannels.npy": channels,
            "clusters.metrics.pqt": self._metrics(times),
            "clusters.uuids.csv": self._uuids(),
            "channels.localCoordinates.npy": self.sites.places,
            "channels.rawInd.npy": self.sites.raw_ind.astype(np.int64),
            "channels.labels.npy": self.sites.labels.astype(np.int64),
            "templates.waveforms.npy": waveforms,
            "templates.waveformsChannels.npy": channels,
            "templates.amps.npy": heights,
        }
        if self.motion is not None:
            at, moved = self.motion
            arrays |= {"drift.times.npy": main(at * self.rate), "drift.um.npy": moved}
        return arrays

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.templates)

    def _nearest(self, peaks: Ints) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Return the waveforms on the channels nearest to each peak, and these channels."""
        places = self.sites.places
        apart = np.linalg.norm(places[None] - places[peaks][:, None], axis=2)
        channels = np.argsort(apart, axis=1, kind="stable")[:, :NEAREST]
        waveforms = np.take_along_axis(self.templates, channels[:, None, :], axis=2)
        return waveforms.astype(np.float32), channels.astype(np.int32)

    def _depths(self, peaks: Ints) -> Floats:
        """Return the mean depth of each unit's spikes (µm); its peak's depth without spikes."""
        counts = np.bincount(self.units, minlength=self.n_units)
        sums = np.bincount(self.units, self.depths, minlength=self.n_units)
        means = np.divide(sums, counts, out=np.zeros(self.n_units), where=counts > 0)
        return np.where(counts > 0, means, self.sites.places[peaks, 1])

    def _mean_amplitudes(self) -> Floats:
        counts = np.bincount(self.units, minlength=self.n_units)
        sums = np.bincount(self.units, self.amps, minlength=self.n_units)
        return np.divide(sums, counts, out=np.full(self.n_units, np.nan), where=counts > 0)

    def _durations(self, peaks: Ints) -> Floats:
        """Return the time from each waveform's trough to its peak, ms (phylib's sign)."""
        own = np.take_along_axis(self.templates, peaks[:, None, None], axis=2)[:, :, 0]
        return (own.argmax(axis=1) - own.argmin(axis=1)) / self.rate * 1e3

    def _metrics(self, times: Floats) -> pd.DataFrame:
        table = unit_metrics(
            times, self.units.astype(np.int64), self.amps, self.depths, self.n_units
        )
        for name, values in self.extra.items():
            table[name] = values
        return table

    def _uuids(self) -> pd.DataFrame:
        """Return an identifier for each unit: the same spikes give the same one."""
        import pandas as pd

        order = np.argsort(self.units, kind="stable")
        ends = np.cumsum(np.bincount(self.units, minlength=self.n_units))[:-1]
        own = np.split(self.samples[order].astype("<i8"), ends) if self.n_units else []
        named = [
            str(uuid.uuid5(NAMESPACE, f"{n} {sha256(one.tobytes()).hexdigest()}"))
            for n, one in enumerate(own)
        ]
        return pd.DataFrame({"uuids": named})


def located(
    places: Floats, sites: Floats, mlapdv: Floats, regions: Ints
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the channels' places in the brain, from histology's places along the shank.

    Parameters
    ----------
    places : array, shape (n, 2)
        Places of the channels, µm on the shank.
    sites : array, shape (m, 2)
        Sites of histology, µm on the shank.
    mlapdv : array, shape (m, 3)
        Brain coordinates of these sites, µm from bregma; linear between them.
    regions : array, shape (m,)
        Allen CCF 2017 identifiers of these sites; each channel gets the nearest site's.

    Returns
    -------
    array of int32, shape (n, 3); array of int32, shape (n,)

    Notes
    -----
    Depths of both are taken from their deepest site: the IBL's begin at 20 µm, ours at 0.
    """
    order = np.argsort(sites[:, 1], kind="stable")
    at, where = sites[order, 1] - sites[:, 1].min(), mlapdv[order]
    depths = places[:, 1] - places[:, 1].min(initial=np.inf)
    points = np.column_stack([np.interp(depths, at, where[:, axis]) for axis in range(3)])
    nearest = np.abs(depths[:, None] - at[None]).argmin(axis=1)
    return points.astype(np.int32), regions[order][nearest].astype(np.int32)
