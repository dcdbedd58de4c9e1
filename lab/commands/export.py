"""``fornix export``: sessions in the formats of other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from lab.commands.output import SESSIONS_FOLDER

if TYPE_CHECKING:
    from lab.exports.many import SessionToExport
    from lab.exports.nwb.export import Written
    from lab.exports.session import ExportSession


@click.group()
def export() -> None:
    """Write sessions in the formats of other tools."""


@export.command()
@click.argument("what", metavar="SESSION|RELEASE|FOLDER")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("nwb"),
    show_default=True,
    help="Folder below which sub-SUBJECT/sub-…_ses-….nwb is written.",
)
@click.option("--raw", is_flag=True, help="The raw recordings and videos, too.")
@click.option(
    "--reference",
    is_flag=True,
    help="The raw recordings by reference: a JSON that points into the compressed files.",
)
@click.option("--backend", type=click.Choice(["hdf5", "zarr"]), default="hdf5", show_default=True)
@click.option(
    "--compress/--no-compress", default=True, help="Whether recordings are compressed (gzip)."
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps what is downloaded; by default it is removed at the end.",
)
@click.option("--sex", type=click.Choice(["M", "F", "U", "O"]), help="What records do not tell.")
@click.option("--birth-date", type=click.DateTime(["%Y-%m-%d"]), help="Likewise.")
@click.option("--species", help="Likewise; a Latin binomial.")
@click.option("--institution", help="Likewise.")
@click.option("--timezone", help="Likewise, of the lab: Europe/London.")
@click.option("--session-id", help="Likewise; a UUID.")
@click.option("--check/--no-check", default=True, help="Whether files are held against DANDI.")
@click.option("--dry-run", is_flag=True, help="Say what would be written from what.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
def nwb(
    what: str,
    out: Path,
    raw: bool,
    reference: bool,
    backend: str,
    compress: bool,
    cache: Path | None,
    sex: str | None,
    birth_date: datetime | None,
    species: str | None,
    institution: str | None,
    timezone: str | None,
    session_id: str | None,
    check: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write sessions as NWB files, ready for DANDI.

    SESSION is an id or SUBJECT/DATE/NUMBER on the server; RELEASE is NAME@VERSION, NAME@latest or
    an address API/releases/NAME; FOLDER is LAB/Subjects/SUBJECT/DATE/NNN on this computer, or a
    folder of many such, as a release's copy is. Of a release or folder a run that was stopped
    goes on, and one session that fails stops no other (exit code 1). Each file is validated by
    pynwb, and inspected by nwbinspector with DANDI's configuration; one that an archive would
    refuse is not kept.

    Example: fornix export nwb SWC_054/2020-03-01/001 --raw --out 000409

    Example: fornix export nwb 2026_Paper@1 --raw --out 000409
    """
    from lab.exports.nwb.backends import backend as backend_of
    from lab.exports.nwb.export import export_processed, export_raw
    from lab.exports.session import ExportError
    from shared.alf import ALFError
    from shared.codec import CodecError

    facts = {
        "sex": sex,
        "birth_date": birth_date.date().isoformat() if birth_date else None,
        "species": species,
        "institution": institution,
        "timezone": timezone,
        "session_id": session_id,
    }
    facts = {name: value for name, value in facts.items() if value}
    try:
        if (many := _many(what, facts)) is not None:
            if cache:
                raise click.UsageError("--cache is for single sessions")
            way = backend_of(backend, compress=compress)
            _export_all(many, out, way, raw, reference, check, dry_run, as_json)
            return
        with _session(what, facts, cache) as session:
            if dry_run:
                _plan(session, as_json)
                return
            way = backend_of(backend, compress=compress)
            _tell(export_processed(session, out, way, checked=check), as_json)
            if raw:
                notice = None if as_json else _progress()
                _tell(export_raw(session, out, way, notice, checked=check), as_json)
            if reference:
                from lab.exports.nwb.reference import export_reference

                _tell(export_reference(session, out), as_json)
    except (ExportError, ALFError, CodecError) as error:
        raise click.ClickException(str(error)) from error


@export.command("sql")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@SESSIONS_FOLDER
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps what is downloaded; by default it is removed at the end.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object an animal.")
def sql_tables(out: Path, sessions: Path | None, cache: Path | None, as_json: bool) -> None:
    """Write tables for SQL into a folder: of all that your account may see, or of a folder.

    Run again, it makes anew only what changed. Ask them by `fornix sql --tables OUT "SELECT …"`.
    """
    from lab.exports.datajoint.served import served_subjects
    from lab.exports.datajoint.sources import folder_subjects
    from lab.exports.session import ExportError
    from lab.exports.sql import write_tables
    from shared.alf import ALFError

    try:
        with TemporaryDirectory(prefix="fornix-export-") as scratch:
            if sessions is not None:
                subjects = folder_subjects(sessions)
            else:
                from lab.client import Client, settings

                subjects = served_subjects(Client(settings()), cache or Path(scratch))
            for nickname, did in write_tables(out, subjects):
                line = {"subject": nickname, "did": did}
                click.echo(json.dumps(line) if as_json else f"{did:9} {nickname}")
    except (ExportError, ALFError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _session(what: str, known: dict[str, Any], cache: Path | None) -> Iterator[ExportSession]:
    """Open a session by its folder, or by its name on the server."""
    if Path(what).is_dir():
        from lab.exports.folder import FolderSession

        yield FolderSession(Path(what), known)
        return
    from lab.client import Client, settings
    from lab.commands.publish import find_sessions
    from lab.exports.served import ServedSession

    client = Client(settings())
    sessions = find_sessions(client, what)
    if len(sessions) != 1:
        raise click.ClickException(
            f"{what} names {len(sessions)} sessions: give one, as SUBJECT/DATE/NUMBER"
        )
    record = client.get(f"/sessions/{sessions[0]['id']}")
    with TemporaryDirectory(prefix="fornix-export-") as scratch:
        yield ServedSession(client, record, cache or Path(scratch), known)


def _many(what: str, known: dict[str, Any]) -> list[SessionToExport] | None:
    """Return the sessions of a release, or of a folder of many; None for a single session."""
    from lab.exports.many import of_folder, of_release

    path = Path(what)
    if path.is_dir():
        sessions = list(of_folder(path, known))
        single = len(sessions) == 1 and path.resolve().parts[-2:] == _end(sessions[0].reference)
        return None if single or not sessions else sessions
    if not what.startswith(("http://", "https://")) and "@" not in what:
        return None
    from lab.client import Client, settings
    from lab.releases.remote import find_release

    server, record = find_release(what)
    client = Client(settings())
    if client.settings.url.rstrip("/") != server.url.rstrip("/"):
        raise click.ClickException(
            f"What is known of animals is asked of the server of `fornix login`, which is not "
            f"{server.url}: log in there, or mirror the release and give the folder"
        )
    return list(of_release(client, record, server.manifest(record), known))


def _end(reference: str) -> tuple[str, ...]:
    return tuple(reference.split("/")[-2:])


def _export_all(
    sessions: list[SessionToExport],
    out: Path,
    way: Any,
    raw: bool,
    reference: bool,
    check: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from lab.exports.nwb.many import export_many
    from shared.model.json import plain

    if dry_run:
        for session in sessions:
            line = {"session": session.reference, "size": session.size, "done": False}
            click.echo(json.dumps(line) if as_json else f"{session.reference}  {session.size:,} B")
        return
    failed = 0
    notice = None if as_json else _progress()
    done = export_many(
        sessions, out, way, raw=raw, reference=reference, checked=check, notice=notice
    )
    for number, exported in enumerate(done, 1):
        failed += exported.did == "failed"
        if as_json:
            click.echo(json.dumps(plain(exported)))
            continue
        click.echo(
            f"{exported.did:8}{exported.session}  {exported.why or ', '.join(exported.files)}"
        )
        for suggestion in exported.suggestions:
            click.echo(f"  suggestion: {suggestion}", err=True)
        click.echo(f"{number} of {len(sessions)}", err=True)
    if failed:
        raise click.ClickException(
            f"{failed} of {len(sessions)} sessions failed; put right what is said above, and the "
            "same command goes on with them"
        )


def _plan(session: ExportSession, as_json: bool) -> None:
    facts = session.facts
    if as_json:
        click.echo(json.dumps({"session": facts.id, "datasets": list(session.paths)}))
        return
    click.echo(f"{facts.reference} ({facts.id}) of {facts.lab}, {facts.protocol or 'no protocol'}")
    for path in session.paths:
        click.echo(f"  {path}")


def _tell(written: Written, as_json: bool) -> None:
    if as_json:
        line = {
            "path": str(written.path),
            "kind": written.kind,
            "holds": list(written.holds),
            "suggestions": list(written.suggestions),
        }
        click.echo(json.dumps(line))
        return
    click.echo(f"{written.path}  {', '.join(written.holds)}")
    for suggestion in written.suggestions:
        click.echo(f"  suggestion: {suggestion}", err=True)


def _progress() -> Any:
    """Return a listener that prints each tenth of a series."""
    tenths: dict[str, int] = {}

    def show(name: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenths.get(name) != tenth:
            tenths[name] = tenth
            click.echo(f"{name}: {tenth * 10} %", err=True)

    return show


@export.command("alyx-dump")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option("--dry-run", is_flag=True, help="Read everything, write nothing, count.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def alyx_dump(file: Path, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Write all records as a dump that `python manage.py loaddata FILE` of Alyx takes.

    The account must be an administrator's. Rows keep their ids; a name that ends in .gz is
    gzipped. The file appears when it is whole. Bytes are moved by `fornix mirror`.

    Example: fornix export alyx-dump everything.json.gz
    """
    from lab.client import Client, settings
    from lab.importers.dump.writing import FROM_FIXTURES, NOT_OF_ALYX, AlyxDump

    if file.exists() and not (overwrite or dry_run):
        raise click.ClickException(f"{file} is there; give --overwrite to replace it")
    dump = AlyxDump(Client(settings()))
    if dry_run:
        for _ in dump.rows():
            pass
    else:
        dump.write(file)
    left = [*NOT_OF_ALYX, FROM_FIXTURES]
    report = {"file": str(file), "rows": dump.counts, "notes": dump.notes, "left_out": left}
    if as_json:
        click.echo(json.dumps(report | {"dry_run": dry_run}, indent=1))
        return
    for model, n in dump.counts.items():
        click.echo(f"{n:>9,}  {model}")
    for text, n in dump.notes.items():
        click.echo(f"Note: {text} ({n:,}\u00d7)")
    click.echo(f"Not in it, since Alyx has no place for it or its own: {', '.join(left)}")
