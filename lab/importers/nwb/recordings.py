"""Raw recordings and synchronisation lines, by the inverse of `lab.exports.nwb`.

A recording becomes an `.ebin` with its gain and its sites, a SpikeGLX `.meta` made from what the
file tells, and the clock as knots of samples and seconds. Samples are read and written a few
seconds at a time. NWB has no synchronisation channel; its fronts are series of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.importers.nwb.made import MadeDataset, folder_of, times_of
from shared.codec import Writer
from shared.science.clocks.wiring import encode_wiring

NOMINAL = {"ap": 30_000.0, "lf": 2_500.0}
"""Sampling rates of a Neuropixels probe's bands (Hz); a clock deviates by less than `DRIFT`."""

DRIFT = 1e-3

FAST = 10_000.0
"""Rate (Hz) from which a series whose name tells no band is the action-potential band."""

BLOCK = 30_000
"""Samples read at once."""

RANGE, STEPS = 0.6, 512
"""Volts and steps of a Neuropixels 1.0 converter, on each side of zero."""

GAINS = {"ap": 500, "lf": 250}
"""Usual gains of a Neuropixels 1.0 probe."""

LINE = re.compile(r"Sync(Nidq|Probe\w+?)Line(\d+)")


class RawSeries(NamedTuple):
    """A series of a probe's voltages in an NWB file.

    Attributes
    ----------
    series : pynwb.ecephys.ElectricalSeries
    probe, band : str
    """

    series: Any
    probe: str
    band: str

    @property
    def rate(self) -> float:
        """The rate of the probe's own clock (Hz): the nominal one, if it is near."""
        rate = self.series.rate
        if rate is None:
            ends = self.series.timestamps
            rate = (len(ends) - 1) / (float(ends[-1]) - float(ends[0]))
        nominal = NOMINAL[self.band]
        return nominal if abs(rate / nominal - 1) < DRIFT else float(rate)

    @property
    def microvolts(self) -> list[float]:
        """Microvolts of a count of each channel."""
        own = self.series.channel_conversion
        gains = 1e6 * self.series.conversion * (np.ones(self.shape[1]) if own is None else own[:])
        return np.asarray(gains, float).tolist()

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and channels."""
        n, channels = self.series.data.shape
        return int(n), int(channels)

    def sites(self) -> NDArray[np.float64] | None:
        """Return the places of the channels on the probe (µm), shape (channels, 2), if known."""
        table = self.series.electrodes.table
        if not {"rel_x", "rel_y"} <= set(table.colnames):
            return None
        rows = np.asarray(self.series.electrodes.data[:], int)
        places = [np.asarray(table[name].data[:], float)[rows] for name in ("rel_x", "rel_y")]
        found = np.column_stack(places)
        return found if np.isfinite(found).all() else None

    def write(self, target: Path) -> None:
        """Write the samples as a compressed recording."""
        n, channels = self.shape
        gains, sites = self.microvolts, self.sites()
        with Writer(
            target,
            channels,
            self.series.data.dtype,
            self.rate,
            n_samples=n,
            overwrite=True,
            precious=False,
        ) as writer:
            writer.index.facts["microvolts"] = gains[0] if len(set(gains)) == 1 else gains
            if sites is not None:
                writer.index.facts["probe_map"] = [[0, x, y] for x, y in sites.tolist()]
            for start in range(0, n, BLOCK):
                writer.append(self.series.data[start : start + BLOCK])

    def write_meta(self, target: Path) -> None:
        """Write the facts as SpikeGLX does, as far as the file tells them."""
        n, channels = self.shape
        first = 0 if self.band == "ap" else 384
        facts: dict[str, object] = {
            "typeThis": "imec",
            "nSavedChans": channels,
            "imSampRate": f"{self.rate:g}",
            "fileSizeBytes": n * channels * self.series.data.dtype.itemsize,
            "fileTimeSecs": n / self.rate,
            "imMaxInt": STEPS,
            "imDatPrb_type": 0,
            "acqApLfSy": "384,384,1",
            "snsApLfSy": f"{channels},0,0" if self.band == "ap" else f"0,{channels},0",
            "snsSaveChanSubset": f"{first}:{first + channels - 1}",
            "userNotes": "made from an NWB file",
        }
        if (levels := _levels(np.array(self.microvolts), self.band)) is not None:
            volts, gains = levels
            other = GAINS["lf" if self.band == "ap" else "ap"]
            pair = "{0} {1}" if self.band == "ap" else "{1} {0}"
            rows = "".join(
                f"({k} 0 0 {pair.format(gain, other)} 1)" for k, gain in enumerate(gains)
            )
            facts |= {"imAiRangeMax": volts, "~imroTbl": f"(0,{channels}){rows}"}
        if (sites := self.sites()) is not None:
            shown = "".join(f"(0:{x:g}:{y:g}:1)" for x, y in sites.tolist())
            facts["~snsGeomMap"] = f"(NP1010,1,0,70){shown}"
        target.write_text("".join(f"{key}={value}\n" for key, value in facts.items()))

    def knots(self) -> NDArray[np.float64] | None:
        """Return samples of the action-potential band and seconds, shape (k, 2).

        None if the times are those of the probe's own clock.
        """
        n = self.shape[0]
        if self.series.timestamps is None:
            if self.series.starting_time == 0 and self.series.rate == self.rate:
                return None
            at = np.array([0.0, max(1, n - 1)])
            seconds = self.series.starting_time + at / self.series.rate
        else:
            # One a second: a clock bends slowly, and between two knots it is taken as straight.
            at = np.unique(np.append(np.arange(0.0, n, round(self.rate)), n - 1))
            seconds = np.asarray(self.series.timestamps[:], float)[at.astype(int)]
        ratio = NOMINAL["ap"] / NOMINAL["lf"] if self.band == "lf" else 1.0
        return np.column_stack([at * ratio, seconds])


def _levels(microvolts: NDArray[np.float64], band: str) -> tuple[float, list[int]] | None:
    """Return a converter's range (V) and each channel's gain that give these steps, if any do."""
    exact = 1e6 * RANGE / STEPS / microvolts
    gains = np.rint(exact)
    if (gains > 0).all() and np.allclose(exact, gains, rtol=1e-9):
        return RANGE, gains.astype(int).tolist()
    if len(set(microvolts.tolist())) == 1:
        gain = GAINS[band]
        return float(microvolts[0]) * STEPS * gain / 1e6, [gain] * len(microvolts)
    return None


def recordings_of(
    nwb: Any, series: dict[str, Any], note: Callable[[str], None]
) -> Iterator[MadeDataset]:
    """Yield the recordings of probes; the series that are read are taken out.

    Those of other laboratories go by the group of their electrodes, and by the band in their name
    or their rate.
    """
    taken: set[tuple[str, str]] = set()
    clocked: set[str] = set()
    for name in sorted(series):
        if type(series[name]).__name__ != "ElectricalSeries":
            continue
        raw = _raw(series[name])
        why = _unfit(raw, taken)
        if why:
            note(f"acquisition/{name}: {why}")
            continue
        del series[name]
        taken.add((raw.probe, raw.band))
        stem = f"raw_ephys_data/{raw.probe}/_spikeglx_ephysData_g0_t0.imec{_number(raw.probe)}"
        yield MadeDataset(f"{stem}.{raw.band}.ebin", raw.write)
        yield MadeDataset(f"{stem}.{raw.band}.meta", raw.write_meta)
        knots = raw.knots()
        if knots is not None and raw.probe not in clocked:
            clocked.add(raw.probe)  # AP goes first, and has the finer samples
            yield MadeDataset(f"{stem}.timestamps.npy", knots)


def _raw(series: Any) -> RawSeries:
    ours = re.fullmatch(r"ElectricalSeries(\w*?\d+)(AP|LF)", series.name)
    if ours:
        return RawSeries(series, folder_of(ours[1]), ours[2].lower())
    region = series.electrodes
    groups = region.table["group_name"].data[:] if "group_name" in region.table.colnames else []
    rows = region.data[:]
    found = folder_of(str(groups[rows[0]])) if len(groups) and len(rows) else ""
    probe = found if found.startswith("probe") else f"probe_{found}" if found else "probe00"
    band = re.search(r"(ap|lfp?)$", series.name, re.IGNORECASE)
    if band:
        return RawSeries(series, probe, band[0].lower()[:2])
    raw = RawSeries(series, probe, "ap")
    return raw if raw.rate >= FAST else raw._replace(band="lf")


def _unfit(raw: RawSeries, taken: set[tuple[str, str]]) -> str:
    """Return why a series cannot become a recording; empty if it can."""
    if raw.series.data.ndim != 2 or not all(raw.series.data.shape):
        return "it has not samples by channels, and stays in the file"
    if str(raw.series.data.dtype) not in ("int16", "uint16", "int32"):
        return (
            f"samples of {raw.series.data.dtype} are no converter's counts; it stays in the file"
        )
    if (raw.probe, raw.band) in taken:
        return f"there is a recording of {raw.probe} {raw.band} already; it stays in the file"
    return ""


def _number(probe: str) -> str:
    found = re.search(r"\d+", probe)
    return str(int(found[0])) if found else "0"


def sync_of(series: dict[str, Any]) -> Iterator[MadeDataset]:
    """Yield the fronts of synchronisation lines, and the names of what is connected to them."""
    boards: dict[str, list[tuple[int, Any]]] = {}
    for name in sorted(series):
        if found := LINE.fullmatch(name):
            boards.setdefault(found[1], []).append((int(found[2]), series.pop(name)))
    for board, lines in boards.items():
        folder = "raw_ephys_data" + ("" if board == "Nidq" else f"/{folder_of(board)}")
        times = np.concatenate([times_of(one) for _, one in lines])
        order = np.argsort(times, kind="stable")
        fronts = {
            "times": times,
            "channels": np.repeat(
                [line for line, _ in lines], [len(one.data) for _, one in lines]
            ),
            "polarities": np.concatenate([np.asarray(one.data[:], np.int64) for _, one in lines]),
        }
        for attribute, values in fronts.items():
            yield MadeDataset(f"{folder}/_spikeglx_sync.{attribute}.npy", values[order])
        names = {line: _wired(one.description) for line, one in lines}
        if any(names.values()):
            stem = "nidq" if board == "Nidq" else f"imec{_number(board)}"
            wiring = encode_wiring({line: name for line, name in names.items() if name})
            path = f"{folder}/_spikeglx_ephysData_g0_t0.{stem}.wiring.json"
            yield MadeDataset(path, wiring)


def _wired(description: str) -> str:
    """Return the name in a description such as ``Line 3, imec_sync: 1 where it rises, …``."""
    found = re.match(r"Line \d+, (.+): 1 where", description)
    return found[1] if found else ""
