"""The tasks of a session's cameras."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

if TYPE_CHECKING:
    from shared.science.clocks.pulses import Floats, Fronts
    from shared.science.video.frame_times import SoundRules

log = logging.getLogger(__name__)


def compress(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Compress a camera's film as the IBL pipeline does, so that pages can show it at once.

    Raises
    ------
    RawFileInvalid
        The film cannot be read completely.
    """
    from lab.tasks.films import CRF, compress_film

    name = f"_iblrig_{arguments['camera']}Camera.raw"
    source = session / arguments["collection"] / f"{name}.avi"
    target = out / arguments["collection"] / f"{name}.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    header = compress_film(source, target, CRF[arguments["clock"]])
    before, after = source.stat().st_size, target.stat().st_size
    log.info("%s: %d frames, %.1f to 1", target.name, header.n_frames, before / after)
    return [target]


def times(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find the times of a film's frames by the state machine's events, and judge the film.

    Raises
    ------
    ExtractionError
        The film cannot be read, or the state machine has no signals of the camera.
    """
    from shared.science.behaviour.raw_task import read_task
    from shared.science.video import frame_times

    task = read_task(session, arguments["task_collection"])
    signs = frame_times.signs_of_state_machine(task)
    sounds = frame_times.sounds_of_state_machine(task)
    return _timed(session, out, arguments, signs, sounds, frame_times.BY_STATE_MACHINE)


def times_nidq(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Find the times of a film's frames by the board that is the main clock, and judge the film.

    Raises
    ------
    ExtractionError
        The film cannot be read, or its pulses are missing.
    """
    from shared.science.clocks.main_pulses import read_main_pulses
    from shared.science.errors import SyncFailed
    from shared.science.video.frame_times import BY_BOARD, signs_on_board

    main = read_main_pulses(session, arguments["sync_collection"])
    pulses, wiring = main.pulses, main.wiring
    line = wiring.get(f"{arguments['camera']}_camera")
    if line is None:
        raise SyncFailed(
            f"the pulses of camera {arguments['camera']}",
            "no line of the main clock is said to be its own",
            f"name the line {arguments['camera']}_camera in the wiring file of the recording",
        )
    signs, sounds = signs_on_board(pulses.of(line)), pulses.of(wiring["audio"])
    return _timed(session, out, arguments, signs, sounds, BY_BOARD)


def _timed(
    session: Path,
    out: Path,
    arguments: Mapping[str, str],
    signs: Floats,
    sounds: Fronts,
    rules: SoundRules,
) -> Outputs:
    from lab.tasks.films import find_film, open_film
    from shared.alf.io import save
    from shared.science.video import quality
    from shared.science.video.frame_data import read_frame_data
    from shared.science.video.frame_times import BY_BOARD, frame_times

    camera, folder = arguments["camera"], session / arguments["collection"]
    data = read_frame_data(folder, camera)
    with open_film(find_film(folder, camera)) as film:
        header = film.header
        samples = film.samples(quality.samples_of(header.n_frames))
    timed = frame_times(signs, header.n_frames, data, sounds, rules)
    log.info(
        "%d frames by %s: %d pulses before the film, %d frames lost in it, %d without a pulse",
        header.n_frames, timed.method, timed.n_before, timed.n_lost, timed.n_extrapolated,
    )  # fmt: skip
    film_facts = quality.FilmFacts(
        header.n_frames, header.fps, header.width, header.height, samples
    )
    expected = quality.expected_of(camera, rules is BY_BOARD, _description(session))
    checks = quality.checks_of(camera, film_facts, timed.times, data, sounds, expected)
    name = f"video{camera.capitalize()}"
    summary = quality.told(name, checks)
    summary |= {
        f"_sync_{camera}Camera_{name}": value
        for name, value in {
            "method": timed.method,
            "pulses_before": float(timed.n_before),
            "frames_without_pulse": float(timed.n_extrapolated),
        }.items()
    }
    bad = sorted(name for name, one in checks.items() if one[0] in ("FAIL", "CRITICAL"))
    log.info("quality: %s%s", summary[name], (bad and f", by {bad}") or "")
    path = save(out / "alf" / f"_ibl_{camera}Camera.times.npy", timed.times)
    return Outputs([path], RunFacts(extended_qc=summary))


def _description(session: Path) -> Mapping[str, Any] | None:
    from lab.tasks.run import description_of

    return description_of(session)


def motion(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Measure the motion in each frame of a film, and compare its wheel with the encoder.

    Raises
    ------
    ExtractionError
        The film cannot be read.
    """
    from lab.tasks.films import find_film, open_film
    from shared.alf.io import load, save
    from shared.science.video import motion, quality

    camera = arguments["camera"]
    with open_film(find_film(session / arguments["collection"], camera)) as film:
        size = film.header.width, film.header.height
        parts = [motion.mouse_part(camera, *size), motion.wheel_part(*size)]
        energy = motion.motion_energy(film.frames(), parts)
    at = np.asarray(load(session / "alf" / f"_ibl_{camera}Camera.times.npy"), float)
    summary: dict[str, Any] = {}
    if camera in motion.WITH_WHEEL and (wheel := _wheel(session)):
        offset = motion.wheel_offset(energy[:, 1], at, *wheel)
        log.info("the wheel in the film is %s frames behind its encoder", offset)
        checked = quality.wheel_alignment(offset)
        name = f"_video{camera.capitalize()}_wheel_alignment"
        summary[name] = checked if len(checked) > 1 else checked[0]
    alf = out / "alf"
    paths = [
        save(alf / f"{camera}Camera.ROIMotionEnergy.npy", energy[:, 0]),
        save(alf / f"{camera}ROIMotionEnergy.position.npy", parts[0].array()),
    ]
    return Outputs(paths, RunFacts(extended_qc=summary))


def _wheel(session: Path) -> tuple[Floats, Floats] | None:
    """Return times and positions of the first protocol's wheel."""
    from shared.alf.io import load

    for path in sorted(session.glob("alf/**/_ibl_wheel.timestamps.npy")):
        position = path.with_name("_ibl_wheel.position.npy")
        if position.is_file():
            return np.asarray(load(path), float), np.asarray(load(position), float)
    return None


def _pose_table(session: Path, camera: str) -> Path | None:
    """Return the pose table of a camera, from any tracker."""
    tables = (
        path
        for kind in POSES
        for path in sorted(session.glob(f"alf/**/*{camera}Camera.{kind}.pqt"))
    )
    return next(tables, None)


POSES = ("lightningPose", "dlc", "pose")
"""Attributes of pose tables; the first one that exists is read."""


def features(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs | None:
    """Find licks and the width of the pupil in the trackers' points of each camera; judge them.

    Returns
    -------
    Outputs or None
        No file for tables without a tongue and a pupil; None without any table.

    Raises
    ------
    RawFileInvalid
        A table has more frames than its film has times, or is not a pose table.
    """
    import pandas as pd

    from shared.alf.io import load, save
    from shared.science.errors import RawFileInvalid
    from shared.science.video import pose, pose_quality

    written: list[Path] = []
    seen: list[Floats] = []
    summary: dict[str, Any] = {}
    stimuli = _stimuli(session)
    for path in sorted(session.glob("alf/*Camera.times.npy")):
        camera = path.name.removesuffix("Camera.times.npy").rpartition("_")[2]
        table = _pose_table(session, camera)
        if table is None:
            continue
        read = pd.read_parquet(table)
        points = pose.points_of({str(name): read[name] for name in read}, table.name)
        at = np.asarray(load(path), float)
        n = len(next(iter(points.values())))
        if n > at.size:
            raise RawFileInvalid(
                table.name, f"{n} frames, but only {at.size} have times",
                "have the tracker run on the film that is registered here",
            )  # fmt: skip
        licked = pose.licks(points, at)
        if licked is not None:
            seen.append(licked)
        width = pose.pupil_diameter(points) if camera in pose.SMOOTHED else None
        smooth = None if width is None else pose.smooth_pupil(width, camera)
        tracker = table.stem.rpartition(".")[2]
        summary |= pose_quality.summary_of(
            pose_quality.Pose(camera, tracker, points, at, width, smooth, stimuli)
        )
        if width is not None:
            columns = {"raw": width, "smooth": smooth}
            content = pd.DataFrame({f"pupilDiameter_{k}": v for k, v in columns.items()})
            written.append(save(out / "alf" / f"_ibl_{camera}Camera.features.pqt", content))
    if seen:
        licks = np.sort(np.concatenate(seen))
        log.info("%d licks", licks.size)
        written.append(save(out / "alf" / "licks.times.npy", licks))
    return Outputs(written, RunFacts(extended_qc=summary)) if summary else None


def _stimuli(session: Path) -> Floats | None:
    """Return when the stimuli of the first protocol with trials appeared (s)."""
    import pyarrow.parquet as pq

    name = "stimOn_times"
    for path in sorted(session.glob("alf/**/_ibl_trials.table.pqt")):
        with pq.ParquetFile(path) as table:
            if name in table.schema_arrow.names:
                return np.asarray(table.read(columns=[name]).column(name), float)
    return None
