"""``fornix deposit``: send zips of a release to FigShare, Zenodo or DANDI, as a draft."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("host", type=click.Choice(["zenodo", "figshare", "dandi"]))
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--url", help="Another address of the host's API, e.g. that of its sandbox.")
@click.option("--dandiset", default="", help="Of DANDI: a dandiset that is there.")
@click.option("--dry-run", is_flag=True, help="Tell what would be sent.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def deposit(
    host: str,
    files: tuple[Path, ...],
    url: str | None,
    dandiset: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send a zip of a release, or its parts, to a host, as a draft that you publish there.

    Title, description, creators and licence are those of the zip's datacite.json. The token of
    your account is in ZENODO_TOKEN, FIGSHARE_TOKEN or DANDI_API_KEY. Which draft it is stands in
    FILE.deposit.json: the same command goes on with it, and sends nothing twice. DANDI takes NWB
    and BIDS files only: give it such files beside the zip's own description.

    Example: fornix deposit zenodo paper.part01.zip paper.part02.zip
    """
    from lab.commands.zip_ import bar
    from lab.releases import hosts
    from shared.model import json as typed

    described = _description(files)
    if dry_run:
        for path in files:
            click.echo(f"would send {path} ({path.stat().st_size:,} B) to {host}")
        return
    more = {"dandiset": dandiset} if host == "dandi" else {}
    at = hosts.host_of(host, url, **more)
    note = files[0].with_name(f"{files[0].name}.deposit.json")
    draft = typed.decode(note.read_bytes(), hosts.Deposit) if note.exists() else None
    if draft is None or draft.host != host:
        draft = at.begin(described)
        note.write_bytes(typed.encode(draft))
    total = sum(path.stat().st_size for path in files)
    with bar("Sent", as_json, total) as seen:
        sent = sum(at.send(draft, path, seen) for path in files)
    said = {"host": host, "id": draft.id, "page": draft.page, "sent": sent, "files": len(files)}
    line = f"{sent} of {len(files)} files sent; look at the draft and publish it: {draft.page}"
    click.echo(json.dumps(said) if as_json else line)


def _description(files: tuple[Path, ...]) -> dict[str, object]:
    """Return the datacite.json of the first file that has one."""
    import zipfile

    for path in files:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if "datacite.json" in archive.namelist():
                    return dict(json.loads(archive.read("datacite.json")))
    raise click.ClickException(
        "None of the files has a datacite.json: give a zip of `fornix release zip`, `fornix zip`."
    )
