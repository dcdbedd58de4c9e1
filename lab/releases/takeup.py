"""Make a copy of a release a release of another Fornix: the same files, the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.client import Client
from lab.releases.stepwise import until_done
from lab.releases.tagging import give_tag, session_datasets
from shared.model import json
from shared.model.release import ReleaseManifest, ReleaseRecord
from shared.releases.copy import CHECKSUMS, MANIFEST
from shared.releases.manifest import decode_manifest


class NotTakenUp(ValueError):
    """A copy could not become a release; the message names the difference."""


def take_up(client: Client, folder: Path, told: Callable[[str], object]) -> ReleaseRecord:
    """Make the release of a copy whose files are on the server already; repeating changes nothing.

    Parameters
    ----------
    client : Client
        Account of a manager of all labs concerned.
    folder : Path
        A copy: a mirror, or an unpacked zip.
    told : callable
        Called with a line after each step.

    Raises
    ------
    NotTakenUp
        The folder is no copy of a release, or the server lacks some of its files.
    BadManifest
        Its manifest is damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise NotTakenUp(f"{folder} has no {MANIFEST}: it is no copy of a release.")
    manifest = decode_manifest((folder / MANIFEST).read_bytes())
    rows = _rows(client, manifest, _left_out(folder, manifest))
    give_tag(
        client,
        manifest.tag,
        [dataset for dataset in rows if manifest.tag not in dataset["tags"]],
    )
    body = {"name": manifest.name, "tag": manifest.tag, "terms": json.plain(manifest.terms)}
    made = until_done(client, "/releases", body, told)
    return json.read(made, ReleaseRecord)


def _left_out(folder: Path, manifest: ReleaseManifest) -> set[str]:
    """Return the ids of the files that were withdrawn before the copy was made."""
    if not (folder / CHECKSUMS).is_file():
        return set()
    lines = (folder / CHECKSUMS).read_text().splitlines()
    paths = {line.partition("  ")[2] for line in lines}
    return {
        file.id
        for path, file in manifest.paths().items()
        if file.sha256 is not None and path not in paths
    }


def _rows(client: Client, manifest: ReleaseManifest, left_out: set[str]) -> list[dict[str, Any]]:
    """Return the server's datasets that are the copy's files."""
    wanted = {file.id: file for file in manifest.files if file.id not in left_out}
    rows = [
        dataset
        for dataset in session_datasets(client, (session.id for session in manifest.sessions))
        if dataset["id"] in wanted
    ]
    if missing := wanted.keys() - {dataset["id"] for dataset in rows}:
        path = manifest.path_of(wanted[min(missing)])
        raise NotTakenUp(
            f"The server lacks {len(missing)} files of {manifest.name}@{manifest.version} "
            f"({path}, …): import the copy first, with --upload."
        )
    return rows
