"""``fornix zip``: a plain folder of sessions as a zip that ONE loads, without any server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from shared.model.release import Creator
    from shared.releases.copy import CopiedFile
    from shared.releases.proving import Blocks, Sums

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@click.command("zip")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: NAME.zip]")
@click.option("--name", help="Of the release.  [default: the folder's name]")
@click.option("--lab", help="Lab of sessions whose path names none.")
@click.option("--title", default="", help="Title.")
@click.option("--description", default="", help="50 to 5,000 characters are best.")
@click.option("--creator", "creators", multiple=True, metavar='"Family, Given;ORCID;AFFILIATION"')
@click.option("--licence", default="CC-BY-4.0", show_default=True, help="SPDX identifier.")
@click.option("--date", metavar="YYYY-MM-DD", help="Of the release.  [default: latest session's]")
@click.option("--part-size", help="Most bytes of a part, e.g. 20GB.  [default: one zip]")
@click.option("--dry-run", is_flag=True, help="Tell what would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def zip_folder(
    folder: Path,
    out: Path | None,
    name: str | None,
    lab: str | None,
    title: str,
    description: str,
    creators: tuple[str, ...],
    licence: str,
    date: str | None,
    part_size: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the sessions under FOLDER as a zip in the ONE convention, without any server.

    The zip has README, DataCite, checksums and the tables of the ONE client. The same folder
    gives the same bytes; a killed run goes on where it stopped.

    Example: fornix zip data/ --lab fimbrialab --out data.zip --creator "Garrett, Ada"
    """
    from lab.releases.folder import NothingToRelease, folder_release
    from lab.transfer import Changed
    from shared.model.release import ReleaseTerms, check_release_name
    from shared.releases.copy import copied_files
    from shared.releases.describe import ReleaseAddresses

    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_") or "release"
    people = tuple(creator(text) for text in creators)
    terms = ReleaseTerms(title, description, people, licence)
    try:
        check_release_name(name)
        made = folder_release(folder, name, terms, lab=lab, date=date)
    except (NothingToRelease, Changed, ValueError) as error:
        raise click.ClickException(str(error)) from None
    for left in made.left_out:
        click.echo(f"left out: {left.path}: {left.reason}", err=True)
    files = copied_files(made.manifest, ReleaseAddresses())
    write_parts(
        files,
        out or Path(f"{name}.zip"),
        made.blocks,
        parse_size(part_size),
        dry_run,
        as_json,
        sums=made.sums,
    )


def write_parts(
    files: Sequence[CopiedFile],
    out: Path,
    blocks: Blocks,
    part_size: int | None,
    dry_run: bool,
    as_json: bool,
    readers: int = 1,
    sums: Sums | None = None,
) -> None:
    """Write the parts of a zip, and report each."""
    from shared.releases import zipped
    from shared.releases.proving import NO_SUMS, ContentDiffers

    try:
        parts = zipped.parts_of(files, part_size)
    except zipped.TooLargeForPart as error:
        raise click.ClickException(str(error)) from None
    with bar("Written", as_json or dry_run, sum(file.size for file in files)) as seen:
        for number, part in enumerate(parts, 1):
            path = zipped.part_name(out, number, len(parts))
            said = {
                "zip": str(path),
                "files": len(part),
                "size": sum(file.size for file in part),
                "done": not dry_run,
            }
            if not dry_run:
                try:
                    zipped.write_zip(
                        part, path, blocks, seen, readers=readers, sums=sums or NO_SUMS
                    )
                except (ContentDiffers, OSError) as error:
                    raise click.ClickException(
                        f"{error} What was written so far stays; the same command goes on."
                    ) from None
            line = f"{path}: {said['files']} files, {said['size']:,} B"
            click.echo(json.dumps(said) if as_json else line)


def creator(text: str) -> Creator:
    """Parse a creator from ``name;ORCID;affiliation``; only the name is required."""
    from shared.model.release import Creator

    name, *more = (part.strip() for part in text.split(";"))
    if not name or len(more) > 2:
        raise click.BadParameter(f'{text!r}: write "Family, Given;ORCID;AFFILIATION"')
    orcid, affiliation, *_ = [*more, "", ""]
    return Creator(name, orcid, affiliation)


def parse_size(text: str | None) -> int | None:
    """Return bytes from ``20GB``, ``500M`` or ``1000``; None from None."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip().upper())
    if match is None or (size := int(float(match[1]) * UNITS[match[2]])) <= 0:
        raise click.BadParameter(f"{text!r} is no size: write one like 20GB")
    return size


@contextmanager
def bar(label: str, quiet: bool, total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """Show progress in bytes; yield the function to call for each file."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda path, size: progress.update(task, advance=size)
