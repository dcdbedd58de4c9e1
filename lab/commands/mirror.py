"""``fornix mirror``: a verified, incremental copy of a release or of all releases of a server."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("what", metavar="URL|NAME[@VERSION]")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read and compare what is there already, too.")
@click.option("--dry-run", is_flag=True, help="Tell what would be mirrored.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per release.")
def mirror(what: str, folder: Path, check: bool, dry_run: bool, as_json: bool) -> None:
    """Copy a release, or all public releases of a server, into FOLDER; again: only what is new.

    Give a release (its address, or NAME of the server of `fornix login`): FOLDER is then what its
    zip unpacks to. Or give the address of a server's API: FOLDER has NAME/VERSION for each of its
    releases, and files that versions share are there once. Every file is proved by its checksum.
    A killed run goes on, within a file too. Another Fornix takes a copy up with
    `fornix import folder FOLDER --upload`, keeping all ids.

    Example: fornix mirror https://api.example.org/v1/releases/2026_Paper paper
    """
    from lab.commands.zip_ import bar
    from lab.releases.mirror import Mirrored, OtherRelease, mirror_release, mirror_server
    from lab.releases.remote import NoRelease, ReleaseServer, find_release, parse_address
    from shared.model.json import plain

    done: list[Mirrored] = []
    try:
        whole = what.startswith(("http://", "https://")) and parse_address(what) is None
    except NoRelease:
        whole = True
    if dry_run:
        records = ReleaseServer(what).releases() if whole else [find_release(what)[1]]
        for record in records:
            click.echo(f"would mirror {record.key}: {record.n_files:,} files, {record.size:,} B")
        return
    try:
        with bar("Mirrored", as_json) as seen:
            if whole:
                for copy in mirror_server(ReleaseServer(what), folder, trust=not check, seen=seen):
                    done.append(copy)
            else:
                server, record = find_release(what)
                done.append(mirror_release(server, record, folder, trust=not check, seen=seen))
    except OtherRelease as error:
        raise click.ClickException(str(error)) from None
    for copy in done:
        if as_json:
            click.echo(json.dumps(plain(copy)))
            continue
        click.echo(
            f"{copy.key}: {copy.fetched} files fetched ({copy.size:,} B), {copy.kept} there, "
            f"{copy.linked} shared, {copy.removed} removed"
        )
        for fault in copy.faults:
            click.echo(f"  {fault}")
    raise SystemExit(1 if any(copy.faults for copy in done) else 0)
