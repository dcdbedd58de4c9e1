"""``fornix import``: the commands."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from lab.client import Settings, settings
from lab.commands.importing import common, make_release, run_import, scratch, uploader
from lab.importers.carrier import Carrier
from lab.importers.sessions import Repository

if TYPE_CHECKING:
    from lab.importers.bytes import Mover

_place_options = [
    click.option("--lab", help="Lab of sessions for which the source names none."),
    click.option("--repository", metavar="NAME", help="Data repository in which bytes stay."),
    click.option("--url", metavar="URL", help="Address under which the repository is served."),
]


_byte_options = [
    click.option("--upload", is_flag=True, help="Bring the bytes too, not only their addresses."),
    click.option("--data-user", envvar="ALYX_DATA_USER", help="User of the data server."),
    click.option("--data-password", envvar="ALYX_DATA_PWD", help="[env: ALYX_DATA_PWD]"),
    click.option("--data-server", metavar="URL", help="The server that these two are for."),
]


def _with_bytes(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_byte_options):
        command = option(command)
    return command


def _with_place(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_place_options):
        command = option(command)
    return command


@click.group("import")
def import_() -> None:
    """Bring an Alyx, ONE tables or a folder into Fornix, keeping all ids.

    An import may be interrupted at any time: the same command goes on where it stopped, and may
    be repeated when it is done. The server is that of `fornix login`; the account must be an
    administrator's. Exit code 0: all carried; 1: something could not be, see the report.
    """


@import_.command("alyx")
@click.argument("source_url", metavar="URL")
@click.option("--user", envvar="ALYX_LOGIN", help="Alyx user name. [env: ALYX_LOGIN]")
@click.option("--password", envvar="ALYX_PWD", help="[env: ALYX_PWD; asked for if absent]")
@click.option("--token", envvar="ALYX_TOKEN", help="Alyx token instead. [env: ALYX_TOKEN]")
@click.option("--rate", default=8.0, show_default=True, help="Requests per second at most.")
@click.option(
    "--server-timezone",
    metavar="ZONE",
    help="Time zone of the Alyx server, e.g. Europe/London: weighings, waterings and surgeries"
    " are turned into the lab's time. [default: they are the lab's already]",
)
@_with_bytes
@common
def import_alyx(
    source_url: str,
    user: str | None,
    password: str | None,
    token: str | None,
    rate: float,
    server_timezone: str | None,
    upload: bool,
    data_user: str | None,
    data_password: str | None,
    data_server: str | None,
    **common: Any,
) -> None:
    """Copy a running Alyx through its REST API.

    Bytes stay where they are, in data repositories with their addresses, unless --upload is given.

    Example: fornix import alyx https://alyx.example.org --user ada --dry-run
    """
    from lab.importers.alyx import AlyxImport
    from lab.importers.alyx_source import AlyxSource, NoAlyx

    if not token:
        user = user or click.prompt("Alyx user name")
        password = password or click.prompt("Alyx password", hide_input=True)
    account = Settings(source_url.rstrip("/"), user, password, token)
    if account.url == settings().url:
        raise click.UsageError("source and target are the same server")
    zone = _zone(server_timezone)
    make_mover = _mover(upload, data_user, data_password, data_server)

    def job(carrier: Carrier) -> None:
        mover = make_mover(carrier)
        try:
            AlyxImport(AlyxSource(account, rate=rate), carrier, zone, mover).run()
        except NoAlyx as error:
            raise click.ClickException(str(error)) from error

    run_import(job, f"alyx {account.url}", **common)


@import_.command("dump")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--server-timezone",
    metavar="ZONE",
    help="Time zone of the Alyx server, e.g. Europe/London: weighings, waterings and surgeries"
    " are turned into the lab's time. [default: they are the lab's already]",
)
@click.option(
    "--only",
    metavar="MODEL",
    multiple=True,
    help="Carry these models alone, e.g. subjects.subject or weighings; may be given again.",
)
@click.option(
    "--media",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Alyx's folder of uploaded files, for the pictures of notes.",
)
@common
def import_dump(
    file: Path,
    server_timezone: str | None,
    only: tuple[str, ...],
    media: Path | None,
    **common: Any,
) -> None:
    """Carry a dump of Alyx's database, with all that its REST API does not show.

    FILE is what `python manage.py dumpdata --natural-foreign` writes, as JSON or JSON Lines, or
    its .gz. Passwords, tokens and access keys are never copied. Every row of the file is carried
    or named in the report.

    Example: fornix import dump alyx.json.gz --dry-run
    """
    from lab.importers.dump.job import DumpImport
    from lab.importers.dump.models import ORDER
    from lab.importers.dump.reading import BadDump

    zone = _zone(server_timezone)
    names = {name for model in ORDER for name in (model.name, model.resource)}
    if unknown := set(only) - names:
        hint = f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
        raise click.BadParameter(hint, param_hint="--only")

    def job(carrier: Carrier) -> None:
        path = carrier.journal.path
        shelf = path and path.with_suffix(".dump")
        try:
            DumpImport(file, carrier, shelf, zone, only, media).run()
        except BadDump as error:
            raise click.ClickException(f"{error}; nothing was sent") from error
        if shelf:
            shelf.unlink()

    run_import(job, " ".join(["dump", str(file.resolve()), *sorted(only)]), **common)


@import_.command("one")
@click.argument("tables", type=click.Path(exists=True, path_type=Path))
@_with_bytes
@click.option("--plain-names", is_flag=True, help="Files there have no UUIDs in their names.")
@_with_place
@common
def import_one(
    tables: Path,
    lab: str | None,
    repository: str | None,
    url: str | None,
    plain_names: bool,
    upload: bool,
    data_user: str | None,
    data_password: str | None,
    data_server: str | None,
    **common: Any,
) -> None:
    """Register what ONE cache tables list: a folder with sessions.pqt and datasets.pqt, or a zip.

    The bytes stay where they are; say where with --repository and --url, for example
    --repository flatiron --url https://ibl.flatironinstitute.org/public. With --upload they are
    fetched from there.
    """
    from lab.importers.one_tables import NoTables, TablesImport, open_tables

    place = _repository(repository, url, plain_names)
    if upload and not url:
        raise click.UsageError("--upload needs --url: where to fetch the bytes")
    make_mover = _mover(upload, data_user, data_password, data_server or url)

    def job(carrier: Carrier) -> None:
        mover = make_mover(carrier)
        try:
            with open_tables(tables) as (sessions, datasets):
                if place is None:
                    carrier.journal.note("no --repository: datasets have no place to load from")
                TablesImport(sessions, datasets, carrier, place, lab, mover).run()
        except NoTables as error:
            raise click.ClickException(str(error)) from error

    run_import(job, f"one {tables.resolve()}", **common)


@import_.command("folder")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--upload", is_flag=True, help="Upload the bytes.")
@click.option("--release", is_flag=True, help="Make the release that PATH is a copy of, too.")
@_with_place
@common
def import_folder(
    path: Path,
    release: bool,
    lab: str | None,
    repository: str | None,
    url: str | None,
    upload: bool,
    **common: Any,
) -> None:
    """Register an ALF tree on disk: [lab/Subjects/]subject/YYYY-MM-DD/number/...

    Either the bytes stay where they are (--repository names the place, --url is the address that
    serves PATH), or they are uploaded (--upload), or both. Of a copy of a release (a mirror, or an
    unpacked zip), --release makes the release, too; `fornix release publish` publishes it.
    """
    from lab.importers.folder import FolderImport
    from lab.importers.known import ids_in
    from shared.releases.copy import BESIDE
    from shared.releases.manifest import BadManifest

    upload = upload or release
    if repository is None and not upload:
        raise click.UsageError("give --upload, or say with --repository where the bytes stay")
    place = _repository(repository, url, plain_names=True)

    def job(carrier: Carrier) -> None:
        bringing = uploader(carrier) if upload else None
        try:
            known_ids = ids_in(path)
        except BadManifest as error:
            raise click.ClickException(str(error)) from None
        FolderImport(path, carrier, place, lab, bringing, known_ids, BESIDE).run()
        if release and not carrier.dry_run:
            make_release(path)

    run_import(job, f"folder {path.resolve()}", **common)


@import_.command("zip")
@click.argument(
    "zips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--lab", help="Lab of sessions for which the zip names none.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to unpack.  [default: beside the journal, removed at the end]",
)
@common
def import_zip(
    zips: tuple[Path, ...], lab: str | None, folder: Path | None, **common: Any
) -> None:
    """Unpack a zip in the ONE convention, register its sessions and upload their bytes.

    Give all parts of a zip in parts. Ids are those that the zip tells (manifest.json, or ONE's
    tables), else they follow from the names. A hostile zip is refused before a byte is written.

    Example: fornix import zip paper.part01.zip paper.part02.zip
    """
    from lab.importers.folder import FolderImport
    from lab.importers.known import ids_in
    from lab.releases.unpack import HostileZip, unpack
    from shared.releases.copy import BESIDE
    from shared.releases.manifest import BadManifest

    def job(carrier: Carrier) -> None:
        target = folder or scratch(carrier.journal).with_suffix(".unpacked")
        try:
            unpack(zips, target)
            known_ids = ids_in(target)
            FolderImport(target, carrier, None, lab, uploader(carrier), known_ids, BESIDE).run()
        except (HostileZip, BadManifest, zipfile.BadZipFile) as error:
            raise click.ClickException(str(error)) from None
        if folder is None:
            shutil.rmtree(target)

    run_import(job, f"zip {' '.join(str(path.resolve()) for path in zips)}", **common)


@import_.command("dandi")
@click.argument("what", metavar="DANDISET|FOLDER|FILE")
@click.option("--lab", help="Lab of files whose own is no name of a lab.")
@click.option("--path", "pattern", default="*.nwb", show_default=True, help="Which files.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where files and sessions are laid.  [default: beside the journal, removed at the end]",
)
@click.option(
    "--api",
    "api_url",
    envvar="DANDI_API_URL",
    default="https://api.dandiarchive.org/api",
    show_default=True,
    help="Address of the archive's API.",
)
@click.option("--api-key", envvar="DANDI_API_KEY", help="[env: DANDI_API_KEY]")
@common
def import_dandi(
    what: str,
    lab: str | None,
    pattern: str,
    folder: Path | None,
    api_url: str,
    api_key: str | None,
    **common: Any,
) -> None:
    """Turn NWB files into sessions: trials, wheel and sorted spikes, in the ONE convention.

    What `fornix export nwb` and IBL-to-nwb write comes back as it went in. Of other laboratories'
    files the trials keep their columns in a table of their own, and units their spike times; what
    stays in the files is named in the report. Needs the extra [nwb].

    Example: fornix import dandi 000409 --path 'sub-SWC-054/*behavior*.nwb'
    """
    from lab.importers.folder import FolderImport
    from lab.importers.nwb.dandi import DandiError, Dandiset
    from shared.releases.copy import BESIDE

    try:
        from lab.importers.nwb.job import NwbImport
    except ImportError as error:
        raise click.ClickException(f"pip install 'fornix[nwb]' ({error})") from None

    def files(target: Path) -> list[Path]:
        local = Path(what)
        if local.is_dir():
            return sorted(entry for entry in local.rglob("*.nwb") if entry.match(pattern))
        if local.exists():
            return [local]
        dandiset = Dandiset(what, api_url, api_key)
        return [dandiset.fetch(entry, target) for entry in dandiset.assets(pattern)]

    def job(carrier: Carrier) -> None:
        target = folder or scratch(carrier.journal).with_suffix(".nwb")
        sessions = target / "sessions"
        try:
            known_ids = NwbImport(carrier, sessions, lab).lay_out(files(target / "files"))
        except DandiError as error:
            raise click.ClickException(str(error)) from error
        sessions.mkdir(parents=True, exist_ok=True)
        FolderImport(sessions, carrier, None, lab, uploader(carrier), known_ids, BESIDE).run()
        if folder is None:
            shutil.rmtree(target)

    run_import(job, f"dandi {what}", **common)


def _mover(
    upload: bool, user: str | None, password: str | None, server: str | None
) -> Callable[[Carrier], Mover | None]:
    """Return a factory of the mover of bytes, for use once a journal exists."""
    from lab.importers.bytes import Fetcher, Mover

    if password and not (user and server):
        raise click.UsageError("--data-password needs --data-user and --data-server")
    account = (user or "", password) if password else None

    def make(carrier: Carrier) -> Mover | None:
        if not upload:
            return None
        return Mover(uploader(carrier), Fetcher(scratch(carrier.journal), account, server))

    return make


def _zone(name: str | None) -> ZoneInfo | None:
    """Return the time zone of --server-timezone."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--server-timezone") from error


def _repository(name: str | None, url: str | None, plain_names: bool) -> Repository | None:
    if name is None and url is not None:
        raise click.UsageError("--url needs --repository: the name of what is served there")
    return None if name is None else Repository(name, url, plain_names)
