"""The tasks of the clocks of a session."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

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


def align(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find the main clock's time at each sample of a probe.

    Raises
    ------
    ExtractionError
        The recording or the pulses are missing, or do not match.
    CodecError
        The recording is not as its ``.meta`` says.
    """
    from lab.tasks.recordings import open_recording
    from shared.alf.io import save
    from shared.science.behaviour.main_extraction import read_pulses
    from shared.science.clocks.probes import align_probe
    from shared.science.clocks.pulses import extract_pulses
    from shared.science.clocks.wiring import BOARD, PROBE, read_wiring

    folder, board = (session / arguments[name] for name in ("collection", "sync_collection"))
    main = read_pulses(board).of(read_wiring(board, BOARD)["imec_sync"])
    line = read_wiring(folder, PROBE)["imec_sync"]
    with open_recording(folder, "imec", "ap") as probe:
        columns = probe.meta.sync_columns()
        edges = extract_pulses(probe.read, probe.n_samples, probe.rate, columns)
    clock = align_probe(edges.of(line), main, probe.rate)
    log.info(
        "%d pulses, %d missing; drift %.3f ppm, departs by %.2f samples: %s",
        clock.n_pulses, clock.n_missing, clock.drift, clock.residual, clock.quality,
    )  # fmt: skip
    name = f"sync_{folder.name}"
    summary: dict[str, float | str | None] = {
        name: clock.quality,
        f"_{name}_drift_ppm": round(clock.drift, 4),
        f"_{name}_residual_samples": round(clock.residual, 3),
        f"_{name}_missing_pulses": float(clock.n_missing),
    }
    stem = probe.path.name.partition(".ap.")[0]
    files = edges.files(folder.name) | clock.files(stem, probe.rate)
    target = out / arguments["collection"]
    paths = [save(target / file, array) for file, array in files.items()]
    return Outputs(paths, RunFacts(extended_qc=summary))
