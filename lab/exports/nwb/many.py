"""Many sessions as NWB: one after the other, gone on with where a former run stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from lab.exports.many import SessionToExport
from lab.exports.nwb.backends import Backend
from lab.exports.nwb.export import Written, export_processed, export_raw
from lab.exports.nwb.recordings import Notice, has_recordings
from lab.exports.session import ExportError, ExportSession
from shared.alf import ALFError
from shared.codec import CodecError
from shared.model import json

STATE = ".fornix-nwb.json"
"""In the folder of an export: what is in it already, by session."""


class Exported(msgspec.Struct, frozen=True):
    """What became of a session.

    Attributes
    ----------
    session : str
    did : {'written', 'kept', 'failed'}
    files : tuple of str
        Below the export's folder.
    why : str
        Of a session that could not be exported.
    suggestions : tuple of str
    """

    session: str
    did: str
    files: tuple[str, ...] = ()
    why: str = ""
    suggestions: tuple[str, ...] = ()


class _Kept(msgspec.Struct, frozen=True):
    """A session that is in the folder: of what content, in which way, by which files."""

    content: str
    way: str
    files: tuple[str, ...]


def export_many(
    sessions: Iterable[SessionToExport],
    out: Path,
    backend: Backend,
    *,
    raw: bool,
    checked: bool = True,
    notice: Notice | None = None,
) -> Iterator[Exported]:
    """Export sessions, and yield what became of each; one that fails stops no other.

    What a former run exported of the same content, in the same way, is kept. What is downloaded
    of a session is removed after it, so that the disk holds one session's at a time.

    Parameters
    ----------
    sessions : iterable of SessionToExport
    out : path
    backend : Backend
    raw : bool
        Whether raw recordings and videos are exported, too, of sessions that have some.
    checked : bool
    notice : callable, optional
        Told of progress within recordings.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = _read(out / STATE)
    way = f"{backend.ending} raw={raw} checked={checked}"
    for one in sessions:
        known = state.get(one.reference)
        if known and (known.content, known.way) == (one.content, way) and _are_there(known, out):
            yield Exported(one.reference, "kept", known.files)
            continue
        try:
            with TemporaryDirectory(prefix="fornix-export-") as scratch:
                written = _export(
                    one.open(Path(scratch)), out, backend, raw=raw, checked=checked, notice=notice
                )
        except (ExportError, ALFError, CodecError) as error:
            yield Exported(one.reference, "failed", why=str(error))
            continue
        files = tuple(each.path.relative_to(out).as_posix() for each in written)
        state[one.reference] = _Kept(one.content, way, files)
        _write(out / STATE, state)
        told = tuple(text for each in written for text in each.suggestions)
        yield Exported(one.reference, "written", files, suggestions=told)


def _export(
    session: ExportSession,
    out: Path,
    backend: Backend,
    *,
    raw: bool,
    checked: bool,
    notice: Notice | None,
) -> list[Written]:
    written = [export_processed(session, out, backend, checked=checked)]
    if raw and has_recordings(session):
        written.append(export_raw(session, out, backend, notice, checked=checked))
    return written


def _are_there(known: _Kept, out: Path) -> bool:
    return all((out / name).exists() for name in known.files)


def _read(path: Path) -> dict[str, _Kept]:
    try:
        found: dict[str, _Kept] = json.decode(path.read_bytes(), dict[str, _Kept])
    except (OSError, ValueError):  # none, or torn: all is exported again
        return {}
    return found


def _write(path: Path, state: dict[str, _Kept]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(json.encode(state))
    os.replace(partial, path)
