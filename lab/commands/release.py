"""``fornix release``: make, compare, publish, verify and zip releases."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from lab.client import Client, settings
from lab.releases.stepwise import until_done

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_dry_run = click.option("--dry-run", is_flag=True, help="Tell what would be done; change nothing.")


@click.group()
def release() -> None:
    """Releases: fixed, versioned, citable sets of datasets.

    Example: fornix release tag 2026_Paper my_project, then fornix release create 2026_Paper
    --title "Mice that decide" --creator "Garrett, Ada", then fornix release publish 2026_Paper,
    and anybody's: fornix release zip https://api.example.org/releases/2026_Paper
    """


@release.command("tag")
@click.argument("tag")
@click.argument("what", metavar="SESSION|SUBJECT|PROJECT")
@click.option("--collection", default="", help="Only of collections that begin so, e.g. alf.")
@click.option("--all-revisions", is_flag=True, help="Older revisions too, not only the default.")
@_dry_run
@_json
def tag_datasets(
    tag: str, what: str, collection: str, all_revisions: bool, dry_run: bool, as_json: bool
) -> None:
    """Give a tag to the datasets of sessions, as the first step to a release."""
    from lab.commands.publish import find_sessions
    from lab.releases.tagging import datasets_to_tag, give_tag

    client = Client(settings())
    sessions = [session["id"] for session in find_sessions(client, what)]
    chosen = list(datasets_to_tag(client, sessions, tag, collection, all_revisions))
    if not dry_run:
        give_tag(client, tag, chosen)
    said = {"tag": tag, "sessions": len(sessions), "datasets": len(chosen), "done": not dry_run}
    word = "would be tagged" if dry_run else "tagged"
    _say(said, as_json, f"{len(chosen)} datasets of {len(sessions)} sessions {word} {tag}")


@release.command("untag")
@click.argument("tag")
@click.argument("what", metavar="SESSION|SUBJECT|PROJECT")
@_dry_run
@_json
def untag_datasets(tag: str, what: str, dry_run: bool, as_json: bool) -> None:
    """Take a tag from the datasets of sessions, before a release or the next version is made."""
    from lab.commands.publish import find_sessions
    from lab.releases.tagging import tagged_datasets, take_tag

    client = Client(settings())
    sessions = [session["id"] for session in find_sessions(client, what)]
    chosen = list(tagged_datasets(client, sessions, tag))
    if not dry_run:
        take_tag(client, tag, chosen)
    said = {"tag": tag, "sessions": len(sessions), "datasets": len(chosen), "done": not dry_run}
    word = "would lose" if dry_run else "lost"
    _say(said, as_json, f"{len(chosen)} datasets of {len(sessions)} sessions {word} {tag}")


@release.command()
@click.argument("name")
@click.option("--tag", help="Tag of the datasets.  [default: NAME]")
@click.option(
    "--about",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with title, description, creators, licence, publisher, keywords, papers.",
)
@click.option("--title", default="", help="Title; goes before that of --about.")
@click.option("--description", default="", help="50 to 5,000 characters are best.")
@click.option(
    "--creator",
    "creators",
    multiple=True,
    metavar='"Family, Given;ORCID;AFFILIATION"',
    help="Whom to cite; may be repeated.  [default: the laboratories]",
)
@click.option("--licence", default="", help="SPDX identifier.  [default: CC-BY-4.0]")
@_dry_run
@_json
def create(
    name: str,
    tag: str | None,
    about: Path | None,
    title: str,
    description: str,
    creators: tuple[str, ...],
    licence: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fix the datasets of a tag as a release, or as a new version of it.

    The same datasets with the same words once more make no new version. The tag protects them
    from now on. A manager's account of all labs concerned may do this.
    """
    terms = _terms(about, title, description, creators, licence)
    body = {"name": name, "tag": tag or name, "terms": terms, "dry_run": dry_run}
    made = until_done(Client(settings()), "/releases", body, _told)
    counted = f"{made['n_files']:,} files of {made['n_sessions']:,} sessions, {made['size']:,} B"
    if dry_run:
        _say(made, as_json, f"would be made: {name}, {counted}")
        return
    word = "made" if made["made"] else "unchanged"
    _say(made, as_json, f"{word}: {made['name']}@{made['version']}, {counted}")


@release.command()
@click.argument("what", metavar="NAME[@VERSION]")
@click.option(
    "--embargo", metavar="YYYY-MM-DD", help="Public from this day on (midnight in its labs)."
)
@click.option("--doi", help="DOI that was minted for it elsewhere.")
@click.option("--mint", metavar="SERVICE", help="Mint a DOI, e.g. datacite (its own variables).")
@click.option(
    "--nwb/--no-nwb", default=True, show_default=True, help="Have workers write it as NWB, too."
)
@click.option(
    "--nwb-raw",
    type=click.Choice(["link", "copy"]),
    default="link",
    show_default=True,
    help="Raw recordings in NWB: where they lie, or copied.",
)
@_dry_run
@_json
def publish(
    what: str,
    embargo: str | None,
    doi: str | None,
    mint: str | None,
    nwb: bool,
    nwb_raw: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show a release to the public: its page, its files, its tables."""
    client, record = _record(what)
    where = f"/releases/{record['name']}/{record['version']}"
    key = f"{record['name']}@{record['version']}"
    when = f"from {embargo} on" if embargo else "now"
    if dry_run:
        _say(record | {"done": False}, as_json, f"{key} would be public {when}")
        return
    if mint:
        from lab.releases.minting import minter

        doi = minter(mint).mint(client, record)
    if doi:
        client.patch(where, {"doi": doi})
    asked = {"embargo_until": embargo, "nwb": nwb, "nwb_raw": nwb_raw}
    done = until_done(client, f"{where}/publish", asked, _told)
    cited = f", doi:{done['doi']}" if done["doi"] else ""
    _say(done, as_json, f"{key} is public {when}{cited}  {done['page'] or done['url']}")


@release.command()
@click.argument("what", metavar="NAME[@VERSION]")
@click.option("--reason", required=True, help="The tombstone tells it.")
@click.option("--dataset", "datasets", multiple=True, metavar="ID", help="Only these datasets.")
@_dry_run
@_json
def withdraw(
    what: str, reason: str, datasets: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Withdraw a version, or some of its datasets; a tombstone stays."""
    client, record = _record(what)
    key = f"{record['name']}@{record['version']}"
    description = f"{len(datasets)} datasets of {key}" if datasets else key
    if dry_run:
        _say(record | {"done": False}, as_json, f"{description} would be withdrawn")
        return
    body = {"reason": reason} | ({"datasets": list(datasets)} if datasets else {})
    path = f"/releases/{record['name']}/{record['version']}/withdraw"
    _say(until_done(client, path, body, _told), as_json, f"{description} withdrawn")


@release.command()
@click.argument("what", metavar="NAME[@VERSION]")
@click.option("--days", default=30, show_default=True, help="For how long the address is good.")
@click.option("--note", default="", help="For whom it is.")
@click.option("--list", "listed", is_flag=True, help="List the addresses, without their secrets.")
@click.option("--revoke", metavar="ID", help="Revoke one.")
@_json
def review(
    what: str, days: int, note: str, listed: bool, revoke: str | None, as_json: bool
) -> None:
    """Make an address by which reviewers see a release before the public does.

    Every command that takes a release's address takes this one. It is shown once, and is good
    without account until it expires or is revoked.
    """
    client, record = _record(what)
    where = f"/releases/{record['name']}/{record['version']}/reviewers"
    if revoke:
        client.request("DELETE", f"{where}/{revoke}")
        _say({"revoked": revoke}, as_json, f"{revoke} revoked")
    elif listed:
        rows = client.get(where)["results"]
        lines = (
            f"{row['id']}  until {row['expires']}{'  revoked' if row['revoked'] else ''}"
            f"  {row['note']}"
            for row in rows
        )
        click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(lines))
    else:
        made = client.post(where, {"days": days, "note": note})
        _say(made, as_json, f"{made['url']}\ngood until {made['expires']}, as {made['id']}")


@release.command("list")
@click.argument("url", required=False)
@_json
def list_releases(url: str | None, as_json: bool) -> None:
    """List the releases of a server: that of `fornix login`, or any by its address."""
    from lab.releases.remote import ReleaseServer
    from shared.model.json import plain

    if url:
        rows = [plain(record) for record in ReleaseServer(url).releases()]
    else:
        rows = Client(settings()).get("/releases")["results"]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        counted = f"{row['n_sessions']:6,} sessions {row['n_files']:9,} files {row['size']:18,} B"
        click.echo(f"{row['name']}@{row['version']:<4} {row['state']:9} {counted}  {row['doi']}")


@release.command()
@click.argument("before", metavar="NAME@VERSION|FOLDER|ZIP")
@click.argument("after", metavar="NAME@VERSION|FOLDER|ZIP")
@_json
def diff(before: str, after: str, as_json: bool) -> None:
    """Tell what two releases, or copies of them, differ in. Exit code 1 if they do."""
    from shared.model.json import plain
    from shared.releases.manifest import difference

    changes = difference(_manifest(before), _manifest(after))
    if as_json:
        click.echo(json.dumps(plain(changes), indent=1))
    else:
        for path in changes.removed:
            click.echo(f"- {path}")
        for path in changes.added:
            click.echo(f"+ {path}")
        for change in changes.changed:
            click.echo(f"~ {change.path}  {change.before.size:,} → {change.after.size:,} B")
    raise SystemExit(1 if changes else 0)


@release.command()
@click.argument("what", metavar="NAME[@VERSION]|URL|FOLDER|ZIP")
@click.option("--against", metavar="NAME[@VERSION]|URL", help="Prove a copy's manifest, too.")
@click.option("--quick", is_flag=True, help="Of a server: sizes only, no whole files.")
@_json
def verify(what: str, against: str | None, quick: bool, as_json: bool) -> None:
    """Compare every file of a copy, or of a server, with the manifest's checksums.

    Exit code 1 if a file is missing or differs.
    """
    from lab.releases.remote import find_release
    from lab.releases.verify import NoCopy, verify_copy, verify_server
    from shared.model.json import plain

    path = Path(what)
    try:
        with _bar("Verified", as_json) as seen:
            if path.exists():
                record = find_release(against)[1] if against else None
                verification = verify_copy(path, record, seen)
            else:
                verification = verify_server(*find_release(what), quick=quick, seen=seen)
    except NoCopy as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(plain(verification), indent=1))
    else:
        for fault in verification.faults:
            click.echo(f"{fault.path}: {fault.reason}")
        for name in verification.extra:
            click.echo(f"{name}: not in the release")
        click.echo(f"{verification.n_files:,} files, {len(verification.faults)} faults")
    raise SystemExit(1 if verification.faults else 0)


@release.command("zip")
@click.argument("what", metavar="NAME[@VERSION]|URL")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: NAME.zip]")
@click.option("--part-size", help="Most bytes of a part, e.g. 20GB.  [default: one zip]")
@_dry_run
@_json
def zip_release(
    what: str, out: Path | None, part_size: str | None, dry_run: bool, as_json: bool
) -> None:
    """Write a release as a zip in the ONE convention; a killed run goes on.

    Unpacked it is a folder for ONE(mode="local"). The same release gives the same bytes.
    """
    from lab.commands.zip_ import parse_size, write_parts
    from lab.releases.mirror import AT_ONCE
    from lab.releases.remote import find_release
    from shared.releases.copy import copied_files

    server, record = find_release(what)
    manifest = server.manifest(record)
    files = copied_files(manifest, server.where(record), record.withdrawn)
    out = out or Path(f"{record.name}-{record.version}.zip")
    write_parts(
        files, out, server.blocks, parse_size(part_size), dry_run, as_json, readers=AT_ONCE
    )


def _terms(
    about: Path | None, title: str, description: str, creators: Iterable[str], licence: str
) -> dict[str, Any]:
    from lab.commands.zip_ import creator
    from shared.model.json import plain

    terms: dict[str, Any] = {}
    if about:
        try:
            terms = json.loads(about.read_text())
        except ValueError as error:
            raise click.BadParameter(f"{about} is no JSON: {error}") from None
        if not isinstance(terms, dict):
            raise click.BadParameter(f"{about} holds no JSON object")
    texts = {"title": title, "description": description, "licence": licence}
    terms |= {name: value for name, value in texts.items() if value}
    if people := [creator(text) for text in creators]:
        terms["creators"] = [plain(person) for person in people]
    return terms


def _record(what: str) -> tuple[Client, dict[str, Any]]:
    """Return the client of `fornix login`, and its record of a version."""
    name, _, version = what.partition("@")
    client = Client(settings())
    return client, client.get(f"/releases/{name}/{version or 'latest'}")


def _manifest(what: str) -> Any:
    from lab.releases.remote import find_release
    from lab.releases.verify import NoCopy, open_copy, read_manifest

    path = Path(what)
    if not path.exists():
        server, record = find_release(what)
        return server.manifest(record)
    try:
        return read_manifest(open_copy(path), path)
    except NoCopy as error:
        raise click.ClickException(str(error)) from None


def _told(line: str) -> None:
    click.echo(line, err=True)


def _bar(label: str, quiet: bool) -> Any:
    from lab.commands.zip_ import bar

    return bar(label, quiet)


def _say(said: dict[str, Any], as_json: bool, line: str) -> None:
    click.echo(json.dumps(said) if as_json else line)
