"""SpikeGLX's `.meta`, which describes the raw file beside it.

Rules: SpikeGLX's own description of its metadata, by version and probe type. The bottom of a
`.meta` holds tables, `~name=(…)(…)`.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from shared.codec.errors import CodecError

#: Gain of the amplifiers of Neuropixels probes without a gain in their tables, by imDatPrb_type.
FIXED_GAINS = {21: 80, 24: 80, 2003: 100, 2004: 100, 2013: 100, 2014: 100, 2020: 100, 2021: 100}
#: Places of a shank's sites, by imDatPrb_type: µm between columns and rows, and across of the
#: first site of even and odd rows. Phase 3A has no type (SpikeGLX, imec geometry maps).
SHANKS = {
    kind: (32.0, 20.0, (27.0, 11.0)) if kind == 0 else (32.0, 15.0, (27.0, 27.0))
    for kind in (0, 21, 24, 2003, 2004, 2013, 2014)
}
#: Prefixes of a stream's keys: probes, NI boards, the OneBox.
STREAMS = ("im", "ni", "ob")


@dataclass(frozen=True)
class SyncColumns:
    """The columns of a recording with the synchronisation lines of other devices.

    Attributes
    ----------
    word
        Column with 16 digital lines as bits.
    analog
        Columns of analog lines.
    volts
        Volts per count of an analog line.
    """

    word: int
    analog: tuple[int, ...] = ()
    volts: float = 1.0


@dataclass(frozen=True)
class Meta:
    """The keys and values of a `.meta` file."""

    name: str
    pairs: dict[str, str]

    def number(self, key: str) -> float | None:
        """Return a number, which may have a decimal comma.

        Raises
        ------
        CodecError
            If it is no number; the message says what to do.
        """
        text = self.pairs.get(key)
        if text is None:
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise CodecError(
                f"{self.name} says {key}={text}, which is no number: put it right, or give the "
                "value yourself and take the .meta from beside the file"
            )
        return value

    @property
    def n_channels(self) -> int | None:
        """Number of saved channels."""
        value = self.number("nSavedChans")
        return None if value is None else int(value)

    @property
    def sample_rate(self) -> float | None:
        """Sample rate in Hz, of a probe, an NI board or a OneBox."""
        for stream in STREAMS:
            value = self.number(f"{stream}SampRate")
            if value is not None:
                if value <= 0:
                    raise CodecError(f"{self.name} says {stream}SampRate={value:g}: impossible")
                return value
        return None

    @property
    def stream(self) -> str:
        """The recording device: ``imec`` (a probe), ``nidq`` (an NI board), ``obx``; or empty."""
        return self.pairs.get("typeThis", "")

    @property
    def is_phase_3a(self) -> bool:
        """Whether a probe is of phase 3A, whose SpikeGLX wrote no type of the probe."""
        return self.stream == "imec" and "typeEnabled" in self.pairs

    def sync_columns(self) -> SyncColumns:
        """Return the columns with the lines of other devices, which SpikeGLX writes last.

        Raises
        ------
        CodecError
            The channels are missing, or there is no digital line among them.
        """
        key = "snsMnMaXaDw" if self.stream == "nidq" else "snsApLfSy"
        try:
            *other, words = (int(each) for each in self.pairs[key].split(","))
            if words < 1 or min(other) < 0:
                raise ValueError(f"{key}={self.pairs[key]}")
        except (KeyError, ValueError) as error:
            raise CodecError(f"{self.name} tells of no digital line ({error})") from None
        first = sum(other)
        if self.stream != "nidq":
            return SyncColumns(first)
        analog = tuple(range(first - other[-1], first))
        return SyncColumns(first, analog, self.volts_of_board())

    def analog_lines(self) -> dict[str, int]:
        """Return the column of each auxiliary analog line of an NI board, by its name (``XA0``).

        The names are those of SpikeGLX's channel map; without it they are numbered from 0.

        Raises
        ------
        CodecError
            The channels are missing.
        """
        try:
            mn, ma, xa, _ = (int(each) for each in self.pairs["snsMnMaXaDw"].split(","))
            if min(mn, ma, xa) < 0:
                raise ValueError(f"snsMnMaXaDw={self.pairs['snsMnMaXaDw']}")
        except (KeyError, ValueError) as error:
            raise CodecError(f"{self.name} tells of no channels of a board ({error})") from None
        names = re.findall(r"\((XA\d+);", self.pairs.get("snsChanMap", ""))
        if len(names) != xa:
            names = [f"XA{number}" for number in range(xa)]
        return {name: mn + ma + number for number, name in enumerate(names)}

    def volts_of_board(self) -> float:
        """Return the volts per count of an auxiliary analog line of an NI board."""
        return (self.number("niAiRangeMax") or 5.0) / (self.number("niMaxInt") or 32768)

    @property
    def sha1(self) -> str | None:
        """SHA-1 of the raw file, if SpikeGLX computed it."""
        text = self.pairs.get("fileSHA1", "").lower()
        return text if re.fullmatch("[0-9a-f]{40}", text) else None

    def check_size(self, path: Path) -> None:
        """Check the size of the raw file.

        Raises
        ------
        CodecError
        """
        said, size = self.number("fileSizeBytes"), path.stat().st_size
        if said is not None and said != size:
            raise CodecError(
                f"{path.name} has {size} bytes, but {self.name} says {said:.0f}: it was cut "
                "short, is still being written, or the .meta is another file's. "
                "--trim (trim=True) takes what is there"
            )

    def facts(self, n_channels: int | None) -> dict[str, object]:
        """Return the known facts that a viewer needs: gain, probe map, clock."""
        facts: dict[str, object] = {}
        gains = self._microvolts()
        if gains and len(gains) == n_channels:
            facts["microvolts"] = gains[0] if len(set(gains)) == 1 else gains
        if places := self._places():
            facts["probe_map"] = places
        clock: dict[str, object] = {}
        if self.pairs.get("firstSample", "").isdigit():
            clock["first_sample"] = int(self.pairs["firstSample"])
        if "fileCreateTime" in self.pairs:
            clock["created"] = self.pairs["fileCreateTime"]
        return facts | ({"clock": clock} if clock else {})

    def _places(self) -> list[list[float]]:
        """Return shank, and µm across and along it, of each site; empty if it is not told.

        SpikeGLX writes places since 2023 (``snsGeomMap``), before that columns and rows
        (``snsShankMap``).
        """
        places = re.findall(r"\((\d+):([-\d.]+):([-\d.]+):\d+\)", self.pairs.get("snsGeomMap", ""))
        if places:
            return [[int(shank), float(x), float(y)] for shank, x, y in places]
        shape = SHANKS.get(int(self.number("imDatPrb_type") or 0))
        if shape is None:
            return []
        column_pitch, row_pitch, first = shape
        rows = re.findall(r"\((\d+):(\d+):(\d+):\d+\)", self.pairs.get("snsShankMap", ""))
        return [
            [int(shank), first[int(row) % 2] + column_pitch * int(column), row_pitch * int(row)]
            for shank, column, row in rows
        ]

    def _microvolts(self) -> list[float] | None:
        """Return the microvolts per count of each channel; None if a key is missing."""
        try:
            if self.pairs.get("typeThis") == "imec":
                return self._of_probe()
            if self.pairs.get("typeThis") == "nidq":
                return self._of_board()
        except (KeyError, ValueError, IndexError, ZeroDivisionError):
            return None
        return None

    def _of_probe(self) -> list[float]:
        """Return gains of a probe's channels: AP, LF, and 1 for the synchronisation line."""
        step = 1e6 * float(self.pairs["imAiRangeMax"]) / float(self.pairs.get("imMaxInt", 512))
        ap, lf, sync = (int(each) for each in self.pairs["snsApLfSy"].split(","))
        kind = int(self.pairs.get("imDatPrb_type", 0))
        if kind in FIXED_GAINS:
            return [step / FIXED_GAINS[kind]] * ap + [1.0] * sync
        if "imChan0apGain" in self.pairs:
            own = [float(self.pairs["imChan0apGain"])] * ap
            low = [float(self.pairs["imChan0lfGain"])] * lf if lf else []
        else:
            rows = re.findall(r"\((\d+) \d+ \d+ (\d+) (\d+)[^)]*\)", self.pairs["imroTbl"])
            by_channel = {int(channel): (float(a), float(b)) for channel, a, b in rows}
            saved = _saved(self.pairs["snsSaveChanSubset"])
            acquired = int(self.pairs["acqApLfSy"].split(",")[0])
            own = [by_channel[each][0] for each in saved[:ap]]
            low = [by_channel[each - acquired][1] for each in saved[ap : ap + lf]]
        return [step / gain for gain in (*own, *low)] + [1.0] * sync

    def _of_board(self) -> list[float]:
        """Return gains of an NI board's channels; 1 for digital words."""
        step = 1e6 * float(self.pairs["niAiRangeMax"]) / float(self.pairs.get("niMaxInt", 32768))
        mn, ma, xa, dw = (int(each) for each in self.pairs["snsMnMaXaDw"].split(","))
        multiplexed, other = float(self.pairs["niMNGain"]), float(self.pairs["niMAGain"])
        return [step / multiplexed] * mn + [step / other] * ma + [step] * xa + [1.0] * dw


def _saved(text: str) -> list[int]:
    """Return the channels in a list like `0:2,5`."""
    channels: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition(":")
        channels += range(int(first), int(last or first) + 1)
    return channels


def read_meta(path: Path) -> Meta | None:
    """Read the `.meta` beside a raw file, if there is one; it may have a byte order mark."""
    meta = path.with_suffix(".meta")
    if not meta.is_file():
        return None
    text = meta.read_bytes().decode("utf-8-sig", errors="replace")
    # Some keys have no value; the next line does not belong to them.
    pairs = dict(re.findall(r"^~?(\w+)[ \t]*=[ \t]*(.*?)\s*$", text, re.MULTILINE))
    return Meta(meta.name, pairs)
