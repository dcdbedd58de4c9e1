"""Export many sessions as NWB, one after the other; continue where a former run stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from lab.exports.many import SessionToExport
from lab.exports.nwb.backends import Backend
from lab.exports.nwb.export import Written, export_processed, export_raw, has_raw
from lab.exports.nwb.recordings import Notice
from lab.exports.nwb.reference import export_reference
from lab.exports.session import ExportError, ExportSession
from shared.alf import ALFError
from shared.codec import CodecError
from shared.model import json

STATE = ".fornix-nwb.json"
"""File in the folder of an export that lists its content, by session."""


class Exported(msgspec.Struct, frozen=True):
    """The result of one session.

    Attributes
    ----------
    session : str
    did : {'written', 'kept', 'failed'}
    files : tuple of str
        Paths below the export's folder.
    why : str
        Reason, if the session could not be exported.
    suggestions : tuple of str
    """

    session: str
    did: str
    files: tuple[str, ...] = ()
    why: str = ""
    suggestions: tuple[str, ...] = ()


class _Kept(msgspec.Struct, frozen=True):
    """An exported session in the folder: its content, its options, and its files."""

    content: str
    way: str
    files: tuple[str, ...]


def export_many(
    sessions: Iterable[SessionToExport],
    out: Path,
    backend: Backend,
    *,
    raw: bool,
    reference: bool = False,
    checked: bool = True,
    notice: Notice | None = None,
) -> Iterator[Exported]:
    """Export sessions, and yield the result of each; a failure stops no other session.

    A former run's export of the same content with the same options is kept. Downloads of a session
    are removed after it, so that the disk holds one session's at a time.

    Parameters
    ----------
    sessions : iterable of SessionToExport
    out : path
    backend : Backend
    raw : bool
        Whether to export raw recordings and videos, too, of sessions that have some.
    reference : bool
        Whether to write where these lie, see `lab.exports.nwb.reference`.
    checked : bool
    notice : callable, optional
        Called with the progress within recordings.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = _read(out / STATE)
    way = f"{backend.ending} raw={raw} checked={checked}" + " reference" * reference
    for session in sessions:
        former = state.get(session.reference)
        if (
            former
            and (former.content, former.way) == (session.content, way)
            and _are_there(former, out)
        ):
            yield Exported(session.reference, "kept", former.files)
            continue
        try:
            with TemporaryDirectory(prefix="fornix-export-") as scratch:
                written = _export(
                    session.open(Path(scratch)),
                    out,
                    backend,
                    raw=raw,
                    reference=reference,
                    checked=checked,
                    notice=notice,
                )
        except (ExportError, ALFError, CodecError) as error:
            yield Exported(session.reference, "failed", why=str(error))
            continue
        files = tuple(file.path.relative_to(out).as_posix() for file in written)
        state[session.reference] = _Kept(session.content, way, files)
        _write(out / STATE, state)
        suggestions = tuple(text for file in written for text in file.suggestions)
        yield Exported(session.reference, "written", files, suggestions=suggestions)


def _export(
    session: ExportSession,
    out: Path,
    backend: Backend,
    *,
    raw: bool,
    reference: bool,
    checked: bool,
    notice: Notice | None,
) -> list[Written]:
    written = [export_processed(session, out, backend, checked=checked)]
    if raw and has_raw(session):
        written.append(export_raw(session, out, backend, notice, checked=checked))
    if reference and has_raw(session):
        written.append(export_reference(session, out))
    return written


def _are_there(known: _Kept, out: Path) -> bool:
    return all((out / name).exists() for name in known.files)


def _read(path: Path) -> dict[str, _Kept]:
    try:
        state: dict[str, _Kept] = json.decode(path.read_bytes(), dict[str, _Kept])
    except (OSError, ValueError):  # missing or damaged: export all again
        return {}
    return state


def _write(path: Path, state: dict[str, _Kept]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(json.encode(state))
    os.replace(partial, path)
