"""The tasks of the clocks of a session."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

if TYPE_CHECKING:
    from shared.science.clocks.probes import ProbeClock
    from shared.science.clocks.pulses import Pulses

log = logging.getLogger(__name__)


def pulses(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Find the pulses of all devices in the recording of the main clock, an NI board.

    Raises
    ------
    ExtractionError
        There is no recording of a board, or there are several; its wiring cannot be read.
    CodecError
        The recording is not as its ``.meta`` says.
    """
    from lab.tasks.recordings import open_recording
    from shared.alf.io import save
    from shared.science.clocks.pulses import counts, extract_pulses
    from shared.science.clocks.wiring import BOARD, read_wiring

    folder = session / arguments["collection"]
    wiring = read_wiring(folder, BOARD)
    with open_recording(folder, "nidq") as board:
        columns = board.meta.sync_columns()
        edges = extract_pulses(board.read, board.n_samples, board.rate, columns)
    counted = ", ".join(f"{name} {n}" for name, n in counts(edges, wiring).items())
    log.info("pulses: %s", counted)
    target = out / arguments["collection"]
    return [save(target / name, array) for name, array in edges.files().items()]


def pulses_probe(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Find the pulses of all devices in the recording of a probe, to which they are wired (3A).

    Raises
    ------
    ExtractionError
        There is no recording, or there are several; the probe is of a later phase, whose one
        line cannot have seen the devices; its wiring cannot be read.
    CodecError
        The recording is not as its ``.meta`` says.
    """
    from shared.alf.io import save
    from shared.science.clocks.pulses import counts
    from shared.science.clocks.wiring import PROBE_3A, read_wiring
    from shared.science.errors import RawFileMissing

    folder = session / arguments["collection"]
    wiring = read_wiring(folder, PROBE_3A)
    edges, recorded = _of_probe(folder)
    if not recorded.phase_3a:
        raise RawFileMissing(
            "the recording of the NI board",
            f"{folder.name} is no probe of phase 3A: the other devices are not wired to it",
            "upload the .nidq files of the session to raw_ephys_data",
        )
    counted = ", ".join(f"{name} {n}" for name, n in counts(edges, wiring).items())
    log.info("pulses: %s", counted)
    target = out / arguments["collection"]
    return [save(target / name, array) for name, array in edges.files(folder.name).items()]


def align(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find the main clock's time at each sample of a probe.

    Raises
    ------
    ExtractionError
        The recording or the pulses are missing, or do not match.
    CodecError
        The recording is not as its ``.meta`` says.
    """
    from shared.alf.io import save
    from shared.science.clocks.main_pulses import read_pulses
    from shared.science.clocks.probes import align_probe
    from shared.science.clocks.wiring import BOARD, PROBE, read_wiring

    folder, board = (session / arguments[name] for name in ("collection", "sync_collection"))
    main = read_pulses(board).of(read_wiring(board, BOARD)["imec_sync"])
    line = read_wiring(folder, PROBE)["imec_sync"]
    edges, probe = _of_probe(folder)
    clock = align_probe(edges.of(line), main, probe.rate)
    files = edges.files(folder.name) | clock.files(probe.stem, probe.rate)
    target = out / arguments["collection"]
    paths = [save(target / file, array) for file, array in files.items()]
    return Outputs(paths, RunFacts(extended_qc=_told(folder.name, clock)))


def align_probes(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find the time of the main probe at each sample of a probe, where there is no board (3A).

    Raises
    ------
    ExtractionError
        The ``.meta`` or the pulses are missing, or do not match.
    """
    from shared.alf.io import save
    from shared.recordings.spikeglx import read_meta
    from shared.science.clocks.main_pulses import read_probes_pulses
    from shared.science.clocks.probes import align_probes as relate
    from shared.science.errors import RawFileInvalid

    folder = session / arguments["collection"]
    path = one_meta(folder)
    meta = read_meta(path)
    rate = meta.sample_rate if meta else None
    if rate is None:
        raise RawFileInvalid(path.name, "it tells no sample rate", "copy it from the rig")
    probes = read_probes_pulses(session, arguments["sync_collection"])
    clock = relate(probes, folder, rate)
    target = out / arguments["collection"]
    files = clock.files(path.name.partition(".ap.")[0], rate)
    paths = [save(target / file, array) for file, array in files.items()]
    return Outputs(paths, RunFacts(extended_qc=_told(folder.name, clock)))


def one_meta(folder: Path) -> Path:
    """Return the ``.meta`` of the spikes of a probe.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        There is none, or there are several.
    """
    from shared.science.errors import RawFileInvalid, RawFileMissing

    paths = sorted(folder.glob("*.ap.meta"))
    if not paths:
        fix = "upload it from the computer that recorded"
        raise RawFileMissing("the .meta of the spikes", f"none in {folder.name}", fix)
    if len(paths) > 1:
        raise RawFileInvalid(
            ", ".join(path.name for path in paths),
            f"{len(paths)} recordings of a probe, where a session has one",
            "keep the one that goes with the behaviour",
        )
    return paths[0]


@dataclass(frozen=True)
class _Recorded:
    """A probe's recording: the beginning of its files' names, samples a second, its phase."""

    stem: str
    rate: float
    phase_3a: bool


def _of_probe(folder: Path) -> tuple[Pulses, _Recorded]:
    """Return the pulses in the recording of a probe's spikes."""
    from lab.tasks.recordings import open_recording
    from shared.science.clocks.pulses import extract_pulses

    with open_recording(folder, "imec", "ap") as probe:
        columns = probe.meta.sync_columns()
        edges = extract_pulses(probe.read, probe.n_samples, probe.rate, columns)
        stem = probe.path.name.partition(".ap.")[0]
        return edges, _Recorded(stem, probe.rate, probe.meta.is_phase_3a)


def _told(probe: str, clock: ProbeClock) -> dict[str, float | str | None]:
    """Return the quality of a probe's clock, as the session keeps it."""
    log.info(
        "%d pulses, %d missing; drift %.3f ppm, departs by %.2f samples: %s",
        clock.n_pulses, clock.n_missing, clock.drift, clock.residual, clock.quality,
    )  # fmt: skip
    name = f"sync_{probe}"
    return {
        name: clock.quality,
        f"_{name}_drift_ppm": round(clock.drift, 4),
        f"_{name}_residual_samples": round(clock.residual, 3),
        f"_{name}_missing_pulses": float(clock.n_missing),
    }
