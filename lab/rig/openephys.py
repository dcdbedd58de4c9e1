"""Recordings of the Open Ephys GUI become files that ONE has names for, and back.

Format: Open Ephys, "Binary format" (open-ephys.github.io/gui-docs, GUI 0.6): a recording is a
folder with ``structure.oebin``, ``continuous/STREAM/continuous.dat`` (int16, samples × channels,
little-endian), ``sample_numbers.npy``, and ``events/STREAM/TTL/states.npy`` (± line) with their
``sample_numbers.npy``.

A stream becomes ``_openephys_ephysData_g0_t0.imec0.ap.bin`` in ``raw_ephys_data/probe00`` (probe B
in ``probe01``, …; an NI board in ``raw_ephys_data``): the same samples and one more column, the
word of its lines as SpikeGLX writes it. Its ``.meta`` says gains, places of sites, and how many
bytes and which SHA-256 the ``continuous.dat`` had; `restore` writes that again.
``structure.oebin`` is kept as ``_openephys_recording.structure.json``.

One file, because what is written and what is written back are each other's inverse.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lab.rig.openephys_names import STRUCTURE
from shared.alf.layout import RAW_EPHYS
from shared.recordings.spikeglx import read_meta
from shared.science.errors import RawFileInvalid, RawFileMissing

STEM = "_openephys_ephysData_g0_t0"
BLOCK = 2**24
"""Bytes of a block of samples."""

MOST_COUNT = 32768
"""Counts of half the range of 16 bits."""

SYNC_BIT = 6
"""Bit of the word of a probe with its synchronisation line, as SpikeGLX writes it."""

PROBE = re.compile(r"Probe([A-Z])(?:-(AP|LFP|LF))?$")
BOARD = re.compile(r"NI-?DAQ|PXIe?-6", re.IGNORECASE)
"""Names of the streams of probes and of NI boards (plug-ins Neuropix-PXI and NI-DAQmx)."""


@dataclass(frozen=True)
class Stream:
    """A continuous stream of a recording.

    Attributes
    ----------
    name
        As in ``structure.oebin``.
    data, events
        ``continuous.dat`` and the folder of its lines' changes.
    rate
        Hz.
    microvolts
        Per count, of each channel.
    probe
        Number of the probe; None for an NI board.
    band
        ``ap`` or ``lf``; empty for an NI board.
    """

    name: str
    data: Path
    events: Path
    rate: float
    microvolts: tuple[float, ...]
    probe: int | None
    band: str

    @property
    def target(self) -> str:
        """Path of its samples in the session."""
        if self.probe is None:
            return f"{RAW_EPHYS}/{STEM}.nidq.bin".replace("//", "/")
        folder = f"{RAW_EPHYS}/probe{self.probe:02d}".replace("//", "/")
        return f"{folder}/{STEM}.imec{self.probe}.{self.band}.bin"


def recording_in(session: Path) -> Path | None:
    """Return the folder of a session's Open Ephys recording; None if it has none.

    Raises
    ------
    RawFileInvalid
        There are several: each is a session of its own.
    """
    found = sorted(path.parent for path in session.rglob(STRUCTURE))
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(session)) for path in found)
        why = f"{len(found)} recordings of Open Ephys ({names}), where a session has one"
        raise RawFileInvalid(session.name, why, "make a session of each")
    return found[0] if found else None


def streams(recording: Path) -> tuple[list[Stream], list[str]]:
    """Return the streams that have names in ONE, and the names of the others.

    Raises
    ------
    RawFileInvalid
        ``structure.oebin`` is not as the GUI writes it, or two streams are of one device.
    """
    about = recording / STRUCTURE
    known: list[Stream] = []
    others: list[str] = []
    try:
        for said in json.loads(about.read_text())["continuous"]:
            folder = str(said["folder_name"]).rstrip("/")
            if not re.fullmatch(r"[\w.()+ -]+", folder) or folder in (".", ".."):
                raise ValueError(f"the folder {folder[:80]!r}")
            stream = _stream(recording, folder, said)
            known.append(stream) if stream else others.append(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "copy the recording again from the computer that recorded"
        raise RawFileInvalid(STRUCTURE, f"it is not the GUI's ({error!r})", fix) from None
    targets = [stream.target for stream in known]
    if len(set(targets)) < len(targets):
        names = ", ".join(stream.name for stream in known)
        raise RawFileInvalid(STRUCTURE, f"two streams of one device: {names}", "keep one of them")
    return known, others


def _stream(recording: Path, folder: str, said: Mapping[str, Any]) -> Stream | None:
    name = str(said.get("stream_name") or folder.rpartition(".")[2])
    probe = PROBE.search(name) or PROBE.search(folder)
    if probe is None and not BOARD.search(f"{folder} {said.get('source_processor_name', '')}"):
        return None
    channels = said["channels"][: int(said["num_channels"])]
    unit = [1e6 if str(each.get("units") or "uV") == "V" else 1.0 for each in channels]
    microvolts = tuple(
        float(each["bit_volts"]) * scale for each, scale in zip(channels, unit, strict=True)
    )
    if not microvolts or not all(0 < each < 1e9 for each in microvolts):
        raise ValueError(f"{name} has no channels, or impossible bit_volts")
    if len(microvolts) != int(said["num_channels"]) or not float(said["sample_rate"]) > 0:
        raise ValueError(f"{name}: num_channels or sample_rate")
    band = "" if probe is None else {"LFP": "lf", "LF": "lf"}.get(probe[2] or "", "ap")
    return Stream(
        name=name,
        data=recording / "continuous" / folder / "continuous.dat",
        events=recording / "events" / folder / "TTL",
        rate=float(said["sample_rate"]),
        microvolts=microvolts,
        probe=None if probe is None else ord(probe[1]) - ord("A"),
        band=band,
    )


def wrap(session: Path) -> tuple[list[str], list[str]]:
    """Write a session's Open Ephys recording under ONE's names; what is written stays.

    Returns
    -------
    written, others : list of str
        Paths of the new files in the session; names of streams that have no name in ONE.

    Raises
    ------
    RawFileInvalid, RawFileMissing
        The recording cannot be understood, or a part of it is missing.
    """
    recording = recording_in(session)
    if recording is None:
        return [], []
    known, others = streams(recording)
    sites = _sites(recording)
    written = []
    for stream in known:
        target = session / stream.target
        if not _is_whole(target, stream):
            _write(stream, target, sites.get(stream.probe, ()))
            written += [stream.target, str(Path(stream.target).with_suffix(".meta"))]
    kept = session / RAW_EPHYS / "_openephys_recording.structure.json"
    content = (recording / STRUCTURE).read_bytes()
    if known and not (kept.is_file() and kept.read_bytes() == content):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
        written.append(kept.relative_to(session).as_posix())
    return written, others


def _is_whole(target: Path, stream: Stream) -> bool:
    """Return whether a stream was written before; the ``.meta`` comes last."""
    meta = read_meta(target)
    if meta is None or not target.is_file() or not stream.data.is_file():
        return False
    same = meta.number("oeFileSizeBytes") == stream.data.stat().st_size
    return same and meta.number("fileSizeBytes") == target.stat().st_size


def _write(stream: Stream, target: Path, sites: Sequence[tuple[float, float]]) -> None:
    """Write a stream's samples with the word of its lines, then its ``.meta``."""
    n = len(stream.microvolts)
    if not stream.data.is_file():
        raise RawFileMissing(f"the samples of {stream.name}", str(stream.data), "copy them again")
    size = stream.data.stat().st_size
    if not size or size % (2 * n):
        fix = "copy it again: it is empty or was cut short"
        raise RawFileInvalid(stream.data.name, f"{size} bytes of {n} channels", fix)
    numbers = _numbers(stream, size // (2 * n))
    words = Words.of(stream)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")  # names with a dot are never uploaded
    digest = hashlib.sha256()
    try:
        with stream.data.open("rb") as source, part.open("wb") as file:
            at = numbers
            for block in _blocks(source, 2 * n):
                digest.update(block)
                samples = np.frombuffer(block, "<i2").reshape(-1, n)
                word = words.at(np.arange(at, at + len(samples), dtype=np.int64))
                file.write(np.column_stack([samples, word]).astype("<i2").tobytes())
                at += len(samples)
            file.flush()
            os.fsync(file.fileno())
        written = part.stat().st_size
        lines = _meta(stream, target.name, written, size, numbers, digest.hexdigest(), sites)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    said = part.with_suffix(".meta")
    said.write_text("".join(f"{name}={value}\n" for name, value in lines))
    said.replace(target.with_suffix(".meta"))


def _blocks(source: Any, row: int) -> Iterator[bytes]:
    step = max(1, BLOCK // row) * row
    while block := source.read(step):
        yield block


def _numbers(stream: Stream, count: int) -> int:
    """Return the number of a stream's first sample.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        The numbers are missing, or samples are.
    """
    place = stream.data.with_name("sample_numbers.npy")
    if not place.is_file():  # GUI 0.5 wrote the numbers under this name
        place = stream.data.with_name("timestamps.npy")
    numbers = _array(place, stream.name)
    if numbers.dtype.kind not in "iu" or numbers.shape != (count,):
        why = f"{numbers.dtype} {numbers.shape} for {count} samples"
        raise RawFileInvalid(f"{place.name} of {stream.name}", why, "copy it again")
    steps = np.flatnonzero(np.diff(numbers) != 1)
    if len(steps):
        why = f"samples are missing in {len(steps)} places, first after number {numbers[steps[0]]}"
        fix = "record again: what came when is not known any more"
        raise RawFileInvalid(f"{place.name} of {stream.name}", why, fix)
    return int(numbers[0])


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise RawFileMissing(f"{path.name} of {name}", str(path), "copy it again") from None
    except (OSError, ValueError) as error:
        raise RawFileInvalid(f"{path.name} of {name}", str(error), "copy it again") from None


@dataclass(frozen=True)
class Words:
    """The lines of a stream as one word for each sample.

    Attributes
    ----------
    first
        Word before the first change.
    numbers, words
        Number of the sample of each change, and the word from then on.
    """

    first: int
    numbers: NDArray[np.int64]
    words: NDArray[np.int64]

    @classmethod
    def of(cls, stream: Stream) -> Words:
        """Read the changes of a stream's lines; without any the word stays 0.

        Raises
        ------
        RawFileInvalid
            They are not as the GUI writes them.
        """
        if not (stream.events / "states.npy").is_file():
            return cls(0, np.zeros(0, np.int64), np.zeros(0, np.int64))
        states = _array(stream.events / "states.npy", stream.name)
        numbers = _array(stream.events / "sample_numbers.npy", stream.name)
        lines = np.abs(states.astype(np.int64)) if states.dtype.kind in "iu" else np.zeros(1)
        if numbers.shape != states.shape or np.any((lines < 1) | (lines > 16)):
            why = "the changes of lines are not ± 1 to 16, each with its sample"
            raise RawFileInvalid(f"states.npy of {stream.name}", why, "copy it again")
        order = np.argsort(numbers, kind="stable")
        first, word, words = 0, 0, np.zeros(len(order), np.int64)
        seen: set[int] = set()
        for each in order:  # a line that falls first was high before
            line = int(lines[each])
            first |= (1 << _bit(stream, line)) if states[each] < 0 and line not in seen else 0
            seen.add(line)
        word = first
        for n, each in enumerate(order):
            bit = 1 << _bit(stream, int(lines[each]))
            word = word | bit if states[each] > 0 else word & ~bit
            words[n] = word
        return cls(first, numbers[order].astype(np.int64), words)

    def at(self, numbers: NDArray[np.int64]) -> NDArray[np.int16]:
        """Return the word at samples, by their numbers."""
        place = np.searchsorted(self.numbers, numbers, side="right")
        return np.concatenate([[self.first], self.words])[place].astype(np.uint16).view(np.int16)


def _bit(stream: Stream, line: int) -> int:
    """Return the bit of a line: a probe's first is bit 6, as SpikeGLX writes it."""
    if stream.probe is None:
        return line - 1
    return SYNC_BIT if line == 1 else line - 2 if line <= SYNC_BIT + 1 else line - 1


def _sites(recording: Path) -> dict[int | None, list[tuple[float, float]]]:
    """Return the places of sites (x, y in µm) by probe, as ``settings.xml`` has them."""
    above = [folder / "settings.xml" for folder in (recording, *recording.parents[:3])]
    place = next((path for path in above if path.is_file()), None)
    if place is None or b"<!ENTITY" in (text := place.read_bytes()):
        return {}
    try:
        probes = ElementTree.fromstring(text).iter("NP_PROBE")  # noqa: S314 - no entities
        found: dict[int | None, list[tuple[float, float]]] = {}
        for number, probe in enumerate(probes):
            x, y = (probe.find(f"ELECTRODE_{axis}POS") for axis in "XY")
            if x is not None and y is not None:
                names = sorted(x.attrib, key=lambda name: int(name.removeprefix("CH")))
                found[number] = [(float(x.attrib[name]), float(y.attrib[name])) for name in names]
    except (ElementTree.ParseError, ValueError, KeyError):
        return {}
    return found


def _meta(
    stream: Stream,
    name: str,
    size: int,
    before: int,
    first: int,
    sha256: str,
    sites: Sequence[tuple[float, float]],
) -> Iterator[tuple[str, object]]:
    """Yield the entries of a ``.meta``, by whose gains a count has the same microvolts."""
    n = len(stream.microvolts)
    if len(set(stream.microvolts)) > 1:
        fix = "no recording of this kind is read here"
        raise RawFileInvalid(STRUCTURE, f"{stream.name}: channels of several gains", fix)
    half = stream.microvolts[0] * MOST_COUNT / 1e6
    yield from {
        "appVersion": "Open Ephys",
        "fileName": name,
        "fileSizeBytes": size,
        "fileTimeSecs": size / 2 / (n + 1) / stream.rate,
        "firstSample": first,
        "nSavedChans": n + 1,
        "oeStream": stream.name,
        "oeFileSizeBytes": before,
        "oeFileSHA256": sha256,
    }.items()
    if stream.probe is None:
        yield from {
            "typeThis": "nidq",
            "niSampRate": stream.rate,
            "niAiRangeMax": half,
            "niAiRangeMin": -half,
            "niMaxInt": MOST_COUNT,
            "niMNGain": 1,
            "niMAGain": 1,
            "snsMnMaXaDw": f"0,0,{n},1",
        }.items()
        return
    saved, at = (f"{n},0,1", 0) if stream.band == "ap" else (f"0,{n},1", n)
    yield from {
        "typeThis": "imec",
        "imSampRate": stream.rate,
        "imAiRangeMax": half,
        "imAiRangeMin": -half,
        "imMaxInt": MOST_COUNT,
        "imDatPrb_type": 0,
        "acqApLfSy": f"{n},{n},1",
        "snsApLfSy": saved,
        "snsSaveChanSubset": f"{at}:{at + n - 1},{2 * n}",
        "~imroTbl": f"(0,{n})" + "".join(f"({c} 0 0 1 1 1)" for c in range(n)),
    }.items()
    if len(sites) == n:
        places = "".join(f"(0:{x:g}:{y:g}:1)" for x, y in sites)
        yield "~snsGeomMap", f"(OpenEphys,1,0,70){places}"


def restore(samples: Path, target: Path) -> None:
    """Write the ``continuous.dat`` that a file was made from.

    Raises
    ------
    RawFileInvalid
        The file was not made from one, or has other bytes by now.
    """
    meta = read_meta(samples)
    if meta is None or meta.n_channels is None or "oeFileSHA256" not in meta.pairs:
        fix = "give a file _openephys_….bin with its .meta beside it"
        raise RawFileInvalid(samples.name, "no .meta says that Open Ephys recorded it", fix)
    n, digest = meta.n_channels, hashlib.sha256()
    part = target.with_name(f"{target.name}.part")
    try:
        with samples.open("rb") as source, part.open("wb") as file:
            for block in _blocks(source, 2 * n):
                own = np.frombuffer(block, "<i2").reshape(-1, n)[:, :-1].tobytes()
                digest.update(own)
                file.write(own)
        if digest.hexdigest() != meta.pairs["oeFileSHA256"]:
            fix = "get the file again"
            raise RawFileInvalid(samples.name, "its samples are not those recorded", fix)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
