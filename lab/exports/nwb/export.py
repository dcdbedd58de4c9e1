"""A session's two files: processed data, and raw recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from pynwb import NWBFile

from lab.exports.nwb import names
from lab.exports.nwb.backends import Backend, put_in_place, remove
from lab.exports.nwb.board import BoardRecording, add_board, board_of
from lab.exports.nwb.cameras import add_tracking, add_videos, beside, has_videos
from lab.exports.nwb.check import check
from lab.exports.nwb.file import new_file
from lab.exports.nwb.passive import add_passive
from lab.exports.nwb.probes import Electrodes, add_probe
from lab.exports.nwb.recordings import (
    Notice,
    ProbeRecording,
    add_recording,
    has_recordings,
    recordings_of,
)
from lab.exports.nwb.sync import add_sync
from lab.exports.nwb.trials import add_trials
from lab.exports.nwb.units import add_units, chosen_sortings, peak_channels
from lab.exports.nwb.wheel import add_wheel
from lab.exports.session import ExportError, ExportSession


class Written(msgspec.Struct, frozen=True):
    """A written file.

    Attributes
    ----------
    path : Path
    kind : {'raw', 'processed'}
    holds : tuple of str
        Names of its contents.
    suggestions : tuple of str
        Suggestions of the inspector.
    """

    path: Path
    kind: str
    holds: tuple[str, ...]
    suggestions: tuple[str, ...] = ()


def export_processed(
    session: ExportSession, out: Path, backend: Backend, *, checked: bool = True
) -> Written:
    """Write behaviour, tracking and units of a session.

    Parameters
    ----------
    session : ExportSession
    out : path
        Folder below which ``sub-X/sub-X_ses-Y_…`` is written.
    backend : Backend
    checked : bool
        Whether to refuse a file that an archive would refuse, see `check`.

    Raises
    ------
    ExportError
        The session has nothing to write, files contradict each other, or an archive would refuse
        the result; nothing is written then.
    """
    nwb = new_file(session.facts, names.PROCESSED)
    add_trials(nwb, session)
    add_wheel(nwb, session)
    add_tracking(nwb, session)
    add_passive(nwb, session)
    electrodes = {
        probe: add_probe(nwb, session, probe, None, _named_channels(session, probe))
        for probe in chosen_sortings(session)
    }
    add_units(nwb, session, electrodes)
    behaviour = bool(nwb.trials is not None or nwb.processing)
    modalities = ["behavior"] * behaviour + ["ecephys"] * (nwb.units is not None)
    if not modalities:
        raise ExportError(
            f"{session.facts.reference} has no trials, wheel or sorted spikes: let its tasks run "
            "first (`fornix task run`)"
        )
    stem = out / names.stem(
        session.facts.subject.nickname, session.facts.id, names.PROCESSED, modalities
    )
    return _finish(nwb, stem, names.PROCESSED, backend, checked)


def export_raw(
    session: ExportSession,
    out: Path,
    backend: Backend,
    notice: Notice | None = None,
    *,
    checked: bool = True,
) -> Written:
    """Write the raw recordings of a session, and its videos beside the file.

    A recording is read and written one compressed chunk at a time.

    Parameters
    ----------
    session, out, backend, checked
        As for :func:`export_processed`.
    notice : callable, optional
        Called with the progress.

    Raises
    ------
    ExportError
        As for :func:`export_processed`; or the session has neither recording nor video.
    """
    raw = raw_file(session)
    stem = out / raw_stem(session)
    try:
        raw.add(lambda recording: backend.compressed(recording.chunks(notice)))
        stem.parent.mkdir(parents=True, exist_ok=True)
        add_videos(raw.nwb, session, beside(session, stem))
        return _finish(raw.nwb, stem, names.RAW, backend, checked)
    finally:
        raw.close()


def has_raw(session: ExportSession) -> bool:
    """Return whether a session has what its raw file holds: recordings of probes, or videos."""
    return has_recordings(session) or has_videos(session)


def raw_stem(session: ExportSession) -> str:
    """Return the path of a session's raw file without its extension."""
    modality = "ecephys" if has_recordings(session) else "image"
    return names.stem(session.facts.subject.nickname, session.facts.id, names.RAW, [modality])


class RawFile(msgspec.Struct):
    """A raw file in the making.

    Attributes
    ----------
    session : ExportSession
    nwb : NWBFile
        With probes and electrodes.
    probes : list of ProbeRecording
    electrodes : dict
        Electrodes by probe.
    board : BoardRecording, optional
    """

    session: ExportSession
    nwb: NWBFile
    probes: list[ProbeRecording]
    electrodes: dict[str, Electrodes]
    board: BoardRecording | None = None

    @property
    def recordings(self) -> list[ProbeRecording | BoardRecording]:
        """All open recordings."""
        return [*self.probes, *([self.board] if self.board else [])]

    def add(self, data_of: Callable[[Any], Any]) -> None:
        """Add recordings and lines; `data_of` returns the samples of a recording for the file."""
        for probe in self.probes:
            place = self.electrodes[probe.probe]
            add_recording(self.nwb, self.session, probe, place, data_of(probe))
        if self.board:
            add_board(self.nwb, self.board, data_of(self.board))
        add_sync(self.nwb, self.session)

    def close(self) -> None:
        """Close the recordings."""
        for recording in self.recordings:
            recording.reader.close()


def raw_file(session: ExportSession) -> RawFile:
    """Return a raw file with probes and electrodes, and the recordings for it.

    Raises
    ------
    ExportError
        As for :func:`export_raw`.
    """
    if not has_raw(session):
        raise ExportError(
            f"{session.facts.reference} has no compressed recording (.ebin or .cbin) and no "
            "video: `fornix codec compress` makes a recording of a .bin"
        )
    raw = RawFile(session, new_file(session.facts, names.RAW), recordings_of(session), {})
    try:
        raw.board = board_of(session)
        for recording in raw.probes:
            if recording.probe not in raw.electrodes:
                raw.electrodes[recording.probe] = add_probe(
                    raw.nwb, session, recording.probe, recording.sites, recording.channels
                )
    except BaseException:
        raw.close()
        raise
    return raw


def _named_channels(session: ExportSession, probe: str) -> int:
    """Return the smallest number of channels of a probe that its units imply."""
    files = session.first("clusters", chosen_sortings(session)[probe].collection)
    if files is None or "channels" not in files.files:
        return 1
    channels = peak_channels(session.load(files, ("channels",)))
    if session.first("channels", files.collection) is not None:
        return 0
    return int(channels.max(initial=0)) + 1


def _finish(nwb: NWBFile, stem: Path, kind: str, backend: Backend, checked: bool) -> Written:
    """Write, check and name a file; a refused file is removed."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    target = stem.with_name(stem.name + backend.ending)
    partial = stem.with_name(f".{stem.name}.partial{backend.ending}")
    remove(partial)
    holds = _contents(nwb)
    try:
        backend.write(nwb, partial)
        suggestions = check(partial, backend) if checked else []
        put_in_place(partial, target)
    finally:
        remove(partial)
    return Written(target, kind, holds, tuple(suggestions))


def _contents(nwb: NWBFile) -> tuple[str, ...]:
    tables = [name for name in ("trials", "units") if getattr(nwb, name) is not None]
    return (*tables, *nwb.processing, *nwb.acquisition)
